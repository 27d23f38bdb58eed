#include "kernels/take_rows/take_rows.h"

#include "kernels/common/entry.h"
#include "kernels/take_rows/take_rows_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<TakeRowsProblem, TakeFn> by_index{
    "take_rows.rows",
    {
        ATROUS_ON_GPU("vectorised", always, take_rows_vectorised, exact_values),
        ATROUS_ON_GPU("naive", always, take_rows_naive, exact_values),
        {"copies", Device::cpu, always, take_rows_copies, exact_values},
        {"ref", Device::cpu, always, take_rows_ref, exact_values},
    }};
constexpr Entry<TakeRowsProblem, TakeFn> rows_backward{
    "take_rows.rows_backward",
    {
        ATROUS_ON_GPU("counted", f32_or_bf16, take_rows_backward_counted),
        ATROUS_ON_GPU("naive", f32_or_bf16, take_rows_backward_naive),
        {"lists", Device::cpu, f32_or_f64, take_rows_backward_lists},
        {"ref", Device::cpu, f32_or_f64, take_rows_backward_ref},
    }};
constexpr Entry<TakeRowsProblem, TakeFn> by_class{
    "take_rows.by_class",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, take_class_naive, exact_values),
        {"rows", Device::cpu, f32_or_f64, take_class_rows, exact_values},
        {"ref", Device::cpu, f32_or_f64, take_class_ref, exact_values},
    }};
constexpr Entry<TakeRowsProblem, TakeFn> by_class_backward{
    "take_rows.by_class_backward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, take_class_backward_vectorised, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, take_class_backward_naive, exact_values),
        {"rows", Device::cpu, f32_or_f64, take_class_backward_rows, exact_values},
        {"ref", Device::cpu, f32_or_f64, take_class_backward_ref, exact_values},
    }};

void check_inputs(const char* op, const Tensor& x, const Tensor& index) {
  ATROUS_CHECK(x.defined() && x.rank() >= 2 && x.channels() >= 1, ErrorKind::usage,
               "[{}] needs rows of channels, [n, ..., C]. Got {}.", op, x.describe());
  ATROUS_CHECK(index.defined() && index.rank() == 1 && index.dtype() == DType::i32, ErrorKind::usage,
               "[{}] indices must be i32 [m]. Got {}.", op, index.describe());
  narrow<int32_t>(x.dim(0), op);
  narrow<int32_t>(index.dim(0), op);
}

void check_float(const char* op, const Tensor& x) {
  ATROUS_CHECK(is_floating(x.dtype()), ErrorKind::usage, "[{}] needs f32, f64 or bf16. Got {}.", op,
               x.describe());
}

// One index per row, and whole classes.
void check_classes(const char* op, const Tensor& x, const Tensor& index, int64_t channels, int64_t width) {
  check_inputs(op, x, index);
  check_float(op, x);
  ATROUS_CHECK(index.dim(0) == x.dim(0), ErrorKind::usage, "[{}] needs one index per row. Got {} for {}.", op,
               index.describe(), x.describe());
  ATROUS_CHECK(width >= 1 && channels >= 1 && channels % width == 0, ErrorKind::usage,
               "[{}] the channels must be a multiple of a class's. Got {} channels for classes of {}.", op,
               channels, width);
}

int64_t pixels_per_row(const Tensor& x) {
  int64_t pixels = 1;
  for (int axis = 1; axis + 1 < x.rank(); ++axis) pixels *= x.dim(axis);
  return pixels;
}

}  // namespace

std::string TakeRowsProblem::str() const {
  const std::string what = fmt::format("{} of {} p{} c{}", to, from, pixels, channels);
  return fmt::format("{}{} {}", what, classes > 1 ? fmt::format(" by class of {}", classes) : "",
                     name_of(dtype));
}

Tensor take_rows(const Tensor& x, const Tensor& index) {
  check_inputs("take_rows", x, index);
  const Tensor y = Tensor::empty(x.shape().with(0, index.dim(0)), x.dtype(), x.device());
  const TakeRowsProblem p{x.dim(0), index.dim(0), pixels_per_row(x), x.channels(), 1, x.dtype()};
  if (y.numel() > 0) by_index(p, x, index.contiguous_copy_if_needed(), writes(y));
  return y;
}

Tensor take_rows_backward(const Tensor& dy, const Tensor& index, int64_t rows) {
  check_inputs("take_rows_backward", dy, index);
  check_float("take_rows_backward", dy);
  ATROUS_CHECK(rows >= 0 && dy.dim(0) == index.dim(0), ErrorKind::usage,
               "[take_rows_backward] needs one row per index. Got {} and {}.", dy.describe(),
               index.describe());
  const Tensor dx = Tensor::empty(dy.shape().with(0, rows), dy.dtype(), dy.device());
  const TakeRowsProblem p{rows, index.dim(0), pixels_per_row(dy), dy.channels(), 1, dy.dtype()};
  if (dx.numel() > 0) rows_backward(p, dy, index.contiguous_copy_if_needed(), writes(dx));
  return dx;
}

Tensor take_class(const Tensor& x, const Tensor& index, int64_t width) {
  check_classes("take_class", x, index, x.defined() && x.rank() ? x.channels() : 0, width);
  const Tensor y = Tensor::empty(x.shape().with(-1, width), x.dtype(), x.device());
  const TakeRowsProblem p{x.dim(0), x.dim(0), pixels_per_row(x), x.channels(), x.channels() / width,
                          x.dtype()};
  if (y.numel() > 0) by_class(p, x, index.contiguous_copy_if_needed(), writes(y));
  return y;
}

Tensor take_class_backward(const Tensor& dy, const Tensor& index, int64_t channels) {
  check_classes("take_class_backward", dy, index, channels, dy.defined() && dy.rank() ? dy.channels() : 0);
  const Tensor dx = Tensor::empty(dy.shape().with(-1, channels), dy.dtype(), dy.device());
  const TakeRowsProblem p{dy.dim(0), dy.dim(0), pixels_per_row(dy), channels, channels / dy.channels(),
                          dy.dtype()};
  if (dx.numel() > 0) by_class_backward(p, dy, index.contiguous_copy_if_needed(), writes(dx));
  return dx;
}

EntryList take_rows_entries() {
  return {&by_index, &rows_backward, &by_class, &by_class_backward};
}

}  // namespace atrous::kernels
