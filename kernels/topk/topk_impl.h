// The implementations of topk; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/topk/topk.h"

namespace atrous::kernels {

// Dense tensors; the result is not empty.
using TopKFn = void(const TopKProblem&, const Tensor& values, const TopKResult& out);
TopKFn topk_ref, topk_segments;
ATROUS_DECLARE_ON_GPU(TopKFn topk_select, topk_sort;)

inline constexpr int64_t most_selected = 2048;  // by topk_select

}  // namespace atrous::kernels
