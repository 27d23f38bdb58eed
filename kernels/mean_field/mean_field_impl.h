// The implementations behind mean_field.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/mean_field/mean_field.h"

namespace atrous::kernels::mean_field_impl {

// q and the compatibilities are contiguous.
using UpdateFn = void(const MeanFieldProblem&, const Tensor& log_unary,
                      const std::vector<MeanFieldTerm>& terms, const Tensor& q);
// first_bad i32 [1]: the first pixel whose probabilities are none; their number if all are.
using UnaryFn = void(const MeanFieldProblem&, const Tensor& probabilities, const Tensor& log_unary,
                     const Tensor& first_bad);
UpdateFn update_ref;
UnaryFn unary_ref;
ATROUS_DECLARE_ON_GPU(UpdateFn update_naive; UnaryFn unary_naive;)

}  // namespace atrous::kernels::mean_field_impl
