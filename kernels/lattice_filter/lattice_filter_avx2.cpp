#include "kernels/lattice_filter/lattice_filter_lanes.h"

namespace atrous::kernels::lattice_filter_impl {

const Runs runs_avx2 = runs<8>;

}  // namespace atrous::kernels::lattice_filter_impl
