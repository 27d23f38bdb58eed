#include "kernels/softmax/softmax_lanes.h"

namespace atrous::kernels::softmax_impl {

void forward_run_avx512(const ForwardRun& run) {
  forward_any<16>(run);
}
void backward_run_avx512(const BackwardRun& run) {
  backward_any<16>(run);
}

}  // namespace atrous::kernels::softmax_impl
