// Max pooling on a GPU: y[n,oh,ow,c] = max over the window of x, and the index of the maximum.
//
// NHWC. A thread owns one channel group of one pixel (kernels/common/channel_groups.h) and walks over taps or
// windows; groups of neighbouring threads are neighbours in memory.
//
//   forward          naive       one channel per thread
//                    vectorised  16 bytes of channels per thread: fewer and wider accesses, indices
//                                computed once for all
//                    unrolled    2x2 and 3x3 windows known at compile time: all taps are on their way
//                                before the first comparison waits for one
//   backward         naive, vectorised   each input pixel checks the windows over it for its own index:
//                                every element is written once, in a fixed order of summation, without
//                                atomics
//                    disjoint    windows side by side: a thread owns a window instead, so that gradient
//                                and indices are read once and not once per pixel of the window
//   unpool           naive, vectorised   see unpool_with
//   unpool_backward  naive, vectorised
#include "kernels/common/channel_groups.h"
#include "kernels/max_pool2d/max_pool2d_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

// Window: its extent along both axes where that is known, else 0.
template <class T, int V, int Window>
__global__ __launch_bounds__(group_threads) void forward(Pool2dProblem p, Pixels<const T> x, Pixels<T> y,
                                                         Pixels<int32_t> indices) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.out_height, p.out_width);
  if (at.image >= p.batch) return;
  const Pool2dOptions& o = p.options;
  const int64_t top = at.row * o.stride_h - o.pad_h, left = at.column * o.stride_w - o.pad_w;
  const int64_t kernel_h = Window ? Window : o.kernel_h, kernel_w = Window ? Window : o.kernel_w;
  Vec<float, V> best;
  Vec<int32_t, V> index;
  for (int k = 0; k < V; ++k) {
    best[k] = -INFINITY;
    index[k] = -1;
  }
  ATROUS_UNROLL
  for (int64_t r = 0; r < kernel_h; ++r) {
    ATROUS_UNROLL
    for (int64_t s = 0; s < kernel_w; ++s) {
      const int64_t h = top + r * o.dilation_h, w = left + s * o.dilation_w;
      if (h < 0 || h >= p.height || w < 0 || w >= p.width) continue;
      const int64_t position = h * p.width + w;
      const auto v = load_f32<V>(x.at(at.image * p.height * p.width + position) + own.channel);
      for (int k = 0; k < V; ++k) {
        const bool wins = index[k] < 0 || v[k] > best[k] || v[k] != v[k];
        best[k] = wins ? v[k] : best[k];
        index[k] = wins ? static_cast<int32_t>(position) : index[k];
      }
    }
  }
  store_f32<V>(y.at(own.pixel) + own.channel, best);
  if (indices) store<V>(indices.at(own.pixel) + own.channel, index);
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward(Pool2dProblem p, Pixels<const T> dy,
                                                          Pixels<const int32_t> indices, Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.height, p.width);
  if (at.image >= p.batch) return;
  const Pool2dOptions& o = p.options;
  const TapRange rows = windows_over(at.row, p.out_height, o.kernel_h, o.stride_h, o.pad_h, o.dilation_h);
  const TapRange columns =
      windows_over(at.column, p.out_width, o.kernel_w, o.stride_w, o.pad_w, o.dilation_w);
  const int64_t position = at.row * p.width + at.column;
  Vec<float, V> sum{};
  for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
    for (int64_t ow = columns.begin; ow < columns.end; ++ow) {
      const int64_t out = (at.image * p.out_height + oh) * p.out_width + ow;
      const auto index = load<V>(indices.at(out) + own.channel);
      const auto gradient = load_f32<V>(dy.at(out) + own.channel);
      for (int k = 0; k < V; ++k) sum[k] += index[k] == position ? gradient[k] : 0.0f;
    }
  }
  store_f32<V>(dx.at(own.pixel) + own.channel, sum);
}

// Windows side by side, one per thread. The last ones also write the zeros of the pixels that no window
// covers.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward_by_window(Pool2dProblem p, Pixels<const T> dy,
                                                                    Pixels<const int32_t> indices,
                                                                    Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.out_height, p.out_width);
  if (at.image >= p.batch) return;
  const int64_t top = at.row * p.options.stride_h, left = at.column * p.options.stride_w;
  const int64_t bottom = at.row + 1 < p.out_height ? top + p.options.stride_h : p.height;
  const int64_t right = at.column + 1 < p.out_width ? left + p.options.stride_w : p.width;
  const auto index = load<V>(indices.at(own.pixel) + own.channel);
  const auto gradient = load_f32<V>(dy.at(own.pixel) + own.channel);
  for (int64_t h = top; h < bottom; ++h) {
    for (int64_t w = left; w < right; ++w) {
      const int64_t position = h * p.width + w;
      Vec<float, V> value;
      for (int k = 0; k < V; ++k) value[k] = index[k] == position ? gradient[k] : 0.0f;
      store_f32<V>(dx.at(at.image * p.height * p.width + position) + own.channel, value);
    }
  }
}

struct Unpooling {
  int64_t batch, pooled, full, channels;  // pixels of one image
};

// winner[n, index, c] = the last pooled pixel, in row order, that has this index. The largest of some
// integers does not depend on their order.
__global__ __launch_bounds__(group_threads) void find_winners(Unpooling p, Pixels<const int32_t> indices,
                                                              Pixels<int32_t> winner) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Division at = divide(own.pixel, p.pooled);
  if (at.quotient >= p.batch) return;
  const int32_t index = indices.at(own.pixel)[own.channel];
  if (index < 0 || index >= p.full) return;
  atomicMax(winner.at(at.quotient * p.full + index) + own.channel, static_cast<int32_t>(at.remainder));
}

// to[n, i, c] = from[n, source[n, i, c], c], 0 where no such pixel exists.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void gather(int64_t batch, int64_t to_pixels, int64_t from_pixels,
                                                        int64_t channels, Pixels<const T> from,
                                                        Pixels<const int32_t> source, Pixels<T> to) {
  const ChannelGroup own = own_group<V>(channels);
  const Division at = divide(own.pixel, to_pixels);
  if (at.quotient >= batch) return;
  const auto index = load<V>(source.at(own.pixel) + own.channel);
  Vec<T, V> value;
  for (int k = 0; k < V; ++k) {
    const bool exists = index[k] >= 0 && index[k] < from_pixels;
    value[k] = exists ? from.at(at.quotient * from_pixels + index[k])[own.channel + k] : T(0.0f);
  }
  store<V>(to.at(own.pixel) + own.channel, value);
}

Unpooling unpooling(const MaxUnpool2dProblem& p) {
  return {p.pooled[0], p.pooled[1] * p.pooled[2], p.full[1] * p.full[2], p.pooled[3]};
}

template <int Window>
void pool(bool wide, const Pool2dProblem& p, const Tensor& x, const Tensor& y, const Tensor& indices) {
  visit_groups(p.dtype, wide, {x, y, indices}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward<T, v, Window>>(group_launch(y.pixels(), p.channels, v), p, pixels_of<const T>(x),
                                  pixels_of<T>(y), pixels_of<int32_t>(indices));
  });
}

void pool_backward(bool wide, const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                   const Tensor& dx) {
  visit_groups(p.dtype, wide, {dy, indices, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<backward<T, v>>(group_launch(dx.pixels(), p.channels, v), p, pixels_of<const T>(dy),
                           pixels_of<const int32_t>(indices), pixels_of<T>(dx));
  });
}

// Two pooled pixels may have the same index, and the later one must win: a first kernel finds the winner of
// each index, a second one fetches its value.
void unpool_with(bool wide, const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices,
                 const Tensor& y) {
  const Unpooling u = unpooling(p);
  const Tensor winner = Tensor::full(y.shape(), -1, DType::i32, y.device());
  launch<find_winners>(group_launch(x.pixels(), u.channels, 1), u, pixels_of<const int32_t>(indices),
                       pixels_of<int32_t>(winner));
  visit_groups(p.dtype, wide, {winner, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<gather<T, v>>(group_launch(y.pixels(), u.channels, v), u.batch, u.full, u.pooled, u.channels,
                         pixels_of<const T>(x), pixels_of<const int32_t>(winner), pixels_of<T>(y));
  });
}

void unpool_backward_with(bool wide, const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices,
                          const Tensor& dx) {
  const Unpooling u = unpooling(p);
  visit_groups(p.dtype, wide, {indices, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<gather<T, v>>(group_launch(dx.pixels(), u.channels, v), u.batch, u.pooled, u.full, u.channels,
                         pixels_of<const T>(dy), pixels_of<const int32_t>(indices), pixels_of<T>(dx));
  });
}

}  // namespace

void max_pool2d_forward_naive(const Pool2dProblem& p, const Tensor& x, const Tensor& y,
                              const Tensor& indices) {
  pool<0>(false, p, x, y, indices);
}
void max_pool2d_forward_vectorised(const Pool2dProblem& p, const Tensor& x, const Tensor& y,
                                   const Tensor& indices) {
  pool<0>(true, p, x, y, indices);
}
void max_pool2d_forward_unrolled(const Pool2dProblem& p, const Tensor& x, const Tensor& y,
                                 const Tensor& indices) {
  p.options.kernel_h == 2 ? pool<2>(true, p, x, y, indices) : pool<3>(true, p, x, y, indices);
}

void max_pool2d_backward_naive(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                               const Tensor& dx) {
  pool_backward(false, p, dy, indices, dx);
}
void max_pool2d_backward_vectorised(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                    const Tensor& dx) {
  pool_backward(true, p, dy, indices, dx);
}
void max_pool2d_backward_disjoint(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                  const Tensor& dx) {
  visit_groups(p.dtype, true, {dy, indices, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<backward_by_window<T, v>>(group_launch(dy.pixels(), p.channels, v), p, pixels_of<const T>(dy),
                                     pixels_of<const int32_t>(indices), pixels_of<T>(dx));
  });
}

void max_unpool2d_forward_naive(const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices,
                                const Tensor& y) {
  unpool_with(false, p, x, indices, y);
}
void max_unpool2d_forward_vectorised(const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices,
                                     const Tensor& y) {
  unpool_with(true, p, x, indices, y);
}
void max_unpool2d_backward_naive(const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                 const Tensor& dx) {
  unpool_backward_with(false, p, dy, indices, dx);
}
void max_unpool2d_backward_vectorised(const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices,
                                      const Tensor& dx) {
  unpool_backward_with(true, p, dy, indices, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
