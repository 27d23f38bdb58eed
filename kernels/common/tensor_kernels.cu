// Element-wise work of Tensor on a GPU.
//
//   fill      to[p,c] = value
//   convert   to[p,c] = To(from[p,c])
//   add       to[p,c] = to[p,c] + from[p,c]
//   find_non_finite   found = 1 if any in[p,c] is NaN or Inf
//
// A tensor is rows of dense elements at a constant distance; if nothing lies between them, one long row. A
// thread owns four neighbouring elements of a row: one access of up to 16 bytes (32 for eight-byte types)
// where rows start aligned, else one by one.
#include "kernels/common/channel_groups.h"
#include "kernels/common/tensor_kernels.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int per_thread = 4;

struct Rows {
  int64_t count, length;
};

Rows rows_of(const Tensor& to, bool dense) {
  return dense ? Rows{1, to.numel()} : Rows{to.pixels(), to.channels()};
}

bool rows_are_aligned(const Tensor& t, bool dense) {
  const auto bytes = per_thread * size_of(t.dtype());
  return reinterpret_cast<uintptr_t>(t.device_raw()) % bytes == 0 &&
         (dense || t.pixel_stride() % per_thread == 0);
}

// The elements [begin, begin + count) of row `row` that this thread owns; count <= 0 past the end.
struct Share {
  int64_t row, begin, count;
};

__device__ Share own_share(const Rows& rows) {
  const Division item =
      divide(int64_t{blockIdx.x} * group_threads + threadIdx.x, (rows.length + per_thread - 1) / per_thread);
  const int64_t begin = item.remainder * per_thread;
  return {item.quotient, begin,
          item.quotient < rows.count ? min(int64_t{per_thread}, rows.length - begin) : 0};
}

LaunchShape launch_over(const Rows& rows) {
  return {blocks_for(rows.count * blocks_for(rows.length, per_thread), group_threads), group_threads};
}

// Bits: an unsigned integer of the element's size.
template <class Bits>
__global__ __launch_bounds__(group_threads) void fill_rows(Rows rows, Pixels<Bits> to, Bits value,
                                                           bool aligned) {
  const Share own = own_share(rows);
  if (own.count <= 0) return;
  Bits* p = to.at(own.row) + own.begin;
  if (aligned && own.count == per_thread) {
    Vec<Bits, per_thread> values;
    for (int i = 0; i < per_thread; ++i) values[i] = value;
    store<per_thread>(p, values);
  } else {
    for (int i = 0; i < own.count; ++i) p[i] = value;
  }
}

template <class To, class From>
__global__ __launch_bounds__(group_threads) void convert_rows(Rows rows, Pixels<To> to,
                                                              Pixels<const From> from, bool aligned) {
  const Share own = own_share(rows);
  if (own.count <= 0) return;
  To* t = to.at(own.row) + own.begin;
  const From* f = from.at(own.row) + own.begin;
  if (aligned && own.count == per_thread) {
    const Vec<From, per_thread> values = load<per_thread>(f);
    Vec<To, per_thread> results;
    for (int i = 0; i < per_thread; ++i) results[i] = convert_element<To>(values[i]);
    store<per_thread>(t, results);
  } else {
    for (int i = 0; i < own.count; ++i) t[i] = convert_element<To>(f[i]);
  }
}

template <class T>
__device__ T sum(T a, T b) {
  if constexpr (std::is_same_v<T, bf16>) {
    return bf16(static_cast<float>(a) + static_cast<float>(b));
  } else {
    return a + b;
  }
}

template <class T>
__global__ __launch_bounds__(group_threads) void add_rows(Rows rows, Pixels<T> to, Pixels<const T> from,
                                                          bool aligned) {
  const Share own = own_share(rows);
  if (own.count <= 0) return;
  T* t = to.at(own.row) + own.begin;
  const T* f = from.at(own.row) + own.begin;
  if (aligned && own.count == per_thread) {
    Vec<T, per_thread> values = load<per_thread>(static_cast<const T*>(t));
    const Vec<T, per_thread> more = load<per_thread>(f);
    for (int i = 0; i < per_thread; ++i) values[i] = sum(values[i], more[i]);
    store<per_thread>(t, values);
  } else {
    for (int i = 0; i < own.count; ++i) t[i] = sum(t[i], f[i]);
  }
}

template <class T>
__global__ __launch_bounds__(group_threads) void find_in_rows(Rows rows, Pixels<const T> in, bool aligned,
                                                              int* found) {
  const Share own = own_share(rows);
  if (own.count <= 0) return;
  const T* p = in.at(own.row) + own.begin;
  Vec<T, per_thread> values;
  if (aligned && own.count == per_thread) {
    values = load<per_thread>(p);
  } else {
    for (int i = 0; i < per_thread; ++i) values[i] = i < own.count ? p[i] : convert_element<T>(0.0);
  }
  bool finite = true;
  for (int i = 0; i < per_thread; ++i) finite = finite && std::isfinite(convert_element<double>(values[i]));
  if (!finite) atomicOr(found, 1);
}

template <class Bits, class T>
void fill_with(const Tensor& to, T value) {
  const bool dense = to.contiguous();
  const Pixels<Bits> pixels{reinterpret_cast<Bits*>(to.device_raw()), to.pixel_stride()};
  const Rows rows = rows_of(to, dense);
  launch<fill_rows<Bits>>(launch_over(rows), rows, pixels, std::bit_cast<Bits>(value),
                          rows_are_aligned(to, dense));
}

void fill(const Tensor& to, double value) {
  switch (to.dtype()) {
    case DType::f32: return fill_with<uint32_t>(to, convert_element<float>(value));
    case DType::f64: return fill_with<uint64_t>(to, value);
    case DType::bf16: return fill_with<uint16_t>(to, convert_element<bf16>(value));
    case DType::i64: return fill_with<uint64_t>(to, convert_element<int64_t>(value));
    case DType::i32: return fill_with<uint32_t>(to, convert_element<int32_t>(value));
    case DType::u8: return fill_with<uint8_t>(to, convert_element<uint8_t>(value));
  }
}

void convert(const Tensor& to, const Tensor& from) {
  const bool dense = to.contiguous() && from.contiguous();
  const bool aligned = rows_are_aligned(to, dense) && rows_are_aligned(from, dense);
  const Rows rows = rows_of(to, dense);
  visit_dtype(to.dtype(), [&](auto to_tag) {
    visit_dtype(from.dtype(), [&](auto from_tag) {
      using To = decltype(to_tag);
      using From = decltype(from_tag);
      launch<convert_rows<To, From>>(launch_over(rows), rows, pixels_of<To>(to), pixels_of<const From>(from),
                                     aligned);
    });
  });
}

void add(const Tensor& to, const Tensor& from) {
  ATROUS_ASSERT(to.dtype() == from.dtype() && to.shape() == from.shape());
  const bool dense = to.contiguous() && from.contiguous();
  const bool aligned = rows_are_aligned(to, dense) && rows_are_aligned(from, dense);
  const Rows rows = rows_of(to, dense);
  visit_dtype(to.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<add_rows<T>>(launch_over(rows), rows, pixels_of<T>(to), pixels_of<const T>(from), aligned);
  });
}

void find_non_finite(const Tensor& in, const Tensor& found) {
  const bool dense = in.contiguous();
  const Rows rows = rows_of(in, dense);
  const auto run = [&](auto tag) {
    using T = decltype(tag);
    launch<find_in_rows<T>>(launch_over(rows), rows, pixels_of<const T>(in), rows_are_aligned(in, dense),
                            found.device_data<int>());
  };
  if (in.dtype() == DType::f64) return run(double{});
  if (in.dtype() == DType::bf16) return run(bf16{});
  ATROUS_ASSERT(in.dtype() == DType::f32);
  run(float{});
}

}  // namespace

TensorKernels tensor_kernels() {
  return {fill, convert, add, find_non_finite};
}

}  // namespace atrous::kernels::ATROUS_GPU
