// The implementations of take_rows; private to this folder. No output is empty; indices are dense.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/take_rows/take_rows.h"

namespace atrous::kernels {

// `from` is x or dy, with any pixel stride; `to` is y or dx, dense.
using TakeFn = void(const TakeRowsProblem&, const Tensor& from, const Tensor& index, const Tensor& to);
TakeFn take_rows_ref, take_rows_copies, take_rows_backward_ref, take_rows_backward_lists;
TakeFn take_class_ref, take_class_rows, take_class_backward_ref, take_class_backward_rows;
ATROUS_DECLARE_ON_GPU(TakeFn take_rows_naive, take_rows_vectorised;
                      TakeFn take_rows_backward_naive, take_rows_backward_counted; TakeFn take_class_naive;
                      TakeFn take_class_backward_naive, take_class_backward_vectorised;)

}  // namespace atrous::kernels
