#include "kernels/common/averaging.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/pool2d.h"

namespace atrous::kernels {
namespace {

// acc[c] += sum of `count` pixels. Four at a time: a quarter of the traffic on acc, and shorter chains of
// rounding.
ATROUS_MULTIVERSION void add_pixels(const float* __restrict x, int64_t count, int64_t stride,
                                    int64_t channels, float* __restrict acc) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4, x += 4 * stride) {
    const float *x1 = x + stride, *x2 = x + 2 * stride, *x3 = x + 3 * stride;
    for (int64_t c = 0; c < channels; ++c) acc[c] += (x[c] + x1[c]) + (x2[c] + x3[c]);
  }
  for (; i < count; ++i, x += stride) {
    for (int64_t c = 0; c < channels; ++c) acc[c] += x[c];
  }
}

ATROUS_MULTIVERSION void divide(int64_t n, float divisor, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] /= divisor;
}

ATROUS_MULTIVERSION void scale_or_add(int64_t n, const float* __restrict dy, float scale, bool first,
                                      float* __restrict dx) {
  if (first) {
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * scale;
  } else {
    for (int64_t i = 0; i < n; ++i) dx[i] += dy[i] * scale;
  }
}

int64_t longest(const AveragingAxis& axis) {
  int64_t length = 0;
  for (int64_t i = 0; i < axis.out; ++i) length = std::max(length, axis.end[i] - axis.begin[i]);
  return length;
}

// Few large rectangles (a global average is one per image): their rows are shared out in blocks, each block
// sums into a row of its own of `partial`, and the blocks are added in order.
void average_large(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels(), xs = x.pixel_stride(), outputs = y.pixels();
  const int64_t block_rows = rows_per_chunk(longest(cols) * channels);
  const int64_t blocks = (longest(rows) + block_rows - 1) / block_rows;
  const Tensor partial = Tensor::empty({outputs, blocks, channels});
  parallel_for(outputs * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t out = job / blocks, ow = out % cols.out, oh = out / cols.out % rows.out;
      const int64_t n = out / (cols.out * rows.out);
      const int64_t top = rows.begin[oh] + job % blocks * block_rows;
      const int64_t bottom = std::min(rows.end[oh], top + block_rows);
      float* acc = partial.data<float>() + job * channels;
      std::fill_n(acc, channels, 0.f);
      for (int64_t h = top; h < bottom; ++h) {
        add_pixels(x.data<float>() + ((n * rows.in + h) * cols.in + cols.begin[ow]) * xs,
                   cols.end[ow] - cols.begin[ow], xs, channels, acc);
      }
    }
  });
  parallel_for(outputs, rows_per_chunk(blocks * channels), [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out) {
      float* target = y.data<float>() + out * y.pixel_stride();
      std::fill_n(target, channels, 0.f);
      add_pixels(partial.data<float>() + out * blocks * channels, blocks, channels, channels, target);
      divide(channels, static_cast<float>(rows.count[out / cols.out % rows.out] * cols.count[out % cols.out]),
             target);
    }
  });
}

}  // namespace

AveragingAxis AveragingAxis::windows(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                                     bool count_include_pad) {
  AveragingAxis axis;
  axis.in = in;
  axis.out = out;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t start = i * stride - pad, stop = std::min(start + kernel, in + pad);
    axis.begin.push_back(std::max<int64_t>(start, 0));
    axis.end.push_back(std::min(stop, in));
    axis.count.push_back(count_include_pad ? stop - start : axis.end.back() - axis.begin.back());
  }
  axis.find_outputs();
  return axis;
}

AveragingAxis AveragingAxis::bins(int64_t in, int64_t out) {
  AveragingAxis axis;
  axis.in = in;
  axis.out = out;
  for (int64_t i = 0; i < out; ++i) {
    axis.begin.push_back(i * in / out);
    axis.end.push_back(((i + 1) * in + out - 1) / out);
    axis.count.push_back(axis.end.back() - axis.begin.back());
  }
  axis.find_outputs();
  return axis;
}

void AveragingAxis::find_outputs() {
  int64_t o_first = 0, o_last = 0;
  for (int64_t i = 0; i < in; ++i) {
    while (o_first < out && end[o_first] <= i) ++o_first;
    while (o_last < out && begin[o_last] <= i) ++o_last;
    first.push_back(o_first);
    last.push_back(o_last);
  }
}

void average_forward(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels(), xs = x.pixel_stride();
  const int64_t elements = longest(rows) * longest(cols) * channels;
  if (elements > 65536) return average_large(rows, cols, x, y);
  parallel_for(y.pixels(), rows_per_chunk(elements), [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out) {
      const int64_t ow = out % cols.out, oh = out / cols.out % rows.out, n = out / (cols.out * rows.out);
      float* target = y.data<float>() + out * y.pixel_stride();
      std::fill_n(target, channels, 0.f);
      for (int64_t h = rows.begin[oh]; h < rows.end[oh]; ++h) {
        add_pixels(x.data<float>() + ((n * rows.in + h) * cols.in + cols.begin[ow]) * xs,
                   cols.end[ow] - cols.begin[ow], xs, channels, target);
      }
      divide(channels, static_cast<float>(rows.count[oh] * cols.count[ow]), target);
    }
  });
}

void average_backward(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& dy,
                      const Tensor& dx) {
  const int64_t channels = dx.channels();
  parallel_for(dx.pixels(), rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    for (int64_t in = begin; in < end; ++in) {
      const int64_t w = in % cols.in, h = in / cols.in % rows.in, n = in / (cols.in * rows.in);
      float* target = dx.data<float>() + in * dx.pixel_stride();
      bool first = true;
      for (int64_t oh = rows.first[h]; oh < rows.last[h]; ++oh) {
        for (int64_t ow = cols.first[w]; ow < cols.last[w]; ++ow) {
          const float scale = 1.f / static_cast<float>(rows.count[oh] * cols.count[ow]);
          const float* gradient =
              dy.data<float>() + ((n * rows.out + oh) * cols.out + ow) * dy.pixel_stride();
          scale_or_add(channels, gradient, scale, first, target);
          first = false;
        }
      }
      if (first) std::fill_n(target, channels, 0.f);  // between windows
    }
  });
}

}  // namespace atrous::kernels
