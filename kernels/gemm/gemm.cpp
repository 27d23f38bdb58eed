#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <climits>

#include "kernels/common/entry.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/gemm/gemm_impl.h"

namespace atrous::kernels {
namespace {

const char* name_of(GemmForm form) {
  switch (form) {
    case GemmForm::nt: return "nt";
    case GemmForm::nn: return "nn";
    case GemmForm::tn: return "tn";
  }
  return "?";
}

// A matrix as an activation of one image with one row of pixels, or as a 1x1 filter.
Tensor as_pixels(const Tensor& t) {
  return t.reshape({1, 1, t.dim(0), t.dim(1)});
}
Tensor as_filter(const Tensor& t) {
  return t.reshape({t.dim(0), 1, 1, t.dim(1)});
}

// Rows of pixels times a 1x1 filter; the micro-kernels of conv2d do the work.
void gemm_by_conv2d(const GemmProblem&, const Tensor& a, const Tensor& b, const Tensor& bias,
                    const Tensor& y);

const char* can_by_conv2d(const GemmProblem& p) {
  return p.m == 0 || p.n == 0 || p.k == 0 ? "an extent is zero" : f32_only(p);
}

#ifdef ATROUS_WITH_CUDA
const char* can_cublas(const GemmProblem& p) {
  if (const char* reason = f32_or_bf16(p)) return reason;
  if (p.m == 0 || p.n == 0 || p.k == 0) return "an extent is zero";
  return std::max({p.m, p.n, p.k}) > INT_MAX ? "an extent is 2^31 or more" : nullptr;
}
const char* can_cublas_tf32(const GemmProblem& p) {
  return p.dtype == DType::f32 ? can_cublas(p) : "f32 only";
}
#endif

// The tiles' rows are blocks along x, their columns along y.
const char* can_tile(const GemmProblem& p) {
  if (const char* reason = f32_or_bf16(p)) return reason;
  return std::max(p.m, p.k) > INT_MAX || p.n > 64 * 65535 ? "a matrix is too large for the grid" : nullptr;
}

constexpr Entry<GemmProblem, GemmFn> product{
    "gemm.forward",
    {
#ifdef ATROUS_WITH_CUDA
        {"cublas_tf32", Device::cuda, can_cublas_tf32, gemm_cublas_tf32, {.accuracy = Accuracy::tf32}},
        {"cublas", Device::cuda, can_cublas, gemm_cublas},
#endif
        ATROUS_ON_GPU("tiled", can_tile, gemm_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, gemm_naive),
        {"conv2d",
         Device::cpu,
         can_by_conv2d,
         gemm_by_conv2d,
         {.accuracy = Accuracy::inherited, .needs = &needs_avx2}},
        {"ref", Device::cpu, f32_or_f64, gemm_ref},
    }};

void gemm_by_conv2d(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias,
                    const Tensor& y) {
  const Conv2dOptions options{.math = p.math};
  switch (p.form) {
    case GemmForm::nt: {
      Conv2dFusion fusion;
      fusion.bias = bias;
      conv2d(as_pixels(a), as_filter(b), options, fusion, as_pixels(y));
      return;
    }
    case GemmForm::nn:
      conv2d_backward_input(as_pixels(a), as_filter(b), options, {1, 1, p.m, p.n}, as_pixels(y), bias);
      return;
    case GemmForm::tn:
      y.copy_from(
          conv2d_backward_weight(as_pixels(a), as_pixels(b), options, {p.m, 1, 1, p.n}).reshape({p.m, p.n}));
      return;
  }
}

}  // namespace

DType GemmProblem::output_dtype() const {
  return form == GemmForm::tn ? parameter_dtype(dtype) : dtype;
}

double GemmProblem::bytes() const {
  return static_cast<double>(m * k + n * k + m * n) * static_cast<double>(size_of(dtype));
}

std::string GemmProblem::str() const {
  return fmt::format("{} {} m{} n{} k{}", atrous::name_of(dtype), name_of(form), m, n, k);
}

GemmProblem GemmProblem::make(const Shape& a, const Shape& b, GemmForm form, DType dtype, Math math) {
  ATROUS_CHECK(a.rank() == 2 && b.rank() == 2, ErrorKind::usage,
               "[gemm] both operands must be matrices. Got {} and {}. Reshape them.", a.str(), b.str());
  ATROUS_CHECK(dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16, ErrorKind::usage,
               "[gemm] the type must be f32, f64 or bf16. Got {} with {} and {}. Convert the tensors first.",
               atrous::name_of(dtype), a.str(), b.str());
  const bool a_transposed = form == GemmForm::tn, b_transposed = form == GemmForm::nt;
  const int64_t inner_a = a[a_transposed ? 0 : 1], inner_b = b[b_transposed ? 1 : 0];
  ATROUS_CHECK(
      inner_a == inner_b, ErrorKind::usage,
      "[gemm] the inner extents must agree. Got {} and {} in form {}: {} and {}. Transpose or reshape one.",
      a.str(), b.str(), name_of(form), inner_a, inner_b);
  return {a[a_transposed ? 1 : 0], b[b_transposed ? 0 : 1], inner_a, form, dtype, math};
}

Tensor gemm(const Tensor& a, const Tensor& b, GemmForm form, const Tensor& bias, Tensor out, Math math) {
  ATROUS_CHECK(a.defined() && b.defined() && a.dtype() == b.dtype(), ErrorKind::usage,
               "[gemm] the operands must have one type. Got {} and {}. Convert one of them.", a.describe(),
               b.describe());
  const GemmProblem p = GemmProblem::make(a.shape(), b.shape(), form, a.dtype(), math);
  if (bias.defined()) {
    ATROUS_CHECK(
        form != GemmForm::tn && bias.shape() == Shape({p.n}) && bias.dtype() == parameter_dtype(p.dtype),
        ErrorKind::usage,
        "[gemm] the bias must be {} [{}], and form tn takes none. Got {} with {}. Drop or reshape it.",
        atrous::name_of(parameter_dtype(p.dtype)), p.n, bias.describe(), p.str());
  }
  if (out.defined()) {
    ATROUS_CHECK(out.shape() == p.output_shape() && out.dtype() == p.output_dtype(), ErrorKind::usage,
                 "[gemm] out must be {} {}. Got {} with {}. Pass a tensor of that shape and type.",
                 atrous::name_of(p.output_dtype()), p.output_shape().str(), out.describe(), p.str());
    ATROUS_CHECK(!out.shares_memory_with(a) && !out.shares_memory_with(b), ErrorKind::usage,
                 "[gemm] out must not overlap an operand. Got {} with {}. Give it separate memory.",
                 out.describe(), p.str());
  } else {
    out = Tensor::empty(p.output_shape(), p.output_dtype(), a.device());
  }
  product(p, a, b, bias, writes(out));
  return out;
}

EntryList gemm_entries() {
  return {&product};
}

}  // namespace atrous::kernels
