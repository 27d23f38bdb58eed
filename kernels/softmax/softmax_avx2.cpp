#include "kernels/softmax/softmax_lanes.h"

namespace atrous::kernels::softmax_impl {

void forward_run_avx2(const ForwardRun& run) {
  forward_any<8>(run);
}
void backward_run_avx2(const BackwardRun& run) {
  backward_any<8>(run);
}

}  // namespace atrous::kernels::softmax_impl
