#include "kernels/resize_cross_entropy/resize_cross_entropy_lanes.h"

namespace atrous::kernels::resize_cross_entropy_impl {

double band_avx512(const BandRun& run) {
  return band_any<16>(run);
}

}  // namespace atrous::kernels::resize_cross_entropy_impl
