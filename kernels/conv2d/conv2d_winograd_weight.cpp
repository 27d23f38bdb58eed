// The gradient of a filter in the domain of Winograd F(4x4, 3x3): see conv2d_winograd.cpp and winograd.h.
//
// The sum runs over tiles, chunk after chunk; within a chunk first the tiles, then the products are spread
// over the threads, so that every sum has one order. No size here depends on the number of threads.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/winograd.h"

namespace atrous::kernels {
namespace {

using namespace winograd;

constexpr int64_t chunk_floats = 1 << 20;  // of a chunk's transformed tiles

// The cost rule of conv2d_winograd.cpp, with the gradient of the transformed filter in place of the filter.
//
//   ms, from memory     Winograd  direct
//    8x8   c512          9.1      3.4
//   15x20  c512         13.1      9.6
//   23x30  c512         21.0     21.1
//   16x16  c256          3.0      2.4
//   32x32  c256          6.2      7.2
//   16x16  c128          0.73     1.35
//   32x32  c128          1.4      2.4
bool winograd_is_faster(const Conv2dProblem& p) {
  constexpr int64_t cached_filter = 128 * 128;  // channel pairs: 2.4 MB transformed
  const int64_t fixed = p.c * p.k <= cached_filter ? 1000 : 3000;
  return elements * Tiling(p.n, p.p(), p.q()).count() + fixed < 9 * p.n * p.p() * p.q();
}

}  // namespace

const char* conv2d_why_not_winograd_weight(const Conv2dProblem& p) {
  if (const char* reason = why_not_possible(p)) return reason;
  return winograd_is_faster(p) ? nullptr : "so few pixels that direct sums are faster";
}
const char* conv2d_why_not_winograd_weight_for_few_pixels(const Conv2dProblem& p) {
  if (const char* reason = why_not_possible(p)) return reason;
  return winograd_is_faster(p) ? "so many pixels that it stands first" : nullptr;
}

void conv2d_backward_weight_winograd(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                     const Tensor& dw) {
  const Tiling tiling(p.n, p.p(), p.q());
  const int64_t tiles = tiling.count();
  const int64_t chunk = std::min(tiles, std::max<int64_t>(32, chunk_floats / (elements * (p.c + p.k))));
  const int64_t v_stride = chunk * p.c + skew, d_stride = chunk * p.k + skew, du_stride = p.k * p.c + skew;
  const FloatBuffer v(elements * v_stride), d(elements * d_stride);
  const Tensor du = Tensor::zeros({elements, du_stride});
  const Map input{x.data<float>(), p.h, p.w, p.c, x.pixel_stride()};
  const Map gradient{dy.data<float>(), p.p(), p.q(), p.k, dy.pixel_stride()};
  const int64_t k_blocks = p.k / lanes;
  for (int64_t first = 0; first < tiles; first += chunk) {
    const int64_t count = std::min(chunk, tiles - first);
    parallel_for(count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t image = tiling.image(first + t), top = tiling.top(first + t),
                      left = tiling.left(first + t);
        transform_input_avx512(input, {}, image, top - p.pad_h, left - p.pad_w, v.data() + t * p.c, v_stride);
        transform_gradient_avx512(gradient, image, top, left, d.data() + t * p.k, d_stride);
      }
    });
    parallel_for(elements * k_blocks, std::max<int64_t>(1, k_blocks / 4), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t e = i / k_blocks, k = i % k_blocks * lanes;
        accumulate_avx512(d.data() + e * d_stride + k, p.k, v.data() + e * v_stride, p.c, count,
                          du.data<float>() + e * du_stride + k * p.c);
      }
    });
  }
  parallel_for(p.k, 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      inverse_transform_filter_avx512(du.data<float>() + k * p.c, du_stride, p.c,
                                      dw.data<float>() + k * 9 * p.c);
    }
  });
}

}  // namespace atrous::kernels
