// The implementations behind gaussian_filter.h; arguments are checked already.
#pragma once

#include "kernels/gaussian_filter/gaussian_filter.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels::gaussian_filter_impl {

// before and after are contiguous or undefined, y is contiguous, nothing is empty.
using FilterFn = void(const GaussianFilterProblem&, const Tensor& x, const Tensor& before,
                      const Tensor& after, const Tensor& y);
FilterFn filter_ref;
ATROUS_DECLARE_ON_GPU(FilterFn filter_naive;)

}  // namespace atrous::kernels::gaussian_filter_impl
