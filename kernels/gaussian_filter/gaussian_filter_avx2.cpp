#include "kernels/gaussian_filter/gaussian_filter_lanes.h"

namespace atrous::kernels::gaussian_filter_impl {

const Runs runs_avx2 = runs<8>;

}  // namespace atrous::kernels::gaussian_filter_impl
