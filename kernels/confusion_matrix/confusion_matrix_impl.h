// Implementations of confusion_matrix; confusion_matrix.cpp lists them.
#pragma once

#include <type_traits>

#include "kernels/confusion_matrix/confusion_matrix.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels::confusion_matrix_impl {

// All tensors but the logits are contiguous. Each overwrites its last argument.
using CountFn = void(const ConfusionProblem&, const Tensor& label, const Tensor& prediction,
                     const Tensor& counts);
using ArgmaxFn = void(const ConfusionProblem&, const Tensor& logits, const Tensor& labels);
using ArgmaxCountFn = void(const ConfusionProblem&, const Tensor& logits, const Tensor& label,
                           const Tensor& counts);
CountFn count_ref, count_chunks;
ArgmaxFn argmax_ref, argmax_chunks;
ArgmaxCountFn argmax_count_ref, argmax_count_chunks;
ATROUS_DECLARE_ON_GPU(CountFn count_naive, count_shared; ArgmaxFn argmax_naive, argmax_staged;
                      ArgmaxCountFn argmax_count_naive, argmax_count_staged;)

// The largest numbers of classes whose counts (u32) fit a block's shared memory: every GPU since sm_80
// grants 99 KB. Staged pixels (kernels/softmax/pixel_rows.cuh) take their share of it.
inline constexpr int64_t most_shared = 156;
inline constexpr int64_t most_staged = 95;

// Index of the first of the largest. Comparisons with NaN are false: a NaN is only chosen if it comes first.
template <class T>
ATROUS_HD inline int64_t first_of_largest(const T* values, int64_t count) {
  using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  int64_t best = 0;
  Wide top = static_cast<Wide>(values[0]);
  for (int64_t k = 1; k < count; ++k) {
    const Wide v = static_cast<Wide>(values[k]);
    if (top < v) {
      top = v;
      best = k;
    }
  }
  return best;
}

}  // namespace atrous::kernels::confusion_matrix_impl
