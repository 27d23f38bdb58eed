// Sorts 64-bit keys on a GPU (kernels/common/sort_key.h makes them).
#pragma once

#include <bit>

#include "kernels/gpu/declare.h"

namespace atrous::kernels {

// The number of keys that sort_keys sorts: a power of two, at least `count`.
inline int64_t sorted_length(int64_t count) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)));
}

// `keys` i64 [a power of two] on the device, as unsigned numbers, into rising order. Fill up with no_key.
ATROUS_DECLARE_ON_GPU(void sort_keys(const Tensor& keys);)

}  // namespace atrous::kernels
