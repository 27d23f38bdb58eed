#include "kernels/gaussian_filter/gaussian_filter_lanes.h"

namespace atrous::kernels::gaussian_filter_impl {

const Runs runs_avx512 = runs<16>;

}  // namespace atrous::kernels::gaussian_filter_impl
