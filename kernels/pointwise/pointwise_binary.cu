// Binary pointwise ops, y = f(x, z) with gradients for both, and sums or products with a vector per image.
//
//   scalar      a thread per element
//   vectorised  a thread per 16 bytes; tensors whose memory is not aligned go element by element
//
// The gradient of a broadcast vector is a sum over pixels, in double and in a fixed order:
//
//   naive       a thread per element of the vector walks over all its pixels
//   strips      blocks share the pixels. Neighbouring threads take neighbouring channels, then neighbouring
//               pixels; a second kernel adds the blocks' sums in order
#include "kernels/pointwise/elements.cuh"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    binary_kernel(Elements e, Pixels<T> x, Pixels<T> z, Pixels<T> y) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  Vec<float, N> v = group.load(x);
  const Vec<float, N> w = group.load(z);
  ATROUS_UNROLL
  for (int i = 0; i < N; ++i) v[i] = Op::value(v[i], w[i]);
  group.store(y, v);
}

// dx and dz may be null.
template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    binary_gradient_kernel(Elements e, Pixels<T> x, Pixels<T> z, Pixels<T> dy, Pixels<T> dx, Pixels<T> dz) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  const Vec<float, N> v = group.load(x), w = group.load(z), g = group.load(dy);
  Vec<float, N> result;
  if (dx) {
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) result[i] = Op::dx(v[i], w[i], g[i]);
    group.store(dx, result);
  }
  if (dz) {
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) result[i] = Op::dz(v[i], w[i], g[i]);
    group.store(dz, result);
  }
}

// Rows are pixels; `pixels_per_vector` of them share a row of z.
template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    broadcast_kernel(Elements e, Pixels<T> x, Pixels<T> z, int64_t pixels_per_vector, Pixels<T> y) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  Group<N> shared = group;
  shared.row = quotient(group.row, pixels_per_vector);
  Vec<float, N> v = group.load(x);
  const Vec<float, N> w = shared.load(z);
  ATROUS_UNROLL
  for (int i = 0; i < N; ++i) v[i] = Op::value(v[i], w[i]);
  group.store(y, v);
}

void forward(bool wide, const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& y) {
  const Elements e({&x, &z, &y});
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_functor(problem.op, [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<binary_kernel<Op, T, n>>({blocks, element_threads}, e, pixels_of<T>(x), pixels_of<T>(z),
                                        pixels_of<T>(y));
      });
    });
  });
}

void backward(bool wide, const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& dy,
              const Tensor& dx, const Tensor& dz) {
  const Elements e({&dy, &x, &z, &dx, &dz});
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_functor(problem.op, [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<binary_gradient_kernel<Op, T, n>>({blocks, element_threads}, e, pixels_of<T>(x),
                                                 pixels_of<T>(z), pixels_of<T>(dy), pixels_of<T>(dx),
                                                 pixels_of<T>(dz));
      });
    });
  });
}

void broadcast(bool wide, const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& y) {
  if (x.numel() == 0) return;
  const Elements e({&x, &z, &y}, true);
  const int64_t pixels_per_vector = x.pixels() / z.pixels();
  visit_activation(problem.dtype, [&]<class T>(T) {
    const auto run = [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<broadcast_kernel<Op, T, n>>({blocks, element_threads}, e, pixels_of<T>(x), pixels_of<T>(z),
                                           pixels_per_vector, pixels_of<T>(y));
      });
    };
    problem.op == Binary::mul ? run(pointwise::mul{}) : run(pointwise::add{});
  });
}

// ---- the gradient of a broadcast vector ----

constexpr int64_t most_strips = 512;
constexpr int64_t pixels_per_thread = 8;  // at least, if there are as many

template <class T>
struct Products {
  Pixels<T> dy, x;  // x is null for a sum
  int64_t pixels;   // per vector
  int64_t vectors;
  int32_t channels;

  __device__ double at(int64_t pixel, int32_t c) const {
    const auto g = static_cast<double>(static_cast<float>(dy.at(pixel)[c]));
    return x ? g * static_cast<double>(static_cast<float>(x.at(pixel)[c])) : g;
  }
};

template <class T>
__global__ void __launch_bounds__(element_threads) vector_naive_kernel(Products<T> in, Pixels<T> dz) {
  const int64_t i = own_group();
  if (i >= in.vectors * in.channels) return;
  const int64_t v = i / in.channels;
  const auto c = static_cast<int32_t>(i - v * in.channels);
  double sum = 0;
  for (int64_t p = 0; p < in.pixels; ++p) sum += in.at(v * in.pixels + p, c);
  dz.at(v)[c] = static_cast<T>(static_cast<float>(sum));
}

// blockIdx.x counts strips of all vectors, blockIdx.y slabs of channels; partial is
// [vectors][strips][channels].
template <class T>
__global__ void __launch_bounds__(element_threads)
    vector_strips_kernel(Products<T> in, int64_t strips, double* partial) {
  ATROUS_SHARED(double, sums, [element_threads]);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t width = min(in.channels, element_threads), lanes = element_threads / width;
  const int32_t c = static_cast<int32_t>(blockIdx.y) * element_threads + thread % width;
  const int64_t vector = blockIdx.x / strips, strip = blockIdx.x % strips;
  const bool active = thread < width * lanes && c < in.channels;
  double sum = 0;
  if (active) {
    for (int64_t p = strip * lanes + thread / width; p < in.pixels; p += strips * lanes)
      sum += in.at(vector * in.pixels + p, c);
  }
  sums[thread] = sum;
  __syncthreads();
  if (!active || thread >= width) return;
  for (int32_t lane = 1; lane < lanes; ++lane) sum += sums[lane * width + thread];
  partial[static_cast<int64_t>(blockIdx.x) * in.channels + c] = sum;
}

template <class T>
__global__ void __launch_bounds__(element_threads)
    vector_finish_kernel(const double* partial, int64_t strips, int64_t vectors, int32_t channels,
                         Pixels<T> dz) {
  const int64_t i = own_group();
  if (i >= vectors * channels) return;
  const int64_t v = i / channels, c = i - v * channels;
  double sum = 0;
  for (int64_t s = 0; s < strips; ++s) sum += partial[(v * strips + s) * channels + c];
  dz.at(v)[c] = static_cast<T>(static_cast<float>(sum));
}

template <class T>
Products<T> products_of(const BinaryProblem& problem, const Tensor& x, const Tensor& dy, const Tensor& dz) {
  return {pixels_of<T>(dy), problem.op == Binary::mul ? pixels_of<T>(x) : Pixels<T>{},
          dz.pixels() ? dy.pixels() / dz.pixels() : 0, dz.pixels(), static_cast<int32_t>(dz.channels())};
}

}  // namespace

void binary_forward_scalar(const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& y) {
  forward(false, problem, x, z, y);
}
void binary_forward_vectorised(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                               const Tensor& y) {
  forward(true, problem, x, z, y);
}
void binary_backward_scalar(const BinaryProblem& problem, const Tensor& x, const Tensor& z, const Tensor& dy,
                            const Tensor& dx, const Tensor& dz) {
  backward(false, problem, x, z, dy, dx, dz);
}
void binary_backward_vectorised(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                const Tensor& dy, const Tensor& dx, const Tensor& dz) {
  backward(true, problem, x, z, dy, dx, dz);
}
void broadcast_forward_scalar(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                              const Tensor& y) {
  broadcast(false, problem, x, z, y);
}
void broadcast_forward_vectorised(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                  const Tensor& y) {
  broadcast(true, problem, x, z, y);
}

void broadcast_vector_naive(const BinaryProblem& problem, const Tensor& x, const Tensor& dy,
                            const Tensor& dz) {
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<vector_naive_kernel<T>>({blocks_for(dz.numel(), element_threads), element_threads},
                                   products_of<T>(problem, x, dy, dz), pixels_of<T>(dz));
  });
}

void broadcast_vector_strips(const BinaryProblem& problem, const Tensor& x, const Tensor& dy,
                             const Tensor& dz) {
  if (dz.numel() == 0) return;
  const int64_t channels = dz.channels(), vectors = dz.pixels(), pixels = dy.pixels() / vectors;
  const int64_t lanes = element_threads / std::min<int64_t>(channels, element_threads);
  const int64_t most = std::max<int64_t>(1, most_strips / vectors);
  const int64_t strips = std::min(most, blocks_for(pixels, lanes * pixels_per_thread));
  const Tensor partial = Tensor::empty({vectors * strips, channels}, DType::f64, dz.device());
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<vector_strips_kernel<T>>(
        {{vectors * strips, blocks_for(channels, element_threads)}, element_threads},
        products_of<T>(problem, x, dy, dz), strips, partial.device_data<double>());
    launch<vector_finish_kernel<T>>({blocks_for(dz.numel(), element_threads), element_threads},
                                    static_cast<const double*>(partial.device_data<double>()), strips,
                                    vectors, static_cast<int32_t>(channels), pixels_of<T>(dz));
  });
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
