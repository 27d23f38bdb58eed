// Padding and cropping on a GPU: y[n,i,j,c] = x[n, source(i), source(j), c], or the constant; backward adds
// up the copies.
//
// NHWC. A thread owns one channel group of one pixel (kernels/common/channel_groups.h).
//
//   naive        one channel per thread
//   vectorised   16 bytes of channels per thread: fewer and wider accesses, indices computed once for all
//
// backward gathers: pad_copies gives the few outputs that copied an input pixel, so every element is
// written once, in a fixed order of summation, without atomics.
#include "kernels/common/channel_groups.h"
#include "kernels/pad/pad_impl.h"

namespace atrous::kernels::pad_impl::ATROUS_GPU {
namespace {

template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward(PadProblem p, Pixels<const T> x, Pixels<T> y) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.out_h, p.out_w);
  if (at.image >= p.n) return;
  const int64_t row = pad_source(p.pads.mode, at.row, p.pads.top, p.in_h);
  const int64_t column = pad_source(p.pads.mode, at.column, p.pads.left, p.in_w);
  Vec<T, V> value;
  if (row < 0 || column < 0) {
    for (int k = 0; k < V; ++k) value[k] = static_cast<T>(static_cast<float>(p.pads.value));
  } else {
    value = load<V>(x.at((at.image * p.in_h + row) * p.in_w + column) + own.channel);
  }
  store<V>(y.at(own.pixel) + own.channel, value);
}

// Two blocks per multiprocessor at least: without the number the compiler aims higher and spills registers.
template <class T, int V>
__global__ __launch_bounds__(group_threads, 2) void backward(PadProblem p, Pixels<const T> dy, Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.in_h, p.in_w);
  if (at.image >= p.n) return;
  const PadOptions& o = p.pads;
  Vec<float, V> sum{};
  // Most of the nine ranges are empty or hold one pixel: unrolled loops would only cost registers.
#pragma unroll 1
  for (int a = 0; a < 3; ++a) {
    const PadRange rows = pad_copies(o.mode, static_cast<PadSide>(a), at.row, o.top, p.in_h, p.out_h);
#pragma unroll 1
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const int64_t line = (at.image * p.out_h + i) * p.out_w;
#pragma unroll 1
      for (int b = 0; b < 3; ++b) {
        const PadRange columns =
            pad_copies(o.mode, static_cast<PadSide>(b), at.column, o.left, p.in_w, p.out_w);
#pragma unroll 1
        for (int64_t j = columns.begin; j < columns.end; ++j) {
          const auto gradient = load_f32<V>(dy.at(line + j) + own.channel);
          for (int k = 0; k < V; ++k) sum[k] += gradient[k];
        }
      }
    }
  }
  store_f32<V>(dx.at(own.pixel) + own.channel, sum);
}

void run_forward(bool wide, const PadProblem& p, const Tensor& x, const Tensor& y) {
  visit_groups(p.dtype, wide, {x, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward<T, v>>(group_launch(y.pixels(), p.channels, v), p, pixels_of<const T>(x), pixels_of<T>(y));
  });
}

void run_backward(bool wide, const PadProblem& p, const Tensor& dy, const Tensor& dx) {
  visit_groups(p.dtype, wide, {dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<backward<T, v>>(group_launch(dx.pixels(), p.channels, v), p, pixels_of<const T>(dy),
                           pixels_of<T>(dx));
  });
}

}  // namespace

void forward_naive(const PadProblem& p, const Tensor& x, const Tensor& y) {
  run_forward(false, p, x, y);
}
void forward_vectorised(const PadProblem& p, const Tensor& x, const Tensor& y) {
  run_forward(true, p, x, y);
}
void backward_naive(const PadProblem& p, const Tensor& dy, const Tensor& dx) {
  run_backward(false, p, dy, dx);
}
void backward_vectorised(const PadProblem& p, const Tensor& dy, const Tensor& dx) {
  run_backward(true, p, dy, dx);
}

}  // namespace atrous::kernels::pad_impl::ATROUS_GPU
