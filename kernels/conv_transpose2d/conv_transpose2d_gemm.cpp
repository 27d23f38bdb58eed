// Transposed convolution whose filter is as large as its stride (2x2 stride 2 in U-Net).
//
// Each pixel of x then owns an RxS patch of y, and the filter [K,R,S,C] is a matrix [K, R*S*C] as it stands:
//
//   patches [N*H*W, R*S*C] = x [N*H*W, K] * filter,   y = patches, unfolded
//
// so no pass needs a filter transposed, and the tall products run at the speed of gemm. Unfolding is one copy
// of y, which also adds the bias and steps over the pixel stride of a concatenation.
#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/pool2d.h"
#include "kernels/conv_transpose2d/conv_transpose2d_impl.h"
#include "kernels/gemm/gemm.h"

namespace atrous::kernels {
namespace {

ATROUS_MULTIVERSION void add(int64_t n, const float* __restrict a, const float* __restrict b,
                             float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

// x as a matrix with one row per pixel.
Tensor as_rows(const Tensor& x) {
  return x.reshape({x.pixels(), x.channels()});
}

// Calls f(offset into patches, pixel of y) for each pixel of y; rows of x in parallel.
template <class F>
void for_each_pixel(const Conv2dProblem& p, F f) {
  const int64_t in_w = p.q(), patch = p.r * p.s * p.c;
  parallel_for(p.n * p.p(), rows_per_chunk(in_w * patch), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t r = 0; r < p.r; ++r) {
        int64_t pixel = (row * p.r + r) * p.w;
        for (int64_t w = 0; w < in_w; ++w) {
          for (int64_t s = 0; s < p.s; ++s, ++pixel) {
            f((row * in_w + w) * patch + (r * p.s + s) * p.c, pixel);
          }
        }
      }
    }
  });
}

// dy, folded: [N*H*W, R*S*C].
Tensor fold(const Conv2dProblem& p, const Tensor& dy) {
  const Tensor patches = Tensor::empty({p.n * p.p() * p.q(), p.r * p.s * p.c});
  for_each_pixel(p, [&](int64_t offset, int64_t pixel) {
    std::copy_n(dy.data<float>() + pixel * dy.pixel_stride(), p.c, patches.data<float>() + offset);
  });
  return patches;
}

}  // namespace

const char* conv_transpose2d_gemm_why_not(const ConvTranspose2dProblem& problem) {
  const Conv2dProblem& p = problem.conv;
  if (p.dtype != DType::f32) return "takes f32 only";
  if (p.groups != 1) return "takes one group only";
  if (p.r != p.stride_h || p.s != p.stride_w || p.dilation_h != 1 || p.dilation_w != 1)
    return "patches overlap";
  if (p.pad_h || p.pad_w || p.h % p.r || p.w % p.s) return "takes no padding";
  return nullptr;
}

void conv_transpose2d_forward_gemm(const ConvTranspose2dProblem& problem, const Tensor& x, const Tensor& w,
                                   const Tensor& bias, const Tensor& y) {
  const Conv2dProblem& p = problem.conv;
  const Tensor filter = w.contiguous_copy_if_needed().reshape({p.k, p.r * p.s * p.c});
  const Tensor patches = gemm(as_rows(x), filter, GemmForm::nn);
  const float* constant = bias.defined() ? bias.data<float>() : nullptr;
  for_each_pixel(p, [&](int64_t offset, int64_t pixel) {
    const float* from = patches.data<float>() + offset;
    float* to = y.data<float>() + pixel * y.pixel_stride();
    if (constant) {
      add(p.c, from, constant, to);
    } else {
      std::copy_n(from, p.c, to);
    }
  });
}

void conv_transpose2d_backward_input_gemm(const ConvTranspose2dProblem& problem, const Tensor& dy,
                                          const Tensor& w, const Tensor& dx) {
  const Conv2dProblem& p = problem.conv;
  const Tensor filter = w.contiguous_copy_if_needed().reshape({p.k, p.r * p.s * p.c});
  gemm(fold(p, dy), filter, GemmForm::nt, {}, as_rows(dx));
}

void conv_transpose2d_backward_weight_gemm(const ConvTranspose2dProblem& problem, const Tensor& dy,
                                           const Tensor& x, const Tensor& dw) {
  const Conv2dProblem& p = problem.conv;
  gemm(as_rows(x), fold(p, dy), GemmForm::tn, {}, dw.reshape({p.k, p.r * p.s * p.c}));
}

}  // namespace atrous::kernels
