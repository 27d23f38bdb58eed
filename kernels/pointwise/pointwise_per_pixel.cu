// Sums or products with one value per pixel, y[p,c] = x[p,c] z[p], and the gradient of those values,
// dz[p] = sum over c of dy[p,c] x[p,c] (or of dy[p,c]).
//
//   scalar      a thread per element
//   vectorised  a thread per 16 bytes; pixels that are not aligned go element by element
//
// The gradient, in a fixed order:
//
//   naive       a thread per pixel: neighbouring threads read memory a pixel apart
//   lanes       neighbouring threads read neighbouring channels of a pixel. As many of a warp work on a pixel
//               as it has channels, at most all 32: with few channels a warp takes several pixels
#include "kernels/pointwise/elements.cuh"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

// Rows are pixels.
template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    per_pixel_kernel(Elements e, Pixels<T> x, Pixels<T> z, Pixels<T> y) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  Vec<float, N> v = group.load(x);
  const auto factor = static_cast<float>(*z.at(group.row));
  ATROUS_UNROLL
  for (int i = 0; i < N; ++i) v[i] = Op::value(v[i], factor);
  group.store(y, v);
}

void forward(bool wide, const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& y) {
  if (x.numel() == 0) return;
  const Elements e({&x, &y}, true);
  visit_activation(problem.dtype, [&]<class T>(T) {
    const auto run = [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<per_pixel_kernel<Op, T, n>>({blocks, element_threads}, e, pixels_of<T>(x), pixels_of<T>(z),
                                           pixels_of<T>(y));
      });
    };
    problem.op == Binary::mul ? run(pointwise::mul{}) : run(pointwise::add{});
  });
}

// x is null for a sum.
template <class T>
__device__ float term(Pixels<T> dy, Pixels<T> x, int64_t pixel, int64_t c) {
  const auto g = static_cast<float>(dy.at(pixel)[c]);
  return x ? g * static_cast<float>(x.at(pixel)[c]) : g;
}

template <class T>
__global__ void __launch_bounds__(element_threads)
    sums_naive_kernel(Pixels<T> dy, Pixels<T> x, int64_t pixels, int64_t channels, Pixels<T> dz) {
  const int64_t pixel = own_group();
  if (pixel >= pixels) return;
  float sum = 0;
  for (int64_t c = 0; c < channels; ++c) sum += term(dy, x, pixel, c);
  *dz.at(pixel) = static_cast<T>(sum);
}

// `lanes` threads per pixel, a power of two up to 32.
template <class T>
__global__ void __launch_bounds__(element_threads)
    sums_lanes_kernel(Pixels<T> dy, Pixels<T> x, int64_t pixels, int64_t channels, int lanes, Pixels<T> dz) {
  const int64_t pixel = own_group() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  float sum = 0;
  if (pixel < pixels) {
    for (int64_t c = lane; c < channels; c += lanes) sum += term(dy, x, pixel, c);
  }
  for (int distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (lane == 0 && pixel < pixels) *dz.at(pixel) = static_cast<T>(sum);
}

}  // namespace

void per_pixel_forward_scalar(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                              const Tensor& y) {
  forward(false, problem, x, z, y);
}
void per_pixel_forward_vectorised(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                  const Tensor& y) {
  forward(true, problem, x, z, y);
}

void per_pixel_sums_naive(const BinaryProblem& problem, const Tensor& x, const Tensor& dy, const Tensor& dz) {
  if (dz.numel() == 0) return;
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<sums_naive_kernel<T>>({blocks_for(dy.pixels(), element_threads), element_threads},
                                 pixels_of<T>(dy), problem.op == Binary::mul ? pixels_of<T>(x) : Pixels<T>{},
                                 dy.pixels(), dy.channels(), pixels_of<T>(dz));
  });
}

void per_pixel_sums_lanes(const BinaryProblem& problem, const Tensor& x, const Tensor& dy, const Tensor& dz) {
  if (dz.numel() == 0) return;
  int lanes = 1;
  while (lanes < 32 && lanes < dy.channels()) lanes *= 2;
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<sums_lanes_kernel<T>>({blocks_for(dy.pixels() * lanes, element_threads), element_threads},
                                 pixels_of<T>(dy), problem.op == Binary::mul ? pixels_of<T>(x) : Pixels<T>{},
                                 dy.pixels(), dy.channels(), lanes, pixels_of<T>(dz));
  });
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
