// Rows by index, and a class's channels of each row, with their gradients. The source is pixel-strided, the
// result dense; a thread owns V neighbouring channels of a pixel of the result.
//
//   rows                naive       an element per thread
//                       vectorised  16 bytes per thread
//   rows_backward       naive       every element of dx looks through all picks for those of its row
//                       counted     a first kernel stores for each row how many picks name it and the
//                                   first of them: rows without a pick, nearly all, are done at once,
//                                   and a row with one pick reads one row of dy. Counts and minima of
//                                   integers do not depend on the order of threads; sums are formed in order
//                                   of the picks
//   by_class            naive       an element per thread: one class of many is read, in pieces anyway
//   by_class_backward   naive, vectorised   writes zeros nearly everywhere
#include <climits>

#include "kernels/common/channel_groups.h"
#include "kernels/take_rows/take_rows_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

struct Rows {
  int64_t from, to, pixels, channels, width;  // width: channels of a class
};

Rows rows_of(const TakeRowsProblem& p) {
  return {p.from, p.to, p.pixels, p.channels, p.channels / p.classes};
}

__device__ inline bool names_one_of(int64_t count, int64_t index) {
  return index >= 0 && index < count;
}

// ---- rows ----

// T: unsigned integers of the size of the elements, which are only moved.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void rows_kernel(Rows p, Pixels<const T> x, const int32_t* index,
                                                             Pixels<T> y) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Division at = divide(own.pixel, p.pixels);
  if (at.quotient >= p.to) return;
  const int64_t row = index[at.quotient];
  Vec<T, V> value{};
  if (names_one_of(p.from, row)) value = load<V>(x.at(row * p.pixels + at.remainder) + own.channel);
  store<V>(y.at(own.pixel) + own.channel, value);
}

template <class T>
void move_rows(bool wide, const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  constexpr int widest = vector_width<T>;
  const Pixels<const T> from{reinterpret_cast<const T*>(x.device_raw()), x.pixel_stride()};
  const Pixels<T> to{reinterpret_cast<T*>(y.device_raw()), y.pixel_stride()};
  const auto run = [&](auto width) {
    constexpr int v = decltype(width)::value;
    launch<rows_kernel<T, v>>(group_launch(y.pixels(), p.channels, v), rows_of(p), from,
                              index.device_data<int32_t>(), to);
  };
  if (wide && vectorises(x, widest) && vectorises(y, widest))
    return run(std::integral_constant<int, widest>{});
  run(std::integral_constant<int, 1>{});
}

void move_any_rows(bool wide, const TakeRowsProblem& p, const Tensor& x, const Tensor& index,
                   const Tensor& y) {
  switch (size_of(p.dtype)) {
    case 1: return move_rows<uint8_t>(wide, p, x, index, y);
    case 2: return move_rows<uint16_t>(wide, p, x, index, y);
    case 4: return move_rows<uint32_t>(wide, p, x, index, y);
    default: return move_rows<uint64_t>(wide, p, x, index, y);
  }
}

// ---- rows_backward ----

template <class T>
__global__ __launch_bounds__(group_threads) void rows_backward_naive_kernel(Rows p, Pixels<const T> dy,
                                                                            const int32_t* index,
                                                                            Pixels<T> dx) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Division at = divide(own.pixel, p.pixels);
  if (at.quotient >= p.from) return;
  float sum = 0;
  for (int64_t i = 0; i < p.to; ++i) {
    if (index[i] == at.quotient) sum += static_cast<float>(dy.at(i * p.pixels + at.remainder)[own.channel]);
  }
  dx.at(own.pixel)[own.channel] = T(sum);
}

// For each row: the number of picks that name it, and the first of them.
struct Picks {
  int32_t *count, *first;
};

__global__ __launch_bounds__(group_threads) void count_picks_kernel(Rows p, const int32_t* index,
                                                                    Picks picks) {
  const int64_t i = int64_t{blockIdx.x} * group_threads + threadIdx.x;
  if (i >= p.to || !names_one_of(p.from, index[i])) return;
  atomicAdd(picks.count + index[i], 1);
  atomicMin(picks.first + index[i], static_cast<int32_t>(i));
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void rows_backward_counted_kernel(Rows p, Pixels<const T> dy,
                                                                              const int32_t* index,
                                                                              Picks picks, Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Division at = divide(own.pixel, p.pixels);
  if (at.quotient >= p.from) return;
  int32_t left = picks.count[at.quotient];
  Vec<float, V> sum{};
  for (int64_t i = picks.first[at.quotient]; left > 0; ++i) {
    if (index[i] != at.quotient) continue;
    --left;
    const auto value = load_f32<V>(dy.at(i * p.pixels + at.remainder) + own.channel);
    for (int k = 0; k < V; ++k) sum[k] += value[k];
  }
  store_f32<V>(dx.at(own.pixel) + own.channel, sum);
}

// ---- by_class ----

template <class T>
__global__ __launch_bounds__(group_threads) void class_kernel(Rows p, Pixels<const T> x, const int32_t* index,
                                                              Pixels<T> y) {
  const ChannelGroup own = own_group<1>(p.width);
  const int64_t row = divide(own.pixel, p.pixels).quotient;
  if (row >= p.from) return;
  const int64_t channel = index[row] * p.width + own.channel;
  const bool exists = names_one_of(p.channels, channel);
  y.at(own.pixel)[own.channel] = exists ? x.at(own.pixel)[channel] : T(0.0f);
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void class_backward_kernel(Rows p, Pixels<const T> dy,
                                                                       const int32_t* index, Pixels<T> dx) {
  const ChannelGroup own = own_group<V>(p.channels);
  const int64_t row = divide(own.pixel, p.pixels).quotient;
  if (row >= p.from) return;
  const int64_t begin = index[row] * p.width;
  Vec<T, V> value;
  for (int k = 0; k < V; ++k) {
    const int64_t channel = own.channel + k - begin;  // within the class
    value[k] = channel >= 0 && channel < p.width ? dy.at(own.pixel)[channel] : T(0.0f);
  }
  store<V>(dx.at(own.pixel) + own.channel, value);
}

void class_backward(bool wide, const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                    const Tensor& dx) {
  visit_groups(p.dtype, wide, {dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<class_backward_kernel<T, v>>(group_launch(dx.pixels(), p.channels, v), rows_of(p),
                                        pixels_of<const T>(dy), index.device_data<int32_t>(),
                                        pixels_of<T>(dx));
  });
}

}  // namespace

void take_rows_naive(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  move_any_rows(false, p, x, index, y);
}
void take_rows_vectorised(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  move_any_rows(true, p, x, index, y);
}

void take_rows_backward_naive(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                              const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<rows_backward_naive_kernel<T>>(group_launch(dx.pixels(), p.channels, 1), rows_of(p),
                                          pixels_of<const T>(dy), index.device_data<int32_t>(),
                                          pixels_of<T>(dx));
  });
}

void take_rows_backward_counted(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                                const Tensor& dx) {
  const Tensor count = Tensor::zeros({p.from}, DType::i32, dx.device());
  const Tensor first = Tensor::full({p.from}, INT_MAX, DType::i32, dx.device());
  const Picks picks{count.device_data<int32_t>(), first.device_data<int32_t>()};
  launch<count_picks_kernel>({blocks_for(p.to, group_threads), group_threads}, rows_of(p),
                             index.device_data<int32_t>(), picks);
  visit_groups(p.dtype, true, {dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<rows_backward_counted_kernel<T, v>>(group_launch(dx.pixels(), p.channels, v), rows_of(p),
                                               pixels_of<const T>(dy), index.device_data<int32_t>(), picks,
                                               pixels_of<T>(dx));
  });
}

void take_class_naive(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<class_kernel<T>>(group_launch(y.pixels(), p.channels / p.classes, 1), rows_of(p),
                            pixels_of<const T>(x), index.device_data<int32_t>(), pixels_of<T>(y));
  });
}

void take_class_backward_naive(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                               const Tensor& dx) {
  class_backward(false, p, dy, index, dx);
}
void take_class_backward_vectorised(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                                    const Tensor& dx) {
  class_backward(true, p, dy, index, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
