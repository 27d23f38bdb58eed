// A mean-field update in L-wide vectors. Included by files that are compiled per instruction set.
#pragma once

#include "kernels/lattice_filter/lattice_rows.h"
#include "kernels/mean_field/mean_field_impl.h"

namespace atrous::kernels::mean_field_impl {
namespace {

// The filtered values v of term t for a block of classes of point p.
template <class R>
[[gnu::always_inline]] inline R filtered(const TermRun& t, int64_t p, int64_t end, int first, int tail) {
  R row;
  if (t.vertex) {
    with_corners(t.corners, [&](auto corners) {
      row = sliced<R>(t.vertex, t.weight, corners, t.v + first, t.v_stride, p, end, tail);
    });
    return row;
  }
  row.load_tail(t.v + p * t.v_stride + first, tail);
  return row;
}

// z -= C(v) where classes do not mix.
template <class R>
[[gnu::always_inline]] inline void subtract(const TermRun& t, const R& v, int first, R& z) {
  if (t.costs == Costs::factor) return z.add(-t.compatibility[0], v);
  R factors;
  factors.load(t.compatibility + first);
  z.subtract_product(factors, v);
}

// z -= M v for a block of classes. v: all of them.
template <class R>
[[gnu::always_inline]] inline void subtract_matrix(const UpdateRun& r, const TermRun& t, const float* v,
                                                   int first, R& z) {
  R column;
  for (int c = 0; c < r.channels; ++c) {
    column.load(t.compatibility + c * r.padded + first);
    z.add(-v[c], column);
  }
}

template <class R>
[[gnu::always_inline]] inline R unary(const UpdateRun& r, int64_t p, int first, int tail) {
  R z, padding;
  z.load_tail(r.log_unary + p * r.stride + first, tail);
  padding.load(r.padding + first);
  z.add(1.0f, padding);
  return z;
}

// Few classes: a pixel stays in registers.
template <class R>
[[gnu::always_inline]] inline void update_in_registers(const UpdateRun& r, int64_t begin, int64_t end,
                                                       int tail, float* scratch) {
  for (int64_t p = begin; p < end; ++p) {
    R z = unary<R>(r, p, 0, tail);
    for (int m = 0; m < r.count; ++m) {
      const TermRun& t = r.terms[m];
      const R v = filtered<R>(t, p, end, 0, tail);
      if (t.costs != Costs::matrix) {
        subtract(t, v, 0, z);
        continue;
      }
      v.store(scratch);
      subtract_matrix(r, t, scratch, 0, z);
    }
    const float sum = z.exponentials(z.max());
    z.multiply(1.0f / sum);
    z.store_tail(r.q + p * r.channels, tail);
  }
}

// Many: z is a row of scratch, over which blocks of registers pass.
template <int L>
[[gnu::always_inline]] inline void update_in_blocks(const UpdateRun& r, int64_t begin, int64_t end, float* z,
                                                    float* v) {
  for (int64_t p = begin; p < end; ++p) {
    float max = -__builtin_inff(), sum = 0;
    for_column_blocks<L>(
        r.channels, [&]<class R>(R, int first, int tail) { unary<R>(r, p, first, tail).store(z + first); });
    for (int m = 0; m < r.count; ++m) {
      const TermRun& t = r.terms[m];
      for_column_blocks<L>(r.channels, [&]<class R>(R row, int first, int tail) {
        const R part = filtered<R>(t, p, end, first, tail);
        if (t.costs == Costs::matrix) return part.store(v + first);
        row.load(z + first);
        subtract(t, part, first, row);
        row.store(z + first);
      });
      if (t.costs != Costs::matrix) continue;
      for_column_blocks<L>(r.channels, [&]<class R>(R row, int first, int) {
        row.load(z + first);
        subtract_matrix(r, t, v, first, row);
        row.store(z + first);
      });
    }
    for_column_blocks<L>(r.channels, [&]<class R>(R row, int first, int) {
      row.load(z + first);
      const float most = row.max();
      max = most > max ? most : max;
    });
    for_column_blocks<L>(r.channels, [&]<class R>(R row, int first, int) {
      row.load(z + first);
      sum += row.exponentials(max);
      row.store(z + first);
    });
    for_column_blocks<L>(r.channels, [&]<class R>(R row, int first, int tail) {
      row.load(z + first);
      row.multiply(1.0f / sum);
      row.store_tail(r.q + p * r.channels + first, tail);
    });
  }
}

template <int L>
void update(const UpdateRun& r, int64_t begin, int64_t end, float* scratch) {
  if (r.channels > 4 * L) return update_in_blocks<L>(r, begin, end, scratch, scratch + r.padded);
  for_column_blocks<L>(
      r.channels, [&]<class R>(R, int, int tail) { update_in_registers<R>(r, begin, end, tail, scratch); });
}

template <int L>
int64_t first_bad(const float* rows, int64_t stride, int channels, int64_t count) {
  using V = Lanes<L>;
  for (int64_t p = 0; p < count; ++p) {
    typename V::F sum{}, wrong{};
    for (int c = 0; c < channels; c += L) {
      const int n = channels - c < L ? channels - c : L;
      const typename V::F x = Part<L>::load(rows + p * stride + c, n);
      sum += x;
      wrong += x >= 0 ? V::all(0.0f) : V::all(1.0f);  // NaN is not >= 0
    }
    const float off = V::sum_of(sum)[0] - 1;
    constexpr float tolerance = static_cast<float>(probability_sum_tolerance);
    if (V::sum_of(wrong)[0] > 0 || !(off <= tolerance && off >= -tolerance)) return p;
  }
  return count;
}

template <int L>
constexpr Runs runs{update<L>, first_bad<L>};

}  // namespace
}  // namespace atrous::kernels::mean_field_impl
