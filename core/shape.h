// The extents of a tensor, outermost first. Held inline: shapes are copied freely.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace atrous {

class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;  // rank 0: a scalar with one element
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t numel() const { return numel_; }
  // Negative axes count from the end: dim(-1) is the number of channels.
  int64_t operator[](int axis) const { return dims_[axis < 0 ? axis + rank_ : axis]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  Shape with(int axis, int64_t extent) const;

  // "[2, 360, 480, 3]"
  std::string str() const;
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
  int64_t numel_ = 1;
};

// Narrows a size to `Int`; the error names the op whose kernels cannot index the size.
template <class Int>
Int narrow(int64_t value, const char* where);

}  // namespace atrous
