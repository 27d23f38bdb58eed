// Splat, blur and slice on a permutohedral lattice; formulas in lattice_filter.h. Rows of channels, the
// channels of a row dense.
//
// The ladder:
//   naive  a thread per element of the result: neighbouring threads read neighbouring channels of the same
//          row. A splat is a sum over the entries of a vertex in their order, so no atomics are needed
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"
#include "kernels/lattice_filter/lattice_filter_impl.h"

namespace atrous::kernels::lattice_filter_impl::ATROUS_GPU {
namespace {

constexpr int threads = 256;

// The row and the channel of this thread.
__device__ inline Division own_element(int channels) {
  return divide(static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x, channels);
}

__global__ void __launch_bounds__(threads)
    splat_naive(const int32_t* begin, const int32_t* entry, const float* weight, int corners,
                Pixels<const float> x, Pixels<float> v, int64_t vertices, int channels) {
  const Division item = own_element(channels);
  if (item.quotient >= vertices) return;
  float sum = 0;
  for (int e = begin[item.quotient]; e < begin[item.quotient + 1]; ++e)
    sum += weight[entry[e]] * x.at(entry[e] / corners)[item.remainder];
  v.at(item.quotient)[item.remainder] = sum;
}

// neighbours: of one axis.
__global__ void __launch_bounds__(threads) blur_naive(const int32_t* neighbours, Pixels<const float> v,
                                                      Pixels<float> result, int64_t vertices, int channels) {
  const Division item = own_element(channels);
  if (item.quotient >= vertices) return;
  float sum = 0;
  for (int side = 0; side < 2; ++side) {
    const int32_t other = neighbours[item.quotient * 2 + side];
    if (other >= 0) sum += v.at(other)[item.remainder];
  }
  result.at(item.quotient)[item.remainder] = v.at(item.quotient)[item.remainder] + 0.5f * sum;
}

__global__ void __launch_bounds__(threads)
    slice_naive_kernel(const int32_t* vertex, const float* weight, int corners, float alpha,
                       Pixels<const float> v, float* y, int64_t points, int channels) {
  const Division item = own_element(channels);
  if (item.quotient >= points) return;
  float sum = 0;
  for (int64_t k = item.quotient * corners; k < (item.quotient + 1) * corners; ++k)
    sum += weight[k] * v.at(vertex[k])[item.remainder];
  y[item.quotient * channels + item.remainder] = alpha * sum;
}

}  // namespace

void splat_blur_naive(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& values,
                      const Tensor& vertex_values, const Tensor& scratch) {
  const LaunchShape shape{blocks_for(p.vertices * p.channels, threads), threads};
  const int channels = static_cast<int>(p.channels), axes = static_cast<int>(p.dims) + 1;
  Tensor from = scratch, to = vertex_values;
  // d + 1 blurs end in vertex_values.
  if (axes % 2 == 0) std::swap(from, to);
  launch<splat_naive>(shape, static_cast<const int32_t*>(lattice.splat_begin.device_data<int32_t>()),
                      static_cast<const int32_t*>(lattice.splat_entry.device_data<int32_t>()),
                      static_cast<const float*>(lattice.weight.device_data<float>()), axes,
                      pixels_of<const float>(values), pixels_of<float>(from), p.vertices, channels);
  for (int i = 0; i < axes; ++i, std::swap(from, to)) {
    const int axis = p.transposed ? axes - 1 - i : i;
    const int32_t* neighbours = lattice.neighbours.device_data<int32_t>() + axis * p.vertices * 2;
    launch<blur_naive>(shape, neighbours, pixels_of<const float>(from), pixels_of<float>(to), p.vertices,
                       channels);
  }
}

void slice_naive(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& vertex_values,
                 const Tensor& y) {
  launch<slice_naive_kernel>({blocks_for(p.points * p.channels, threads), threads},
                             static_cast<const int32_t*>(lattice.vertex.device_data<int32_t>()),
                             static_cast<const float*>(lattice.weight.device_data<float>()),
                             static_cast<int>(p.dims) + 1, static_cast<float>(lattice_alpha(p.dims)),
                             pixels_of<const float>(vertex_values), y.device_data<float>(), p.points,
                             static_cast<int>(p.channels));
}

}  // namespace atrous::kernels::lattice_filter_impl::ATROUS_GPU
