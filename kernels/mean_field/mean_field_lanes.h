// A mean-field update in L-wide vectors. Included by files that are compiled per instruction set.
//
// The exponents z of a pixel stand in a row of scratch, in the first-level cache: blocks of registers pass
// over it, so that any number of classes will do.
#pragma once

#include "kernels/lattice_filter/lattice_rows.h"
#include "kernels/mean_field/mean_field_impl.h"

namespace atrous::kernels::mean_field_impl {
namespace {

// z = log_unary, -infinity behind the last class.
template <int L>
[[gnu::always_inline]] inline void begin_pixel(const UpdateRun& r, int64_t p, float* z) {
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    R row, padding;
    row.load_tail(r.log_unary + p * r.stride + first, tail);
    padding.load(r.padding + first);
    row.add(1.0f, padding);
    row.store(z + first);
  });
}

// z -= C(v). v: a row of scratch.
template <int L>
[[gnu::always_inline]] inline void subtract_costs(const UpdateRun& r, const TermRun& t, int64_t p,
                                                  int64_t end, float* z, float* v) {
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    R row, sum;
    if (t.vertex) {
      row = sliced<R>(t.vertex, t.weight, t.corners, t.v + first, t.v_stride, p, end, tail);
    } else {
      row.load_tail(t.v + p * t.v_stride + first, tail);
    }
    if (t.costs == Costs::matrix) return row.store(v + first);
    sum.load(z + first);
    if (t.costs == Costs::factor) {
      sum.add(-t.compatibility[0], row);
    } else {
      R factors;
      factors.load(t.compatibility + first);
      sum.subtract_product(factors, row);
    }
    sum.store(z + first);
  });
  if (t.costs != Costs::matrix) return;
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int) {
    R sum, column;
    sum.load(z + first);
    for (int c = 0; c < r.channels; ++c) {
      column.load(t.compatibility + c * r.padded + first);
      sum.add(-v[c], column);
    }
    sum.store(z + first);
  });
}

// q = softmax(z). e: a row of scratch. z keeps what stands behind its last block of registers.
template <int L>
[[gnu::always_inline]] inline void end_pixel(const UpdateRun& r, const float* z, float* e, float* q) {
  using V = Lanes<L>;
  typename V::F max = V::load(z), sum{};
  for (int c = L; c < r.channels; c += L) {
    const typename V::F x = V::load(z + c);
    max = x > max ? x : max;
  }
  max = V::max_of(max);
  for (int c = 0; c < r.channels; c += L) {
    const typename V::F x = V::exp(V::load(z + c) - max);
    V::store(e + c, x);
    sum += x;
  }
  const float inverse = 1.0f / V::sum_of(sum)[0];
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    R row;
    row.load(e + first);
    row.multiply(inverse);
    row.store_tail(q + first, tail);
  });
}

template <int L>
void update(const UpdateRun& r, int64_t begin, int64_t end, float* scratch) {
  float* v = scratch + r.padded;
  // Blocks may end before the last vector of end_pixel does.
  __builtin_memcpy(scratch, r.padding, static_cast<size_t>(r.padded) * sizeof(float));
  for (int64_t p = begin; p < end; ++p) {
    begin_pixel<L>(r, p, scratch);
    for (int m = 0; m < r.count; ++m) subtract_costs<L>(r, r.terms[m], p, end, scratch, v);
    end_pixel<L>(r, scratch, v, r.q + p * r.channels);
  }
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
