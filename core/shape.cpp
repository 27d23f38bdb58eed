#include "core/shape.h"

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace atrous {

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  ATROUS_CHECK(dims.size() <= max_rank, ErrorKind::usage,
               "[shape] a tensor has at most {} dimensions. Got {}. Reshape it first.", max_rank,
               dims.size());
  for (int i = 0; i < rank_; ++i) {
    dims_[i] = dims[i];
    ATROUS_CHECK(dims[i] >= 0, ErrorKind::usage,
                 "[shape] dimensions must not be negative. Got {} at axis {}. Check the sizes that led here.",
                 dims[i], i);
    ATROUS_CHECK(!__builtin_mul_overflow(numel_, dims[i], &numel_), ErrorKind::usage,
                 "[shape] the number of elements must fit 64 bits. Got an overflow at axis {} of extent {}. "
                 "Use smaller sizes.",
                 i, dims[i]);
  }
}

Shape Shape::with(int axis, int64_t extent) const {
  std::array<int64_t, max_rank> dims = dims_;
  dims[axis < 0 ? axis + rank_ : axis] = extent;
  return Shape(std::span<const int64_t>(dims.data(), rank_));
}

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string(dims_[i]);
  return s + "]";
}

bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
}

template <class Int>
Int narrow(int64_t value, const char* where) {
  ATROUS_CHECK(value >= std::numeric_limits<Int>::min() && value <= std::numeric_limits<Int>::max(),
               ErrorKind::usage, "[{}] a size must fit {} bits. Got {}. Use a smaller batch or tile.", where,
               8 * sizeof(Int), value);
  return static_cast<Int>(value);
}
template int32_t narrow<int32_t>(int64_t, const char*);

}  // namespace atrous
