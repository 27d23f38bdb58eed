#include "kernels/mean_field/mean_field_lanes.h"

namespace atrous::kernels::mean_field_impl {

const Runs runs_avx512 = runs<16>;

}  // namespace atrous::kernels::mean_field_impl
