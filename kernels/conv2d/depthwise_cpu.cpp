// Depthwise convolution with the channels in vector registers.
//
// Forward and input gradient are the same walk: an output pixel sums products of pixels and filter taps, and
// along each axis the taps that count form an arithmetic progression (`Line`); only the progressions differ.
// The sums of 32 channels of four pixels stay in registers and share what is read of the filter. The weight
// gradient keeps the sums of 32 channels of one filter row; fixed blocks of rows have partial results that
// are added in order. A channel multiplier is reduced to 1 by repeating channels.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/common/pool2d.h"
#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

// The compiler maps these to the registers of each instruction set.
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

// Output columns first, first + step, ... whose lines differ only in that the inputs move on by at_step.
struct Columns {
  int64_t first, step, count;
  Line line;
  int64_t at_step;
};

// Columns `period` apart are alike: away from the borders, they become one entry.
std::vector<Columns> group_columns(const std::vector<Line>& lines, int64_t period) {
  std::vector<Columns> groups;
  const auto count = static_cast<int64_t>(lines.size());
  for (int64_t first = 0; first < std::min(period, count); ++first) {
    for (int64_t q = first; q < count; q += period) {
      const Line& line = lines[static_cast<size_t>(q)];
      if (q > first) {
        Columns& last = groups.back();
        const int64_t moved = line.at - lines[static_cast<size_t>(q - period)].at;
        if (line.count == last.line.count && line.tap == last.line.tap &&
            line.tap_step == last.line.tap_step && line.step == last.line.step &&
            (last.count == 1 || moved == last.at_step)) {
          last.at_step = moved;
          ++last.count;
          continue;
        }
      }
      groups.push_back({q, period, 1, line, 0});
    }
  }
  return groups;
}

// One image plane of pixels.
struct Plane {
  const float* data;
  int64_t width, stride;  // pixels per row, elements per pixel
};

// A row of outputs: `columns` of them from the rows `row` of `from`, with the filter w [taps][channels].
struct RowCorrelation {
  Plane from;
  Line row;
  const std::vector<Columns>& columns;
  const float* w;
  int64_t filter_width, channels;
  const float* bias;  // or null
  float* y;
  int64_t ys;  // elements per output pixel
};

// Channels [c, c + V vectors) of Q output pixels, the first of which has the line `col`.
template <class Vec, int V, int Q>
inline __attribute__((always_inline)) void correlate_block(const RowCorrelation& p, int64_t c,
                                                           const Line& col, const Columns& columns,
                                                           float* y) {
  constexpr int64_t lanes = int64_t{sizeof(Vec)} / int64_t{sizeof(float)};
  const int64_t x_step = columns.at_step * p.from.stride, y_step = columns.step * p.ys;
  Vec sum[Q][V];
  for (int q = 0; q < Q; ++q) {
    for (int v = 0; v < V; ++v)
      sum[q][v] = p.bias ? *reinterpret_cast<const Vec*>(p.bias + c + v * lanes) : Vec{};
  }
  for (int64_t i = 0; i < p.row.count; ++i) {
    const float* x = p.from.data + ((p.row.at + i * p.row.step) * p.from.width + col.at) * p.from.stride + c;
    const float* f = p.w + ((p.row.tap + i * p.row.tap_step) * p.filter_width + col.tap) * p.channels + c;
    for (int64_t j = 0; j < col.count; ++j, x += col.step * p.from.stride, f += col.tap_step * p.channels) {
      for (int v = 0; v < V; ++v) {
        const Vec tap = *reinterpret_cast<const Vec*>(f + v * lanes);
        for (int q = 0; q < Q; ++q)
          sum[q][v] += *reinterpret_cast<const Vec*>(x + q * x_step + v * lanes) * tap;
      }
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int v = 0; v < V; ++v) *reinterpret_cast<Vec*>(y + c + q * y_step + v * lanes) = sum[q][v];
  }
}

// Channels [c, c + V vectors) of all columns: x and w shared by neighbours stay in the first-level cache.
template <class Vec, int V>
inline __attribute__((always_inline)) void correlate_channels(const RowCorrelation& p, int64_t c) {
  constexpr int64_t line = 16;  // floats
  for (const Columns& columns : p.columns) {
    Line col = columns.line;
    float* y = p.y + columns.first * p.ys;
    const int64_t y_step = columns.step * p.ys;
    // The row of x that the next row of outputs reads first; a walk along pixels has steps too large for the
    // hardware prefetcher to detect.
    const int64_t next = std::max(p.row.at, p.row.at + (p.row.count - 1) * p.row.step) + 1;
    const float* ahead = p.from.data + (next * p.from.width + col.at) * p.from.stride + c;
    int64_t i = 0;
    for (; i + 4 <= columns.count; i += 4, col.at += 4 * columns.at_step, y += 4 * y_step) {
      for (int64_t q = 0; q < 4 * columns.at_step; ++q, ahead += p.from.stride) {
        for (int64_t v = 0; v < V; ++v) __builtin_prefetch(ahead + v * line);
      }
      for (int64_t q = 8; q < 12; ++q) {
        for (int64_t v = 0; v < V; ++v) __builtin_prefetch(y + c + q * y_step + v * line, 1);
      }
      correlate_block<Vec, V, 4>(p, c, col, columns, y);
    }
    for (; i < columns.count; ++i, col.at += columns.at_step, y += y_step)
      correlate_block<Vec, V, 1>(p, c, col, columns, y);
  }
}

ATROUS_MULTIVERSION void correlate_row(const RowCorrelation& p, int64_t c, int64_t c_end) {
  for (; c + 32 <= c_end; c += 32) correlate_channels<Vec16, 2>(p, c);
  for (; c + 16 <= c_end; c += 16) correlate_channels<Vec16, 1>(p, c);
  for (; c + 8 <= c_end; c += 8) correlate_channels<Vec8, 1>(p, c);
  for (; c < c_end; ++c) correlate_channels<float, 1>(p, c);
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

// Tasks: blocks of rows of one image, which share most of the input rows that they read, times blocks of
// channels, so that there are enough of them. Depends on the problem alone.
class Tasks {
 public:
  struct Task {
    int64_t block, first, last;  // a block of rows: its number and its rows, counted through the images
    int64_t c, c_end;
  };

  // `shared`: how many input rows of a row of outputs the next one reads too.
  Tasks(int64_t images, int64_t height, int64_t shared, int64_t channels)
      : height_(height),
        channels_(channels),
        blocks_per_image_(ceil_div(height, std::max<int64_t>(16, 8 * shared))) {
    constexpr int64_t wanted = 8, narrowest = 64, unit = 32;
    const int64_t parts = std::clamp<int64_t>(wanted / std::max<int64_t>(1, images * blocks_per_image_), 1,
                                              ceil_div(channels, narrowest));
    width_ = ceil_div(channels, parts * unit) * unit;
    row_blocks_ = images * blocks_per_image_;
    channel_blocks_ = ceil_div(channels, width_);
  }

  int64_t row_blocks() const { return row_blocks_; }

  template <class F>
  void run(F f) const {
    parallel_for(row_blocks_ * channel_blocks_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / channel_blocks_, c = i % channel_blocks_ * width_;
        const int64_t image = block / blocks_per_image_, part = block % blocks_per_image_;
        f(Task{block, image * height_ + part * height_ / blocks_per_image_,
               image * height_ + (part + 1) * height_ / blocks_per_image_, c,
               std::min(channels_, c + width_)});
      }
    });
  }

 private:
  int64_t height_, channels_, blocks_per_image_;
  int64_t width_ = 0, row_blocks_ = 0, channel_blocks_ = 0;  // width_: channels of a block
};

// cols come in groups of columns that are `period` apart.
void correlate(const std::vector<Line>& rows, const std::vector<Line>& cols, int64_t period,
               const Tensor& from, const Tensor& w, int64_t filter_width, const float* bias,
               const Tensor& to) {
  const std::vector<Columns> groups = group_columns(cols, period);
  const int64_t height = to.dim(1), width = to.dim(2), ys = to.pixel_stride();
  const int64_t plane = from.dim(1) * from.dim(2) * from.pixel_stride();
  int64_t shared = 0;
  for (const Line& row : rows) shared = std::max(shared, (row.count - 1) * std::abs(row.step));
  Tasks(to.dim(0), height, shared, to.channels()).run([&](const Tasks::Task& t) {
    for (int64_t i = t.first; i < t.last; ++i) {
      const Plane image{from.data<float>() + i / height * plane, from.dim(2), from.pixel_stride()};
      correlate_row({image, rows[static_cast<size_t>(i % height)], groups, w.data<float>(), filter_width,
                     to.channels(), bias, to.data<float>() + i * width * ys, ys},
                    t.c, t.c_end);
    }
  });
}

// Pixels of a row of dy, all with the same taps of one filter row: adds to acc [taps][channels].
struct RowProduct {
  const float *dy, *x;  // the first pixels
  int64_t ys, xs;       // elements that a step from pixel to pixel moves by
  int64_t tap_stride;   // elements of x between taps
  int64_t pixels, taps;
  float* acc;
};

// acc[s] += sum over pixels of dy * x[s] for S taps and V vectors of channels from c on.
template <class Vec, int V, int S>
inline __attribute__((always_inline)) void multiply_add_taps(const RowProduct& p, int64_t c,
                                                             int64_t channels) {
  constexpr int64_t lanes = int64_t{sizeof(Vec)} / int64_t{sizeof(float)};
  Vec sum[S][V] = {};
  const float *dy = p.dy + c, *x = p.x + c;
  for (int64_t q = 0; q < p.pixels; ++q, dy += p.ys, x += p.xs) {
    for (int v = 0; v < V; ++v) {
      const Vec g = *reinterpret_cast<const Vec*>(dy + v * lanes);
      for (int s = 0; s < S; ++s)
        sum[s][v] += g * *reinterpret_cast<const Vec*>(x + s * p.tap_stride + v * lanes);
    }
  }
  for (int s = 0; s < S; ++s) {
    for (int v = 0; v < V; ++v) *reinterpret_cast<Vec*>(p.acc + s * channels + c + v * lanes) += sum[s][v];
  }
}

// Calls the instance for p.taps, a number from 1 to max_taps.
constexpr int max_taps = 7;
template <class Vec, int V, int S = 1>
inline __attribute__((always_inline)) void multiply_add(const RowProduct& p, int64_t c, int64_t channels) {
  if (p.taps == S) return multiply_add_taps<Vec, V, S>(p, c, channels);
  if constexpr (S < max_taps) multiply_add<Vec, V, S + 1>(p, c, channels);
}

// A few channels at a time: the dy that the products share then stays in the first-level cache.
ATROUS_MULTIVERSION void multiply_add_all(const std::vector<RowProduct>& products, int64_t channels,
                                          int64_t c, int64_t c_end) {
  for (; c + 32 <= c_end; c += 32) {
    for (const RowProduct& p : products) multiply_add<Vec16, 2>(p, c, channels);
  }
  for (; c + 16 <= c_end; c += 16) {
    for (const RowProduct& p : products) multiply_add<Vec16, 1>(p, c, channels);
  }
  for (; c + 8 <= c_end; c += 8) {
    for (const RowProduct& p : products) multiply_add<Vec8, 1>(p, c, channels);
  }
  for (; c < c_end; ++c) {
    for (const RowProduct& p : products) multiply_add<float, 1>(p, c, channels);
  }
}

// One row of dy: adds to acc [taps][channels]. x has the channels of dy.
void weight_gradient_row(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                         const std::vector<Columns>& groups, int64_t row, const Tasks::Task& task,
                         float* acc) {
  const int64_t rows = p.p(), ys = dy.pixel_stride(), xs = x.pixel_stride();
  std::vector<RowProduct> products;
  for (int64_t r = 0; r < p.r; ++r) {
    const int64_t h = row % rows * p.stride_h + r * p.dilation_h - p.pad_h;
    if (h < 0 || h >= p.h) continue;
    const float* x_row = x.data<float>() + (row / rows * p.h + h) * p.w * xs;
    const float* dy_row = dy.data<float>() + row * p.q() * ys;
    for (const Columns& g : groups) {
      for (int64_t s = 0; s < g.line.count; s += max_taps) {
        products.push_back({dy_row + g.first * ys, x_row + (g.line.at + s * g.line.step) * xs, ys,
                            g.at_step * xs, g.line.step * xs, g.count,
                            std::min<int64_t>(max_taps, g.line.count - s),
                            acc + (r * p.s + g.line.tap + s) * p.k});
      }
    }
  }
  multiply_add_all(products, p.k, task.c, task.c_end);
}

// total[i] += part[i]
ATROUS_MULTIVERSION void add_to(double* total, const float* part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) total[i] += static_cast<double>(part[i]);
}

}  // namespace

void conv2d_forward_depthwise(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                              const Tensor& y) {
  correlate(forward_lines(p.h, p.p(), p.r, p.stride_h, p.pad_h, p.dilation_h),
            forward_lines(p.w, p.q(), p.s, p.stride_w, p.pad_w, p.dilation_w), 1,
            repeat_channels(x, p.k / p.c), filter_by_tap(p, w), p.s,
            f.bias.defined() ? f.bias.data<float>() : nullptr, y);
}

void conv2d_backward_input_depthwise(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor&,
                                     const Tensor& dx) {
  const int64_t multiplier = p.k / p.c;
  const Tensor wide = multiplier == 1 ? dx : Tensor::empty(dx.shape().with(-1, p.k));
  correlate(backward_lines(p.h, p.p(), p.r, p.stride_h, p.pad_h, p.dilation_h),
            backward_lines(p.w, p.q(), p.s, p.stride_w, p.pad_w, p.dilation_w), p.stride_w, dy,
            filter_by_tap(p, w), p.s, nullptr, wide);
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

void conv2d_backward_weight_depthwise(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                      const Tensor& dw) {
  const Tensor wide = repeat_channels(x, p.k / p.c);
  const std::vector<Columns> groups =
      group_columns(forward_lines(p.w, p.q(), p.s, p.stride_w, p.pad_w, p.dilation_w), 1);
  const int64_t taps = p.r * p.s;
  const Tasks tasks(p.n, p.p(), (p.r - 1) * p.dilation_h / p.stride_h, p.k);
  const int64_t chunks = tasks.row_blocks();
  const Tensor partial = Tensor::empty({chunks, taps, p.k});
  tasks.run([&](const Tasks::Task& t) {
    float* acc = partial.data<float>() + t.block * taps * p.k;
    for (int64_t i = 0; i < taps; ++i) std::fill(acc + i * p.k + t.c, acc + i * p.k + t.c_end, 0.0f);
    for (int64_t row = t.first; row < t.last; ++row) weight_gradient_row(p, dy, wide, groups, row, t, acc);
  });
  parallel_for(taps, rows_per_chunk(chunks * p.k), [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(p.k));
    for (int64_t t = begin; t < end; ++t) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t i = 0; i < chunks; ++i) {
        add_to(sums.data(), partial.data<float>() + (i * taps + t) * p.k, p.k);
      }
      for (int64_t k = 0; k < p.k; ++k) {
        dw.data<float>()[k * taps + t] = static_cast<float>(sums[static_cast<size_t>(k)]);
      }
    }
  });
}

}  // namespace atrous::kernels
