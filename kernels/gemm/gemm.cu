// Matrix product of row-major matrices:  y[i,j] = sum_l a * b + bias[j], forms in gemm.h.
//
//   naive    a thread per element of y, the formula
//   tiled    64x64 results in the registers of a block, slabs of both factors in shared memory: a value
//            read from memory takes part in 64 products (matrix_product.cuh)
//   cublas   NVIDIA's library, where there is one (gemm_cublas.cpp)
//
// y of form tn is the gradient of a weight and therefore f32 with bf16 operands.
#include "kernels/gemm/gemm_impl.h"
#include "kernels/gemm/matrix_product.cuh"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

const float* bias_of(const Tensor& bias) {
  return bias.defined() ? bias.device_data<float>() : nullptr;
}

// f(type of a and b, type of y).
template <class F>
void visit_types(const GemmProblem& p, F&& f) {
  visit_activation(p.dtype, [&](auto in) {
    if (p.form == GemmForm::tn)
      f(in, float{});
    else
      f(in, in);
  });
}

template <class T, class Out>
__global__ void __launch_bounds__(threads)
    gemm_naive_kernel(GemmProblem p, Pixels<const T> a, Pixels<const T> b, const float* bias, Pixels<Out> y) {
  const int64_t at = blockIdx.x * int64_t{threads} + threadIdx.x;
  if (at >= p.m * p.n) return;
  const int64_t i = at / p.n, j = at % p.n;
  float sum = bias ? bias[j] : 0.f;
  for (int64_t l = 0; l < p.k; ++l) {
    const T left = p.form == GemmForm::tn ? a.at(l)[i] : a.at(i)[l];
    const T right = p.form == GemmForm::nt ? b.at(j)[l] : b.at(l)[j];
    sum += static_cast<float>(left) * static_cast<float>(right);
  }
  y.at(i)[j] = static_cast<Out>(sum);
}

template <class Out>
__global__ void __launch_bounds__(threads)
    gemm_add_bias_kernel(const float* product, const float* bias, Pixels<Out> y, int64_t count, int64_t n) {
  const int64_t at = blockIdx.x * int64_t{threads} + threadIdx.x;
  if (at < count) y.at(at / n)[at % n] = static_cast<Out>(product[at] + bias[at % n]);
}

template <class T, int Width>
MatrixFactor<T, Width> factor_of(const Tensor& t) {
  return {t.device_data<T>(), t.pixel_stride(), narrow<int>(t.dim(0), "gemm"), narrow<int>(t.dim(1), "gemm")};
}

template <class T, class Out, int Width>
void run_tiled(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const auto left = factor_of<T, Width>(a), right = factor_of<T, Width>(b);
  const MatrixReceiver<Out, Width> out{pixels_of<Out>(y), bias_of(bias)};
  const ProductSize size = product_size(p.m, p.n, p.k);
  if constexpr (std::is_same_v<T, Out>) {
    if (p.form == GemmForm::nt)
      return matrix_product<false, false, Width>(left, right, out, size, y.device());
    if (p.form == GemmForm::nn) return matrix_product<false, true, Width>(left, right, out, size, y.device());
  }
  matrix_product<true, true, Width>(left, right, out, size, y.device());
}

}  // namespace

void gemm_naive(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  visit_types(p, [&](auto in, auto result) {
    using T = decltype(in);
    using Out = decltype(result);
    launch<gemm_naive_kernel<T, Out>>({blocks_for(p.m * p.n, threads), threads}, p, pixels_of<const T>(a),
                                      pixels_of<const T>(b), bias_of(bias), pixels_of<Out>(y));
  });
}

void gemm_tiled(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  visit_types(p, [&](auto in, auto result) {
    using T = decltype(in);
    using Out = decltype(result);
    vectorises(a, 4) && vectorises(b, 4) && vectorises(y, 4) ? run_tiled<T, Out, 4>(p, a, b, bias, y)
                                                             : run_tiled<T, Out, 1>(p, a, b, bias, y);
  });
}

void gemm_add_bias(const Tensor& product, const Tensor& bias, const Tensor& y) {
  visit_activation(y.dtype(), [&](auto result) {
    using Out = decltype(result);
    launch<gemm_add_bias_kernel<Out>>({blocks_for(y.numel(), threads), threads}, product.device_data<float>(),
                                      bias.device_data<float>(), pixels_of<Out>(y), y.numel(), y.dim(1));
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
