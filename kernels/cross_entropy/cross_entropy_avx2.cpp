#include "kernels/cross_entropy/cross_entropy_lanes.h"

namespace atrous::kernels::cross_entropy_impl {

double pixels_avx2(const PixelRun& run) {
  return run_any_classes<8>(run);
}

}  // namespace atrous::kernels::cross_entropy_impl
