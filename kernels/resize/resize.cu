// Resize on a GPU: y[n,i,j,c] = sum over the taps a of row i, b of column j of w_i(a) w_j(b) x[n,a,b,c].
//
// NHWC. Taps are those of resize_math.h, computed in double precision.
//
//   forward    naive       one channel of one output pixel per thread, which computes its taps
//              tabulated   a block owns a stretch of an output row: it computes the taps once per column,
//                          into shared memory, and its threads blend 16 bytes of channels at a time
//              twice       exactly two times as large: weights are 1/4 and 3/4, no taps needed. A thread
//                          owns the four outputs of one input pixel and reads its 3x3 neighbourhood once
//                          for all of them
//   backward   naive       each input pixel sums its window of dy, the outputs that read it: every element
//                          is written once, in a fixed order, without atomics
//              separable   a block owns a stretch of an input row and sums the output rows that read it
//                          into shared memory, then the columns of these sums: a window of k x k costs 2k
//                          instead of k*k
//              twice       the window is 4x4 and the weights are constants
#include "kernels/common/channel_groups.h"
#include "kernels/resize/resize_impl.h"

namespace atrous::kernels::resize::ATROUS_GPU {
namespace {

// A tap of weight 0 must not carry NaN or infinity over.
__device__ float blend(float a, float b, float weight) {
  return weight == 0.0f ? a : (1.0f - weight) * a + weight * b;
}

template <class T>
__global__ __launch_bounds__(group_threads) void forward_per_element(ResizeProblem p, Pixels<const T> x,
                                                                     Pixels<T> y) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Position at = position_of(own.pixel, p.out_h, p.out_w);
  if (at.image >= p.n) return;
  const ResizeTap v = resize_tap(p.mode, p.align_corners, at.row, p.in_h, p.out_h);
  const ResizeTap u = resize_tap(p.mode, p.align_corners, at.column, p.in_w, p.out_w);
  const auto read = [&](int64_t row, int64_t column) {
    return static_cast<float>(x.at((at.image * p.in_h + row) * p.in_w + column)[own.channel]);
  };
  const auto across = static_cast<float>(u.weight), down = static_cast<float>(v.weight);
  const float top = blend(read(v.low, u.low), read(v.low, u.high), across);
  const float bottom = blend(read(v.high, u.low), read(v.high, u.high), across);
  y.at(own.pixel)[own.channel] = static_cast<T>(blend(top, bottom, down));
}

constexpr int most_columns = 256;  // of a block

struct ColumnTap {
  int32_t low, high;
  float weight;
};

__device__ ColumnTap column_tap(const ResizeProblem& p, int64_t column) {
  const ResizeTap tap = resize_tap(p.mode, p.align_corners, column, p.in_w, p.out_w);
  return {tap.low, tap.high, static_cast<float>(tap.weight)};
}

// Block: `columns` pixels of one output row.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward_per_row(ResizeProblem p, int columns,
                                                                 Pixels<const T> x, Pixels<T> y) {
  ATROUS_SHARED(ColumnTap, taps, [most_columns]);
  const Division stretch = divide(blockIdx.x, (p.out_w + columns - 1) / columns);
  const Division row = divide(stretch.quotient, p.out_h);
  const int64_t first = stretch.remainder * columns;
  const int count = static_cast<int>(min(int64_t{columns}, p.out_w - first));
  const int own = static_cast<int>(threadIdx.x);
  if (own < count) taps[own] = column_tap(p, first + own);
  const ResizeTap v = resize_tap(p.mode, p.align_corners, row.remainder, p.in_h, p.out_h);
  const auto down = static_cast<float>(v.weight);
  const int64_t top = (row.quotient * p.in_h + v.low) * p.in_w,
                bottom = (row.quotient * p.in_h + v.high) * p.in_w;
  __syncthreads();
  const int64_t groups = p.channels / V;
  for (int64_t item = own; item < count * groups; item += group_threads) {
    const Division at = divide(item, groups);
    const int64_t channel = at.remainder * V;
    const ColumnTap u = taps[at.quotient];
    const auto a = load_f32<V>(x.at(top + u.low) + channel), b = load_f32<V>(x.at(top + u.high) + channel);
    const auto c = load_f32<V>(x.at(bottom + u.low) + channel),
               d = load_f32<V>(x.at(bottom + u.high) + channel);
    Vec<float, V> result;
    for (int k = 0; k < V; ++k) {
      result[k] = blend(blend(a[k], b[k], u.weight), blend(c[k], d[k], u.weight), down);
    }
    store_f32<V>(y.at(stretch.quotient * p.out_w + first + at.quotient) + channel, result);
  }
}

__device__ int64_t inside(int64_t i, int64_t size) {
  return i < 0 ? 0 : i < size ? i : size - 1;
}

// Along an axis, y[2a] = x[a-1]/4 + 3x[a]/4 and y[2a+1] = 3x[a]/4 + x[a+1]/4; x continues past its edges.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward_2x(ResizeProblem p, Pixels<const T> x, Pixels<T> y) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.in_h, p.in_w);
  if (at.image >= p.n) return;
  Vec<float, V> even[2], odd[2];  // of the output columns, for the upper and the lower output row
  ATROUS_UNROLL
  for (int r = -1; r <= 1; ++r) {
    const int64_t row = (at.image * p.in_h + inside(at.row + r, p.in_h)) * p.in_w;
    const auto left = load_f32<V>(x.at(row + inside(at.column - 1, p.in_w)) + own.channel);
    const auto middle = load_f32<V>(x.at(row + at.column) + own.channel);
    const auto right = load_f32<V>(x.at(row + inside(at.column + 1, p.in_w)) + own.channel);
    for (int k = 0; k < V; ++k) {
      const float e = 0.25f * left[k] + 0.75f * middle[k], o = 0.75f * middle[k] + 0.25f * right[k];
      even[0][k] = r < 0 ? 0.25f * e : r == 0 ? even[0][k] + 0.75f * e : even[0][k];
      odd[0][k] = r < 0 ? 0.25f * o : r == 0 ? odd[0][k] + 0.75f * o : odd[0][k];
      even[1][k] = r < 0 ? 0.0f : r == 0 ? 0.75f * e : even[1][k] + 0.25f * e;
      odd[1][k] = r < 0 ? 0.0f : r == 0 ? 0.75f * o : odd[1][k] + 0.25f * o;
    }
  }
  for (int r = 0; r < 2; ++r) {
    const int64_t pixel = (at.image * p.out_h + 2 * at.row + r) * p.out_w + 2 * at.column;
    store_f32<V>(y.at(pixel) + own.channel, even[r]);
    store_f32<V>(y.at(pixel + 1) + own.channel, odd[r]);
  }
}

template <class T>
__global__ __launch_bounds__(group_threads) void backward_per_element(ResizeProblem p, Pixels<const T> dy,
                                                                      Pixels<T> dx) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Position at = position_of(own.pixel, p.in_h, p.in_w);
  if (at.image >= p.n) return;
  const ResizeReaders rows = resize_readers(p.mode, p.align_corners, at.row, p.in_h, p.out_h);
  const ResizeReaders columns = resize_readers(p.mode, p.align_corners, at.column, p.in_w, p.out_w);
  float sum = 0;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const ResizeTap v = resize_tap(p.mode, p.align_corners, i, p.in_h, p.out_h);
    const auto down = static_cast<float>(weight_of(v.low, v.high, v.weight, at.row));
    if (down == 0.0f) continue;
    for (int64_t j = columns.begin; j < columns.end; ++j) {
      const ResizeTap u = resize_tap(p.mode, p.align_corners, j, p.in_w, p.out_w);
      const auto across = static_cast<float>(weight_of(u.low, u.high, u.weight, at.column));
      if (across == 0.0f) continue;
      sum += down * across * static_cast<float>(dy.at((at.image * p.out_h + i) * p.out_w + j)[own.channel]);
    }
  }
  dx.at(own.pixel)[own.channel] = static_cast<T>(sum);
}

constexpr int chunk = 32;  // channels of a block

// Block: `columns` pixels of one input row, `chunk` channels of them.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward_per_row(ResizeProblem p, int columns,
                                                                  Pixels<const T> dy, Pixels<T> dx) {
  constexpr int lanes = chunk / V;
  ATROUS_SHARED(float, sums, [most_readers][chunk]);  // of the output rows, for the output columns in reach
  ATROUS_SHARED(ColumnTap, taps, [most_readers]);
  ATROUS_SHARED(float, row_weight, [most_readers]);
  const Division part = divide(blockIdx.x, (p.channels + chunk - 1) / chunk);
  const Division stretch = divide(part.quotient, (p.in_w + columns - 1) / columns);
  const Division row = divide(stretch.quotient, p.in_h);
  const int64_t first = stretch.remainder * columns;
  const int count = static_cast<int>(min(int64_t{columns}, p.in_w - first));
  const ResizeReaders rows = resize_readers(p.mode, p.align_corners, row.remainder, p.in_h, p.out_h);
  const int64_t begin = resize_readers(p.mode, p.align_corners, first, p.in_w, p.out_w).begin;
  const int64_t end = resize_readers(p.mode, p.align_corners, first + count - 1, p.in_w, p.out_w).end;
  const int own = static_cast<int>(threadIdx.x);
  if (own < end - begin) taps[own] = column_tap(p, begin + own);
  if (own < rows.end - rows.begin) {
    const ResizeTap v = resize_tap(p.mode, p.align_corners, rows.begin + own, p.in_h, p.out_h);
    row_weight[own] = static_cast<float>(weight_of(v.low, v.high, v.weight, row.remainder));
  }
  __syncthreads();
  const int64_t first_channel = part.remainder * chunk;
  for (int64_t item = own; item < (end - begin) * lanes; item += group_threads) {
    const int lane = static_cast<int>(item % lanes), column = static_cast<int>(item / lanes);
    const int64_t channel = first_channel + lane * V;
    if (channel >= p.channels) continue;
    Vec<float, V> sum{};
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const float weight = row_weight[i - rows.begin];
      if (weight == 0.0f) continue;
      const auto g = load_f32<V>(dy.at((row.quotient * p.out_h + i) * p.out_w + begin + column) + channel);
      for (int k = 0; k < V; ++k) sum[k] += weight * g[k];
    }
    for (int k = 0; k < V; ++k) sums[column][lane * V + k] = sum[k];
  }
  __syncthreads();
  for (int item = own; item < count * lanes; item += group_threads) {
    const int lane = item % lanes;
    const int64_t column = first + item / lanes, channel = first_channel + lane * V;
    if (channel >= p.channels) continue;
    const ResizeReaders readers = resize_readers(p.mode, p.align_corners, column, p.in_w, p.out_w);
    Vec<float, V> sum{};
    for (int64_t j = readers.begin; j < readers.end; ++j) {
      const ColumnTap u = taps[j - begin];
      const float weight = weight_of(u.low, u.high, u.weight, column);
      if (weight == 0.0f) continue;
      for (int k = 0; k < V; ++k) sum[k] += weight * sums[j - begin][lane * V + k];
    }
    store_f32<V>(dx.at(stretch.quotient * p.in_w + column) + channel, sum);
  }
}

// dx[a] = (dy[2a-1] + 3 dy[2a] + 3 dy[2a+1] + dy[2a+2])/4 along each axis; dy continues past its edges.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward_2x(ResizeProblem p, Pixels<const T> dy,
                                                             Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.in_h, p.in_w);
  if (at.image >= p.n) return;
  Vec<float, V> sum{};
  for (int r = -1; r <= 2; ++r) {
    const int64_t row = (at.image * p.out_h + inside(2 * at.row + r, p.out_h)) * p.out_w;
    const float down = r == 0 || r == 1 ? 0.75f : 0.25f;
    const auto a = load_f32<V>(dy.at(row + inside(2 * at.column - 1, p.out_w)) + own.channel);
    const auto b = load_f32<V>(dy.at(row + 2 * at.column) + own.channel);
    const auto c = load_f32<V>(dy.at(row + 2 * at.column + 1) + own.channel);
    const auto d = load_f32<V>(dy.at(row + inside(2 * at.column + 2, p.out_w)) + own.channel);
    for (int k = 0; k < V; ++k) sum[k] += down * (0.25f * (a[k] + d[k]) + 0.75f * (b[k] + c[k]));
  }
  store_f32<V>(dx.at(own.pixel) + own.channel, sum);
}

}  // namespace

void forward_naive(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<forward_per_element<T>>(group_launch(y.pixels(), p.channels, 1), p, pixels_of<const T>(x),
                                   pixels_of<T>(y));
  });
}

void forward_tabulated(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  visit_groups(p.dtype, true, {x, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    // About four groups per thread: enough to share the taps among.
    const int64_t groups = std::max<int64_t>(1, p.channels / v);
    const int64_t columns = std::clamp<int64_t>(4 * group_threads / groups, 8, most_columns);
    const int64_t blocks = p.channels ? p.n * p.out_h * blocks_for(p.out_w, columns) : 0;
    launch<forward_per_row<T, v>>({blocks, group_threads}, p, static_cast<int>(columns),
                                  pixels_of<const T>(x), pixels_of<T>(y));
  });
}

void forward_twice(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  visit_groups(p.dtype, true, {x, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward_2x<T, v>>(group_launch(x.pixels(), p.channels, v), p, pixels_of<const T>(x),
                             pixels_of<T>(y));
  });
}

void backward_naive(const ResizeProblem& p, const Tensor& dy, const Tensor& dx) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<backward_per_element<T>>(group_launch(dx.pixels(), p.channels, 1), p, pixels_of<const T>(dy),
                                    pixels_of<T>(dx));
  });
}

void backward_separable_rows(const ResizeProblem& p, const Tensor& dy, const Tensor& dx) {
  const int columns = columns_in_reach(p);
  ATROUS_ASSERT(columns > 0);
  visit_groups(p.dtype, true, {dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    const int64_t blocks = p.n * p.in_h * blocks_for(p.in_w, columns) * blocks_for(p.channels, chunk);
    launch<backward_per_row<T, v>>({blocks, group_threads}, p, columns, pixels_of<const T>(dy),
                                   pixels_of<T>(dx));
  });
}

void backward_twice(const ResizeProblem& p, const Tensor& dy, const Tensor& dx) {
  visit_groups(p.dtype, true, {dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<backward_2x<T, v>>(group_launch(dx.pixels(), p.channels, v), p, pixels_of<const T>(dy),
                              pixels_of<T>(dx));
  });
}

}  // namespace atrous::kernels::resize::ATROUS_GPU
