// Not differentiable: no layer.
//
// The permutohedral lattice (Adams, Baek, Davis 2010, "Fast High-Dimensional Filtering Using the
// Permutohedral Lattice") around N points with d features. It makes a Gaussian filter over all pairs of
// points,
//
//   y_i = sum_j exp(-|f_i - f_j|^2 / 2) x_j,
//
// in time linear in N: values are splat onto the corners of the simplex around each point, blurred
// along the axes of the lattice and read back (kernels/lattice_filter). Here the lattice itself is built,
// once for any number of filters: corners, weights, and the neighbours of each vertex.
//
// The lattice lives in the hyperplane sum(c) = 0 of d + 1 coordinates. Its vertices are the integer points
// there whose coordinates are congruent modulo d + 1. A vertex is determined by its first d coordinates, as
// quotients and one remainder:
//
//   c_i = (d + 1) q_i + r,   0 <= r <= d
//
// lattice_math.h finds the simplex around a point. It has one vertex of each remainder.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

inline constexpr int64_t lattice_least_dims = 2, lattice_most_dims = 8;

// Along axis j, the vertex after another has 1 more in every coordinate, then d + 1 less in coordinate j; the
// one before it has it the other way round.
struct Lattice {
  int64_t points = 0, dims = 0, vertices = 0;
  Tensor vertex;       // i32 [N, d+1]: vertices of the simplex around each point, by remainder
  Tensor weight;       // f32 [N, d+1] (f64 for f64 features): barycentric; not negative, sum 1
  Tensor neighbours;   // i32 [d+1, V, 2]: before and after each vertex along each axis; -1: there is none
  Tensor splat_begin;  // i32 [V+1]: where the entries of a vertex begin in
  Tensor splat_entry;  // i32 [N*(d+1)]: p*(d+1)+k, rising within a vertex, so that sums have one order
  Tensor walks = {};   // undefined, or see lattice_with_walks in kernels/lattice_filter

  static void each_tensor(auto& self, const auto& f) {
    for (auto* t :
         {&self.vertex, &self.weight, &self.neighbours, &self.splat_begin, &self.splat_entry, &self.walks})
      f(*t);
  }
};

struct LatticeProblem {
  int64_t points = 0, dims = 0;
  DType dtype = DType::f32;
  std::string str() const;  // "n187500 d5 f32"
};

// The lattice around features [N, d], f32 or (on the CPU) f64, 2 <= d <= 8, N >= 1, already divided by the
// standard deviations; on the device of the features. Vertices are numbered in rising order of (r, q_0, ...,
// q_{d-1}): the result does not depend on threads or scheduling, and vertices near each other are near in
// memory. Takes 12 N (d+1) + V (8d + 12) bytes, and 16 N (d+1) + 8 V more while it works (twice these where
// 64 bits are too few for a key). On a GPU the host waits twice, for the range of the features and the number
// of vertices.
//
// Errors (usage): another shape or type, N (d+1) >= 2^31, features that are not finite or beyond some ten
// thousand (for d > 6 it may be less: keys have at most 128 bits).
Lattice lattice_build(const Tensor& features);

// The features of a bilateral kernel: row p of the result is (x / xy_std, y / xy_std, R / color_std, G /
// color_std, B / color_std) of pixel p = y W + x. image: u8 [H, W, 3], or f32 in 0..255, any pixel stride ->
// f32 [H*W, 5] on the image's device. Errors (usage): another shape or type, no pixels, standard deviations
// that are not positive and finite.
Tensor bilateral_features(const Tensor& image, double xy_std, double color_std);

struct LatticeFeaturesProblem {
  int64_t height = 0, width = 0;
  float xy_std = 1, color_std = 1;
  DType dtype = DType::f32;  // of the image
  std::string str() const;   // "375x500 xy 49 color 5 u8"
};

}  // namespace atrous::kernels
