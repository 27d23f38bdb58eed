// The simplex of the permutohedral lattice around a point. One formula for all implementations, since one bit
// of difference may put a point into another simplex: nothing here may be contracted into fused operations.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/common/rounded.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::kernels {

// F is float, double or a vector of floats; E is its element. Coordinates are in units of d + 1, so that the
// vertices with remainder 0 are the integer points whose sum is 0.
template <class F, int D>
struct Simplex {
  F quotient[D + 1];  // of the vertex with remainder 0
  F rank[D + 1];      // of the coordinates, 0 ... D, by falling distance of the point from that vertex
  F weight[D + 1];    // of the vertices, by remainder
  F reach;            // largest magnitude of a coordinate; NaN if a feature is NaN

  // Vertex k has remainder k and these quotients.
  ATROUS_HD [[gnu::always_inline]] inline F quotient_of(int i, int k) const {
    return rank[i] > static_cast<float>(D - k) ? quotient[i] - 1 : quotient[i];
  }
};

// Factors of the features: they make the blurred splat a Gaussian with standard deviation 1.
template <class E>
struct LatticeScale {
  E of[lattice_most_dims];
  LatticeScale() {
    for (int i = 0; i < lattice_most_dims; ++i)
      of[i] = static_cast<E>(std::sqrt(2.0 / (3 * (i + 1) * (i + 2))));
  }
};

// Beyond this, rounding errors of a float are as large as the weights.
inline constexpr float lattice_most_reach = 1 << 14;

namespace lattice_math {

// In place, as vectors are not passed by value between functions for several instruction sets.
template <class F, class E>
ATROUS_HD [[gnu::always_inline]] inline void multiply(F& a, E b) {
  if constexpr (std::is_same_v<F, float>)
    a = rounded_product(a, b);
  else
    a = a * b;
}

// To the nearest integer, halves to even: the last bit of the sum is worth 1.
template <class E, class F>
ATROUS_HD [[gnu::always_inline]] inline void round_to_nearest(F& v) {
  constexpr E magic = std::is_same_v<E, float> ? E{0x1.8p23} : E{0x1.8p52};
  v = (v + magic) - magic;
}

}  // namespace lattice_math

template <int D, class E, class F>
ATROUS_HD [[gnu::always_inline]] inline void find_simplex(const F (&feature)[D], const LatticeScale<E>& scale,
                                                          Simplex<F, D>& s) {
  using namespace lattice_math;
  const F zero = F{}, one = F{} + E{1};
  // Onto the hyperplane, by an orthogonal basis: axis i is (1, ..., 1, -i, 0, ..., 0), its length in `scale`.
  F position[D + 1];
  position[0] = zero;
  s.reach = zero;
  for (int i = D; i > 0; --i) {
    F scaled = feature[i - 1];
    multiply(scaled, scale.of[i - 1]);
    F back = scaled;
    multiply(back, static_cast<E>(i));
    position[i] = position[0] - back;
    position[0] = position[0] + scaled;
  }
  // Coordinate 0 comes last: it adds up all features, so a NaN stays.
  for (int i = D; i >= 0; --i) {
    const F magnitude = position[i] < zero ? -position[i] : position[i];
    s.reach = magnitude <= s.reach ? s.reach : magnitude;
  }

  // The nearest vertex with remainder 0: round, then restore the sum by changing the coordinates that were
  // rounded the furthest. A rank counts those with a larger rest (of equal ones, those before); a shift of
  // all ranks by the sum makes the ones to change leave 0 ... D.
  F rest[D + 1];
  F sum = zero;
  for (int i = 0; i <= D; ++i) {
    s.quotient[i] = position[i];
    round_to_nearest<E>(s.quotient[i]);
    rest[i] = position[i] - s.quotient[i];
    sum = sum + s.quotient[i];
    s.rank[i] = zero;
  }
  for (int i = 0; i <= D; ++i) {
    for (int j = i + 1; j <= D; ++j) {
      s.rank[i] = s.rank[i] + (rest[i] < rest[j] ? one : zero);
      s.rank[j] = s.rank[j] + (rest[i] < rest[j] ? zero : one);
    }
  }
  for (int i = 0; i <= D; ++i) {
    const F rank = s.rank[i] + sum;
    const F change = rank < zero ? one : rank > zero + static_cast<E>(D) ? -one : zero;
    s.rank[i] = rank + change * static_cast<E>(D + 1);
    s.quotient[i] = s.quotient[i] + change;
    rest[i] = rest[i] - change;
  }

  // Barycentric weights are differences of rests next to each other in rank. Rests are rounded in their
  // order, so no weight is negative.
  F sorted[D + 1];
  for (int r = 0; r <= D; ++r) {
    sorted[r] = zero;
    for (int i = 0; i <= D; ++i) sorted[r] = s.rank[i] == zero + static_cast<E>(r) ? rest[i] : sorted[r];
  }
  s.weight[0] = (sorted[D] + one) - sorted[0];
  for (int k = 1; k <= D; ++k) s.weight[k] = sorted[D - k] - sorted[D + 1 - k];
}

// f(std::integral_constant<int, d>) for a number of features that is known at run time.
template <class F>
[[gnu::always_inline]] inline decltype(auto) visit_lattice_dims(int64_t dims, F&& f) {
  switch (dims) {
    case 2: return f(std::integral_constant<int, 2>());
    case 3: return f(std::integral_constant<int, 3>());
    case 4: return f(std::integral_constant<int, 4>());
    case 5: return f(std::integral_constant<int, 5>());
    case 6: return f(std::integral_constant<int, 6>());
    case 7: return f(std::integral_constant<int, 7>());
    default: return f(std::integral_constant<int, 8>());
  }
}

}  // namespace atrous::kernels
