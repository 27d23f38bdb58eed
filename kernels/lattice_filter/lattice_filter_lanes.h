// Splat, blur and slice in L-wide vectors. Included by files that are compiled per instruction set.
//
// The rows that belong together lie far apart in memory. A row is known some rows in advance, so it is
// fetched while the ones before it are added up.
#pragma once

#include "kernels/lattice_filter/lattice_filter_impl.h"
#include "kernels/lattice_filter/lattice_rows.h"

namespace atrous::kernels::lattice_filter_impl {
namespace {

template <int L>
void splat(const SplatRun& r, int64_t begin, int64_t end) {
  const auto corners = static_cast<uint32_t>(r.corners);
  const int32_t last = r.begin[end] - 1;
  constexpr int32_t ahead = 16;
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    for (int64_t s = begin; s < end; ++s) {
      R sum, x;
      for (int32_t e = r.begin[s]; e < r.begin[s + 1]; ++e) {
        const auto next = static_cast<uint32_t>(r.entry[e + ahead < last ? e + ahead : last]);
        const float* row = r.x + next / corners * r.x_stride + first;
        prefetch_row<R>(row);
        __builtin_prefetch(row + R::width - 1);  // it need not begin on a cache line
        __builtin_prefetch(r.weight + next);
        const auto k = static_cast<uint32_t>(r.entry[e]);
        x.load_tail(r.x + k / corners * r.x_stride + first, tail);
        sum.add(r.weight[k], x);
      }
      sum.store(r.v + s * r.v_stride + first);
    }
  });
}

// The same sums in the same order, if r.v is 0: point by point, whose neighbours have mostly the same
// vertices. The corners of points have different vertices (their remainders differ): they may go to different
// threads.
template <class R, class Corners>
[[gnu::always_inline]] inline void scatter_block(const ScatterRun& r, int64_t begin, Corners count, int first,
                                                 int tail) {
  constexpr int64_t ahead = 8;
  float* v = r.v + first;
  for (int64_t p = 0; p < r.points; ++p) {
    const int32_t* vertex = r.vertex + p * r.corners + begin;
    const float* weight = r.weight + p * r.corners + begin;
    const int32_t* later = p + ahead < r.points ? vertex + ahead * r.corners : vertex;
    R x, sum;
    x.load_tail(r.x + p * r.x_stride + first, tail);
    for (int k = 0; k < count; ++k) {
      prefetch_row<R>(v + later[k] * r.v_stride);
      float* row = v + vertex[k] * r.v_stride;
      sum.load(row);
      sum.add(weight[k], x);
      sum.store(row);
    }
  }
}
template <int L>
void scatter(const ScatterRun& r, int64_t begin, int64_t end) {
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    with_corners(static_cast<int>(end - begin),
                 [&](auto count) { scatter_block<R>(r, begin, count, first, tail); });
  });
}

// Blurs the chains that begin at entries of [begin, end).
template <int L>
void walk(const WalkRun& r, int64_t begin, int64_t end) {
  constexpr int64_t ahead = 12;
  while (begin > 0 && begin < end && r.entry[begin - 1] >= 0) ++begin;  // the previous chain is not over yet
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int) {
    const auto row_of = [&](int64_t i) {
      const int32_t s = r.entry[i];
      return r.v + (s < 0 ? ~s : s) * r.stride + first;
    };
    for (int64_t i = begin; i < end; ++i) {
      R before, own, after;
      own.load(row_of(i));
      for (;; ++i) {
        prefetch_row<R>(row_of(i + ahead < r.count ? i + ahead : i));
        const bool last = r.entry[i] < 0;
        R sum = own;
        sum.add(0.5f, before);
        if (!last) {
          after.load(row_of(i + 1));
          sum.add(0.5f, after);
        }
        sum.store(row_of(i));
        if (last) break;
        before = own;
        own = after;
      }
    }
  });
}

// Whether a neighbour exists is unpredictable for the branch predictor: a missing one is replaced by a row
// of zeros.
template <int L>
void blur(const BlurRun& r, int64_t begin, int64_t end) {
  constexpr int64_t ahead = 8;
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int) {
    const float* from = r.from + first;
    const auto row_of = [&](int64_t i) {
      const int32_t s = r.neighbours[i];
      return s < 0 ? r.zeros : from + s * r.stride;
    };
    for (int64_t s = begin; s < end; ++s) {
      const int64_t later = s + ahead < end ? s + ahead : s;
      prefetch_row<R>(row_of(2 * later));
      prefetch_row<R>(row_of(2 * later + 1));
      R sum, before, after;
      sum.load(from + s * r.stride);
      before.load(row_of(2 * s));
      after.load(row_of(2 * s + 1));
      sum.add(0.5f, before);
      sum.add(0.5f, after);
      sum.store(r.to + s * r.stride + first);
    }
  });
}

template <int L>
void slice(const SliceRun& r, int64_t begin, int64_t end) {
  for_column_blocks<L>(r.channels, [&]<class R>(R, int first, int tail) {
    for (int64_t p = begin; p < end; ++p) {
      R v = sliced<R>(r.vertex, r.weight, r.corners, r.v + first, r.v_stride, p, end, tail);
      v.multiply(r.alpha);
      v.store_tail(r.y + p * r.channels + first, tail);
    }
  });
}

template <int L>
constexpr Runs runs{splat<L>, scatter<L>, walk<L>, blur<L>, slice<L>};

}  // namespace
}  // namespace atrous::kernels::lattice_filter_impl
