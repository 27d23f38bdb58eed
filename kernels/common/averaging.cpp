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

// Few large rectangles (a global average is one per image): their rows are distributed in blocks, each block
// sums into a separate row of `partial`, and the blocks are added in order.
void average_large(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels(), xs = x.pixel_stride(), outputs = y.pixels();
  const int64_t block_rows = rows_per_chunk(cols.longest() * channels);
  const int64_t blocks = (rows.longest() + block_rows - 1) / block_rows;
  const Tensor partial = Tensor::empty({outputs, blocks, channels});
  parallel_for(outputs * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t out = job / blocks, ow = out % cols.out, oh = out / cols.out % rows.out;
      const int64_t n = out / (cols.out * rows.out);
      const auto [first_row, end_row] = rows.inputs(oh);
      const auto [left, right] = cols.inputs(ow);
      const int64_t top = first_row + job % blocks * block_rows;
      const int64_t bottom = std::min(end_row, top + block_rows);
      float* acc = partial.data<float>() + job * channels;
      std::fill_n(acc, channels, 0.f);
      for (int64_t h = top; h < bottom; ++h) {
        add_pixels(x.data<float>() + ((n * rows.in + h) * cols.in + left) * xs, right - left, xs, channels,
                   acc);
      }
    }
  });
  parallel_for(outputs, rows_per_chunk(blocks * channels), [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out) {
      float* target = y.data<float>() + out * y.pixel_stride();
      std::fill_n(target, channels, 0.f);
      add_pixels(partial.data<float>() + out * blocks * channels, blocks, channels, channels, target);
      divide(channels, static_cast<float>(rows.count(out / cols.out % rows.out) * cols.count(out % cols.out)),
             target);
    }
  });
}

}  // namespace

const char* needs_large_averages(const AveragingAxis& rows, const AveragingAxis& cols) {
  return rows.longest() * cols.longest() < 64 ? "takes averages of at least 64 pixels only" : nullptr;
}

void average_forward(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels(), xs = x.pixel_stride();
  const int64_t elements = rows.longest() * cols.longest() * channels;
  if (elements > 65536) return average_large(rows, cols, x, y);
  parallel_for(y.pixels(), rows_per_chunk(elements), [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out) {
      const int64_t ow = out % cols.out, oh = out / cols.out % rows.out, n = out / (cols.out * rows.out);
      float* target = y.data<float>() + out * y.pixel_stride();
      std::fill_n(target, channels, 0.f);
      const auto [top, bottom] = rows.inputs(oh);
      const auto [left, right] = cols.inputs(ow);
      for (int64_t h = top; h < bottom; ++h) {
        add_pixels(x.data<float>() + ((n * rows.in + h) * cols.in + left) * xs, right - left, xs, channels,
                   target);
      }
      divide(channels, static_cast<float>(rows.count(oh) * cols.count(ow)), target);
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
      const auto [oh_begin, oh_end] = rows.outputs(h);
      const auto [ow_begin, ow_end] = cols.outputs(w);
      for (int64_t oh = oh_begin; oh < oh_end; ++oh) {
        for (int64_t ow = ow_begin; ow < ow_end; ++ow) {
          const float scale = 1.f / static_cast<float>(rows.count(oh) * cols.count(ow));
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
