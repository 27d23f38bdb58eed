// Depthwise convolution with the channels in vector registers.
//
// Forward and input gradient are the same walk: an output pixel sums products of pixels and filter taps, and
// along each axis the taps that count form an arithmetic progression (`Line`); only the progressions differ.
// The sum stays in registers for up to 64 channels. The weight gradient sums fixed chunks of rows into
// partial results that are added in order. A channel multiplier is reduced to 1 by repeating channels.
#include <cstring>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/pool2d.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d_impl.h"

namespace atrous::kernels {
namespace {

// The compiler maps these to whatever registers an instruction set has.
using Vec16 = float __attribute__((vector_size(64), aligned(4), may_alias));
using Vec8 = float __attribute__((vector_size(32), aligned(4), may_alias));

// The `count` taps that one output position of an axis uses: tap, tap + tap_step, ... at inputs at, at +
// step, ...
struct Line {
  int64_t count = 0, tap = 0, tap_step = 1, at = 0, step = 0;
};

Line line_of(const std::vector<std::pair<int64_t, int64_t>>& hits) {
  if (hits.empty()) return {};
  Line line{static_cast<int64_t>(hits.size()), hits[0].first, 1, hits[0].second, 0};
  if (hits.size() > 1) {
    line.tap_step = hits[1].first - hits[0].first;
    line.step = hits[1].second - hits[0].second;
  }
  return line;
}

std::vector<Line> forward_lines(int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t pad,
                                int64_t dilation) {
  std::vector<Line> lines;
  for (int64_t o = 0; o < out; ++o) {
    std::vector<std::pair<int64_t, int64_t>> hits;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t i = o * stride + t * dilation - pad;
      if (i >= 0 && i < in) hits.emplace_back(t, i);
    }
    lines.push_back(line_of(hits));
  }
  return lines;
}

// For each input, the outputs that used it.
std::vector<Line> backward_lines(int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t pad,
                                 int64_t dilation) {
  std::vector<Line> lines;
  for (int64_t i = 0; i < in; ++i) {
    std::vector<std::pair<int64_t, int64_t>> hits;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t scaled = i + pad - t * dilation;
      if (scaled >= 0 && scaled % stride == 0 && scaled / stride < out) hits.emplace_back(t, scaled / stride);
    }
    lines.push_back(line_of(hits));
  }
  return lines;
}

// One image plane of pixels.
struct Plane {
  const float* data;
  int64_t width, stride;  // pixels per row, elements per pixel
};

// Channels [c, c + V vectors) of one output pixel.
template <class Vec, int V>
inline __attribute__((always_inline)) void correlate_block(const Plane& from, const Line& row,
                                                           const Line& col, const float* w,
                                                           int64_t filter_width, int64_t channels,
                                                           const float* bias, float* y) {
  constexpr int64_t lanes = sizeof(Vec) / sizeof(float);
  Vec sum[V];
  for (int v = 0; v < V; ++v) sum[v] = bias ? *reinterpret_cast<const Vec*>(bias + v * lanes) : Vec{};
  for (int64_t i = 0; i < row.count; ++i) {
    const float* x = from.data + ((row.at + i * row.step) * from.width + col.at) * from.stride;
    const float* f = w + ((row.tap + i * row.tap_step) * filter_width + col.tap) * channels;
    for (int64_t j = 0; j < col.count; ++j, x += col.step * from.stride, f += col.tap_step * channels) {
      for (int v = 0; v < V; ++v) {
        sum[v] += *reinterpret_cast<const Vec*>(x + v * lanes) * *reinterpret_cast<const Vec*>(f + v * lanes);
      }
    }
  }
  for (int v = 0; v < V; ++v) *reinterpret_cast<Vec*>(y + v * lanes) = sum[v];
}

// One row of output pixels. w: [taps][channels].
ATROUS_MULTIVERSION void correlate_row(const Plane& plane, const Line& row, const Line* cols, int64_t width,
                                       const float* w, int64_t filter_width, int64_t channels,
                                       const float* bias, float* y, int64_t ys) {
  for (int64_t q = 0; q < width; ++q) {
    Plane from = plane;
    const float *f = w, *b = bias;
    float* to = y + q * ys;
    int64_t left = channels;
    auto advance = [&](int64_t n) {
      from.data += n, f += n, to += n, left -= n;
      if (b) b += n;
    };
    for (; left >= 64; advance(64))
      correlate_block<Vec16, 4>(from, row, cols[q], f, filter_width, channels, b, to);
    for (; left >= 32; advance(32))
      correlate_block<Vec16, 2>(from, row, cols[q], f, filter_width, channels, b, to);
    for (; left >= 16; advance(16)) correlate_block<Vec16, 1>(from, row, cols[q], f, filter_width, channels, b, to);
    for (; left >= 8; advance(8))
      correlate_block<Vec8, 1>(from, row, cols[q], f, filter_width, channels, b, to);
    for (; left > 0; advance(1))
      correlate_block<float, 1>(from, row, cols[q], f, filter_width, channels, b, to);
  }
}

// The filter [K,R,S,1] as [R*S][K]: the taps of neighbouring channels become neighbours.
Tensor filter_by_tap(const Conv2dProblem& p, const Tensor& w) {
  const int64_t taps = p.r * p.s;
  const Tensor packed = Tensor::empty({taps, p.k});
  for (int64_t k = 0; k < p.k; ++k) {
    for (int64_t t = 0; t < taps; ++t) {
      packed.data<float>()[t * p.k + k] = w.data<float>()[(k * taps + t) * w.pixel_stride()];
    }
  }
  return packed;
}

// x with each channel `times` times in a row.
Tensor repeat_channels(const Tensor& x, int64_t times) {
  if (times == 1) return x;
  const int64_t channels = x.channels();
  const Tensor wide = Tensor::empty(x.shape().with(-1, channels * times));
  parallel_for(x.pixels(), rows_per_chunk(channels * times), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.data<float>() + i * x.pixel_stride();
      float* to = wide.data<float>() + i * channels * times;
      for (int64_t c = 0; c < channels; ++c) std::fill_n(to + c * times, times, from[c]);
    }
  });
  return wide;
}

void correlate(const std::vector<Line>& rows, const std::vector<Line>& cols, const Tensor& from,
               const Tensor& w, int64_t filter_width, const float* bias, const Tensor& to) {
  const int64_t height = to.dim(1), width = to.dim(2), channels = to.channels();
  const int64_t plane = from.dim(1) * from.dim(2) * from.pixel_stride();
  parallel_for(to.dim(0) * height, rows_per_chunk(width * channels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Plane image{from.data<float>() + i / height * plane, from.dim(2), from.pixel_stride()};
      correlate_row(image, rows[static_cast<size_t>(i % height)], cols.data(), width, w.data<float>(),
                    filter_width, channels, bias, to.data<float>() + i * width * to.pixel_stride(),
                    to.pixel_stride());
    }
  });
}

// acc += sum over q of dy[q]*x[q] for V vectors of channels; U sums in turn hide the latency of the
// additions.
template <class Vec, int V, int U>
inline __attribute__((always_inline)) void multiply_add_row(const float* dy, int64_t ys, const float* x,
                                                            int64_t xs, int64_t count, float* acc) {
  constexpr int64_t lanes = sizeof(Vec) / sizeof(float);
  Vec sum[U][V] = {};
  int64_t q = 0;
  for (; q + U <= count; q += U) {
    for (int u = 0; u < U; ++u) {
      for (int v = 0; v < V; ++v) {
        sum[u][v] += *reinterpret_cast<const Vec*>(dy + (q + u) * ys + v * lanes) *
                     *reinterpret_cast<const Vec*>(x + (q + u) * xs + v * lanes);
      }
    }
  }
  for (; q < count; ++q) {
    for (int v = 0; v < V; ++v) {
      sum[0][v] += *reinterpret_cast<const Vec*>(dy + q * ys + v * lanes) *
                   *reinterpret_cast<const Vec*>(x + q * xs + v * lanes);
    }
  }
  for (int v = 0; v < V; ++v) {
    for (int u = 1; u < U; ++u) sum[0][v] += sum[u][v];
    *reinterpret_cast<Vec*>(acc + v * lanes) += sum[0][v];
  }
}

// The products of one row of dy with one row of x at one tap, for all channels.
ATROUS_MULTIVERSION void multiply_add_channels(const float* dy, int64_t ys, const float* x, int64_t xs,
                                               int64_t count, int64_t channels, float* acc) {
  int64_t c = 0;
  for (; c + 64 <= channels; c += 64) multiply_add_row<Vec16, 4, 1>(dy + c, ys, x + c, xs, count, acc + c);
  for (; c + 16 <= channels; c += 16) multiply_add_row<Vec16, 1, 4>(dy + c, ys, x + c, xs, count, acc + c);
  for (; c + 8 <= channels; c += 8) multiply_add_row<Vec8, 1, 4>(dy + c, ys, x + c, xs, count, acc + c);
  for (; c < channels; ++c) multiply_add_row<float, 1, 4>(dy + c, ys, x + c, xs, count, acc + c);
}

// One row of dy: adds to acc [taps][channels]. x has the channels of dy.
void weight_gradient_row(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, int64_t row, float* acc) {
  const int64_t rows = p.p(), columns = p.q(), ys = dy.pixel_stride(), xs = x.pixel_stride();
  for (int64_t r = 0; r < p.r; ++r) {
    const int64_t h = row % rows * p.stride_h + r * p.dilation_h - p.pad_h;
    if (h < 0 || h >= p.h) continue;
    for (int64_t s = 0; s < p.s; ++s) {
      // Columns q with 0 <= q*stride + offset < w.
      const int64_t offset = s * p.dilation_w - p.pad_w;
      const int64_t first = offset < 0 ? (-offset + p.stride_w - 1) / p.stride_w : 0;
      const int64_t last = offset < p.w ? std::min(columns, (p.w - offset + p.stride_w - 1) / p.stride_w) : 0;
      if (first >= last) continue;
      const int64_t at = (row / rows * p.h + h) * p.w + first * p.stride_w + offset;
      multiply_add_channels(dy.data<float>() + (row * columns + first) * ys, ys, x.data<float>() + at * xs,
                            p.stride_w * xs, last - first, p.k, acc + (r * p.s + s) * p.k);
    }
  }
}

}  // namespace

void depthwise_forward_vector(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias,
                              const Tensor& y) {
  correlate(forward_lines(p.h, p.p(), p.r, p.stride_h, p.pad_h, p.dilation_h),
            forward_lines(p.w, p.q(), p.s, p.stride_w, p.pad_w, p.dilation_w), repeat_channels(x, p.k / p.c),
            filter_by_tap(p, w), p.s, bias.defined() ? bias.data<float>() : nullptr, y);
}

void depthwise_backward_input_vector(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                     const Tensor& dx) {
  const int64_t multiplier = p.k / p.c;
  const Tensor wide = multiplier == 1 ? dx : Tensor::empty(dx.shape().with(-1, p.k));
  correlate(backward_lines(p.h, p.p(), p.r, p.stride_h, p.pad_h, p.dilation_h),
            backward_lines(p.w, p.q(), p.s, p.stride_w, p.pad_w, p.dilation_w), dy, filter_by_tap(p, w), p.s,
            nullptr, wide);
  if (multiplier == 1) return;
  parallel_for(dx.pixels(), rows_per_chunk(p.k), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = wide.data<float>() + i * p.k;
      for (int64_t c = 0; c < p.c; ++c, from += multiplier) {
        float sum = 0;
        for (int64_t j = 0; j < multiplier; ++j) sum += from[j];
        dx.data<float>()[i * dx.pixel_stride() + c] = sum;
      }
    }
  });
}

void depthwise_backward_weight_vector(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                      const Tensor& dw) {
  const Tensor wide = repeat_channels(x, p.k / p.c);
  const int64_t rows = p.n * p.p(), taps = p.r * p.s;
  // At most 64 partial results: their memory and the final sum stay small next to dy.
  const int64_t grain = std::max(rows_per_chunk(p.q() * p.k), (rows + 63) / 64);
  const int64_t chunks = (rows + grain - 1) / grain;
  const Tensor partial = Tensor::zeros({chunks, taps, p.k});
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    float* acc = partial.data<float>() + begin / grain * taps * p.k;
    for (int64_t row = begin; row < end; ++row) weight_gradient_row(p, dy, wide, row, acc);
  });
  for (int64_t k = 0; k < p.k; ++k) {
    for (int64_t t = 0; t < taps; ++t) {
      double sum = 0;
      for (int64_t i = 0; i < chunks; ++i) sum += partial.data<float>()[(i * taps + t) * p.k + k];
      dw.data<float>()[k * taps + t] = static_cast<float>(sum);
    }
  }
}

}  // namespace atrous::kernels
