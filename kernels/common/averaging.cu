// Averages over rectangles of pixels on a GPU: y[n,oh,ow,c] = sum of x over the rectangle / count; backward:
// dx = sum over the rectangles that hold the pixel of dy/count.
//
// NHWC. A thread owns one channel group of one pixel (kernels/common/channel_groups.h).
//
//   forward    naive       one channel of one output per thread
//              vectorised  16 bytes of channels per thread: fewer and wider accesses, indices computed
//                          once for all
//              shared      a block per eight channel groups of an output: its rows of threads split the
//                         rectangle and add up in shared memory. A global average has too few outputs to
//                          fill a GPU with threads.
//   backward   naive, vectorised   gathers: every element is written once, in a fixed order of summation
#include "kernels/common/averaging.h"
#include "kernels/common/channel_groups.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

using Range = AveragingAxis::Range;

template <int V>
__device__ void add(Vec<float, V>& sum, const Vec<float, V>& v) {
  for (int k = 0; k < V; ++k) sum[k] += v[k];
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward(AveragingAxis rows, AveragingAxis cols,
                                                         int64_t batch, int64_t channels, Pixels<const T> x,
                                                         Pixels<T> y) {
  const ChannelGroup own = own_group<V>(channels);
  const Position at = position_of(own.pixel, rows.out, cols.out);
  if (at.image >= batch) return;
  const Range r = rows.inputs(at.row), c = cols.inputs(at.column);
  Vec<float, V> sum{};
  for (int64_t h = r.begin; h < r.end; ++h) {
    for (int64_t w = c.begin; w < c.end; ++w) {
      add(sum, load_f32<V>(x.at((at.image * rows.in + h) * cols.in + w) + own.channel));
    }
  }
  const auto count = static_cast<float>(rows.count(at.row) * cols.count(at.column));
  for (int k = 0; k < V; ++k) sum[k] /= count;
  store_f32<V>(y.at(own.pixel) + own.channel, sum);
}

constexpr int lanes = 8;  // channel groups of a block: 128 bytes, a cache line
constexpr int slices = group_threads / lanes;

// Block: one output pixel and `lanes` channel groups. Thread (slice, lane) sums every slices-th pixel of the
// rectangle.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward_by_block(AveragingAxis rows, AveragingAxis cols,
                                                                  int64_t channels, Pixels<const T> x,
                                                                  Pixels<T> y) {
  ATROUS_SHARED(float, partial, [slices][lanes * V]);
  const int64_t chunks = (channels / V + lanes - 1) / lanes;
  const Division block = divide(blockIdx.x, chunks);
  const Position at = position_of(block.quotient, rows.out, cols.out);
  const int lane = static_cast<int>(threadIdx.x) % lanes, slice = static_cast<int>(threadIdx.x) / lanes;
  const int64_t channel = (block.remainder * lanes + lane) * V;
  const Range r = rows.inputs(at.row), c = cols.inputs(at.column);
  Vec<float, V> sum{};
  if (channel < channels) {
    const int64_t pixels = r.size() * c.size();
    for (int64_t i = slice; i < pixels; i += slices) {
      const Division tap = divide(i, c.size());
      const int64_t h = r.begin + tap.quotient, w = c.begin + tap.remainder;
      add(sum, load_f32<V>(x.at((at.image * rows.in + h) * cols.in + w) + channel));
    }
  }
  for (int k = 0; k < V; ++k) partial[slice][lane * V + k] = sum[k];
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  const int64_t own_channel = block.remainder * lanes * V + own;
  if (own >= lanes * V || own_channel >= channels) return;
  float total = 0;
  for (int s = 0; s < slices; ++s) total += partial[s][own];
  const auto count = static_cast<float>(rows.count(at.row) * cols.count(at.column));
  y.at(block.quotient)[own_channel] = static_cast<T>(total / count);
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward(AveragingAxis rows, AveragingAxis cols,
                                                          int64_t batch, int64_t channels, Pixels<const T> dy,
                                                          Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(channels);
  const Position at = position_of(own.pixel, rows.in, cols.in);
  if (at.image >= batch) return;
  const Range r = rows.outputs(at.row), c = cols.outputs(at.column);
  Vec<float, V> sum{};
  for (int64_t oh = r.begin; oh < r.end; ++oh) {
    const int64_t row_count = rows.count(oh);
    for (int64_t ow = c.begin; ow < c.end; ++ow) {
      const float scale = 1.0f / static_cast<float>(row_count * cols.count(ow));
      const auto gradient = load_f32<V>(dy.at((at.image * rows.out + oh) * cols.out + ow) + own.channel);
      for (int k = 0; k < V; ++k) sum[k] += gradient[k] * scale;
    }
  }
  store_f32<V>(dx.at(own.pixel) + own.channel, sum);
}

// Both directions: a thread per channel group of `to`, which gathers its elements from `from`.
template <bool Backward>
void run(bool wide, const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& from,
         const Tensor& to) {
  visit_groups(to.dtype(), wide, {from, to}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<Backward ? &backward<T, v> : &forward<T, v>>(group_launch(to.pixels(), to.channels(), v), rows,
                                                        cols, to.dim(0), to.channels(),
                                                        pixels_of<const T>(from), pixels_of<T>(to));
  });
}

}  // namespace

void average_forward_naive(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x,
                           const Tensor& y) {
  run<false>(false, rows, cols, x, y);
}
void average_forward_vectorised(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x,
                                const Tensor& y) {
  run<false>(true, rows, cols, x, y);
}
void average_forward_shared(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x,
                            const Tensor& y) {
  visit_groups(x.dtype(), true, {x}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    const int64_t blocks = y.pixels() * blocks_for(y.channels() / v, lanes);
    launch<forward_by_block<T, v>>({blocks, group_threads}, rows, cols, y.channels(), pixels_of<const T>(x),
                                   pixels_of<T>(y));
  });
}
void average_backward_naive(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& dy,
                            const Tensor& dx) {
  run<true>(false, rows, cols, dy, dx);
}
void average_backward_vectorised(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& dy,
                                 const Tensor& dx) {
  run<true>(true, rows, cols, dy, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
