#include "kernels/max_pool2d/max_pool2d.h"

#include <limits>

#include "kernels/common/entry.h"
#include "kernels/max_pool2d/max_pool2d_impl.h"

namespace atrous::kernels {
namespace {

const char* small_window(const Pool2dProblem& p) {
  const Pool2dOptions& o = p.options;
  if (o.kernel_h != o.kernel_w || (o.kernel_h != 2 && o.kernel_h != 3))
    return "takes 2x2 and 3x3 windows only";
  return f32_or_bf16(p);
}
const char* disjoint_windows(const Pool2dProblem& p) {
  const Pool2dOptions& o = p.options;
  if (o.kernel_h != o.stride_h || o.kernel_w != o.stride_w || o.pad_h || o.pad_w || o.dilation_h != 1 ||
      o.dilation_w != 1) {
    return "takes windows side by side only";
  }
  return f32_or_bf16(p);
}

Reach reach_of(const Pool2dProblem& p) {
  const Pool2dOptions& o = p.options;
  return Reach::axes(window_taps(o.kernel_h, o.stride_h, o.pad_h, o.dilation_h),
                     window_taps(o.kernel_w, o.stride_w, o.pad_w, o.dilation_w));
}

constexpr Entry<Pool2dProblem, MaxPool2dForwardFn> forward{
    "max_pool2d.forward",
    {
        ATROUS_ON_GPU("unrolled", small_window, max_pool2d_forward_unrolled, exact_values),
        ATROUS_ON_GPU("vectorised", f32_or_bf16, max_pool2d_forward_vectorised, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, max_pool2d_forward_naive, exact_values),
        {"vector", Device::cpu, f32_only, max_pool2d_forward_rows, exact_values},
        {"ref", Device::cpu, f32_or_f64, max_pool2d_forward_ref, exact_values},
    },
    reach_of};
constexpr Entry<Pool2dProblem, MaxPool2dBackwardFn> backward{
    "max_pool2d.backward",
    {
        ATROUS_ON_GPU("disjoint", disjoint_windows, max_pool2d_backward_disjoint),
        ATROUS_ON_GPU("vectorised", f32_or_bf16, max_pool2d_backward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, max_pool2d_backward_naive),
        {"vector", Device::cpu, f32_only, max_pool2d_backward_gather},
        {"ref", Device::cpu, f32_or_f64, max_pool2d_backward_ref},
    }};

// Reach of the values, if the indices come from windows that tile the map.
Reach reach_of_unpool(const MaxUnpool2dProblem& p) {
  const auto taps = [](int64_t full, int64_t pooled) -> Reach::Axis {
    const int64_t stride =
        std::max<int64_t>(1, pooled > 0 ? (2 * full + pooled) / (2 * pooled) : 1);  // rounded
    return [stride](int64_t o) { return Taps{o / stride, 1, 1}; };
  };
  return Reach::axes(taps(p.full[1], p.pooled[1]), taps(p.full[2], p.pooled[2]));
}

constexpr Entry<MaxUnpool2dProblem, MaxUnpool2dFn> unpool{
    "max_pool2d.unpool",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, max_unpool2d_forward_vectorised, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, max_unpool2d_forward_naive, exact_values),
        {"vector", Device::cpu, f32_only, max_unpool2d_forward_blocks, exact_values},
        {"ref", Device::cpu, f32_or_f64, max_unpool2d_forward_ref, exact_values},
    },
    reach_of_unpool};
constexpr Entry<MaxUnpool2dProblem, MaxUnpool2dFn> unpool_backward{
    "max_pool2d.unpool_backward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, max_unpool2d_backward_vectorised, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, max_unpool2d_backward_naive, exact_values),
        {"vector", Device::cpu, f32_only, max_unpool2d_backward_rows, exact_values},
        {"ref", Device::cpu, f32_or_f64, max_unpool2d_backward_ref, exact_values},
    }};

// Indices are i32, so an image must have fewer than 2^31 pixels.
void check_indexable(const char* where, int64_t height, int64_t width) {
  ATROUS_CHECK(height <= std::numeric_limits<int32_t>::max() / width, ErrorKind::usage,
               "[{}] an image must have fewer than 2^31 pixels. Got {}x{}. Split it into tiles.", where,
               height, width);
}

MaxUnpool2dProblem unpool_problem(const char* where, const Tensor& pooled, const Tensor& indices,
                                  const Tensor& full) {
  ATROUS_CHECK(pooled.rank() == 4 && full.rank() == 4 && pooled.dim(0) == full.dim(0) &&
                   pooled.dim(3) == full.dim(3) && pooled.dtype() == full.dtype() &&
                   is_floating(pooled.dtype()),
               ErrorKind::usage,
               "[{}] pooled and full tensors must be [N, H, W, C] of the same N, C and type (f32, f64 or "
               "bf16). Got {} and {}.",
               where, pooled.describe(), full.describe());
  check_tensor(where, "indices", indices, pooled.shape(), DType::i32);
  check_indexable(where, full.dim(1), full.dim(2));
  return {pooled.shape(), full.shape(), pooled.dtype()};
}

// A bad index would write outside the image, and indices may come from a file. On a GPU, where checking them
// would wait for the device, kernels skip such indices instead.
void check_indices(const char* where, const Tensor& indices, int64_t pixels) {
  if (indices.device() != Device::cpu) return;
  const int64_t c = indices.channels();
  for (int64_t p = 0; p < indices.pixels(); ++p) {
    const int32_t* row = indices.data<int32_t>() + p * indices.pixel_stride();
    for (int64_t k = 0; k < c; ++k) {
      ATROUS_CHECK(row[k] >= 0 && row[k] < pixels, ErrorKind::usage,
                   "[{}] an index must lie in the output of {} pixels. Got {} at pixel {}, channel {}. Use "
                   "the indices and the input size of the matching max_pool2d.",
                   where, pixels, row[k], p, k);
    }
  }
}

}  // namespace

std::string MaxUnpool2dProblem::str() const {
  return fmt::format("pooled {} full {} {}", pooled.str(), full.str(), name_of(dtype));
}

void max_pool2d_forward(const Tensor& x, const Pool2dOptions& options, const Tensor& y,
                        const Tensor& indices) {
  const char* where = "max_pool2d";
  const Pool2dProblem problem = pool2d_problem(where, x.shape(), x.dtype(), options);
  check_tensor(where, "output", y, problem.output_shape(), x.dtype());
  if (indices.defined()) {
    check_tensor(where, "indices", indices, problem.output_shape(), DType::i32);
    check_indexable(where, problem.height, problem.width);
  }
  forward(problem, x, writes(y), writes(indices));
}

void max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Pool2dOptions& options,
                         const Tensor& dx) {
  const char* where = "max_pool2d backward";
  const Pool2dProblem problem = pool2d_problem(where, dx.shape(), dx.dtype(), options);
  check_tensor(where, "output gradient", dy, problem.output_shape(), dx.dtype());
  check_tensor(where, "indices", indices, problem.output_shape(), DType::i32);
  backward(problem, dy, indices, writes(dx));
}

void max_unpool2d_forward(const Tensor& x, const Tensor& indices, const Tensor& y) {
  const MaxUnpool2dProblem problem = unpool_problem("max_unpool2d", x, indices, y);
  check_indices("max_unpool2d", indices, y.dim(1) * y.dim(2));
  unpool(problem, x, indices, writes(y));
}

void max_unpool2d_backward(const Tensor& dy, const Tensor& indices, const Tensor& dx) {
  const MaxUnpool2dProblem problem = unpool_problem("max_unpool2d backward", dx, indices, dy);
  check_indices("max_unpool2d backward", indices, dy.dim(1) * dy.dim(2));
  unpool_backward(problem, dy, indices, writes(dx));
}

EntryList max_pool2d_entries() {
  return {&forward, &backward, &unpool, &unpool_backward};
}

}  // namespace atrous::kernels
