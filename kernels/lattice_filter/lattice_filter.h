// Filtering on a permutohedral lattice (Adams, Baek, Davis 2010): the sum over all pairs of points
//
//   y_i = sum over j of exp(-|f_i - f_j|^2 / 2) x_j
//
// approximately, in time linear in the number of points. The lattice around the features f is built once
// (kernels/lattice_build); a filter then is
//
//   splat   v_s = sum over the points p and corners k with vertex[p, k] = s of weight[p, k] * x_p
//   blur    v_s = v_s + (v_before + v_after) / 2, along one axis of the lattice after the other; a neighbour
//           that does not exist counts as 0
//   slice   y_p = sum over k of weight[p, k] * v_vertex[p, k] / (1 + 2^-d)
//
// Every step is linear and blur along one axis is symmetric. So the transposed filter blurs the axes in
// reverse order, and the gradient of x is the transposed filter of dy.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/validation.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::kernels {

struct LatticeFilterProblem {
  int64_t points = 0, dims = 0, vertices = 0, channels = 0;
  bool transposed = false;
  DType dtype = DType::f32;
  // Products with the weights of the corners, in splat or slice; a multiply and an add count as two. Blur, of
  // which the number of vertices decides, only adds and halves: it is not counted.
  double flops() const { return 2 * static_cast<double>(points * (dims + 1) * channels); }
  std::string str() const;  // "n2304 d5 v1500 c21 transposed f32"
};

// The values of the vertices, [V, C], after splat and blur. values: N rows of C channels in any shape, f32 or
// (on the CPU) f64, any pixel stride, on the device of the lattice, whose weights are of the same type. The
// rows of the result are apart by a multiple of 8 elements. Errors (usage): other sizes and types.
//
// buffers: memory for the result and intermediate values, allocated when it does not fit. Reusing it for
// repeated filters saves the allocations; the result then lives until the next call.
struct LatticeBuffers {
  Tensor result, scratch;
};
Tensor lattice_splat_blur(const Lattice& lattice, const Tensor& values, bool transposed = false,
                          LatticeBuffers* buffers = nullptr);
// [N, C] from values of the vertices [V, C].
Tensor lattice_slice(const Lattice& lattice, const Tensor& vertex_values);
// Splat, blur and slice; the result has the shape of `values`.
Tensor lattice_filter(const Lattice& lattice, const Tensor& values, bool transposed = false);

// On the CPU, the lattice with the order in which blurs in place go through it, for many filters: along each
// axis, vertices form chains, and a chain that is followed from end to end needs each row once and no second
// buffer. Adds 4 bytes per vertex and axis. walks: i32 [d+1, 1+V], for each axis the number of entries, then
// the vertices chain after chain, the last one of a chain as ~v; vertices without neighbours are left out. On
// a device, the lattice as it is.
Lattice lattice_with_walks(const Lattice& lattice);

// The factor of a slice, 1 / (1 + 2^-d): it compensates the change of the kernel's height by splat, blur and
// slice.
double lattice_alpha(int64_t dims);

// The same lattice with weights of another type or on another device.
Lattice lattice_to(const Lattice& lattice, DType dtype);
Lattice lattice_to(const Lattice& lattice, Device device);

}  // namespace atrous::kernels
