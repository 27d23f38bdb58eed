// Binary pointwise ops, y = f(x, z) with gradients for both, and sums or products with a vector per image.
//
//   scalar      a thread per element
//   vectorised  a thread per 16 bytes; tensors whose memory is not aligned go element by element
//
// The gradient of a broadcast vector is a sum over pixels in a fixed order:
//
//   naive       a thread per element of the vector walks over all its pixels, in double
//   strips      blocks share the pixels, 16 bytes of channels per thread, and the last one to arrive merges
//               their sums (common/channel_merge.cuh)
#include "kernels/common/channel_merge.cuh"
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
  shared.row = divide(group.row, pixels_per_vector).quotient;
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

template <class T>
__global__ void __launch_bounds__(element_threads)
    vector_naive_kernel(Pixels<const T> dy, Pixels<const T> x, int64_t pixels, int64_t vectors,
                        int64_t channels, Pixels<T> dz) {
  const Division i = divide(own_group(), channels);
  const int64_t v = i.quotient, c = i.remainder;
  if (v >= vectors) return;
  double sum = 0;
  for (int64_t p = v * pixels; p < (v + 1) * pixels; ++p) {
    const auto g = static_cast<double>(static_cast<float>(dy.at(p)[c]));
    sum += x ? g * static_cast<double>(static_cast<float>(x.at(p)[c])) : g;
  }
  dz.at(v)[c] = static_cast<T>(static_cast<float>(sum));
}

// For channel_sums: dy, or dy * x if there is an x.
template <class T, int W>
struct VectorGradientWalk {
  struct Sum {
    float value;
    __device__ void merge(const Sum& o) { value += o.value; }
  };
  struct Arguments {
    Pixels<const T> dy, x;
  };
  const Arguments& a;
  int channel;
  float sums[W] = {};

  __device__ VectorGradientWalk(const Arguments& arguments, const ChannelPlace& at)
      : a(arguments), channel(at.channel) {}

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> dy[K] = {}, x[K] = {};
    const bool product{a.x};
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      dy[k] = load<W>(a.dy.at(pixel + k * step) + channel);
      if (product) x[k] = load<W>(a.x.at(pixel + k * step) + channel);
    }
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j)
        sums[j] += static_cast<float>(dy[k][j]) * (product ? static_cast<float>(x[k][j]) : 1.0f);
    }
  }
  __device__ Sum sum(int j) const { return {sums[j]}; }
};

template <class T>
struct WriteVector {
  Pixels<T> dz;
  template <class Sum>
  __device__ void operator()(int64_t vector, int c, const Sum& sum) const {
    dz.at(vector)[c] = static_cast<T>(sum.value);
  }
};

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
  if (dz.numel() == 0) return;
  const Tensor factor = problem.op == Binary::mul ? x : Tensor();
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<vector_naive_kernel<T>>({blocks_for(dz.numel(), element_threads), element_threads},
                                   pixels_of<const T>(dy), pixels_of<const T>(factor),
                                   dy.pixels() / dz.pixels(), dz.pixels(), dz.channels(), pixels_of<T>(dz));
  });
}

void broadcast_vector_strips(const BinaryProblem& problem, const Tensor& x, const Tensor& dy,
                             const Tensor& dz) {
  if (dz.numel() == 0) return;
  const Tensor factor = problem.op == Binary::mul ? x : Tensor();
  visit_groups(problem.dtype, true, {dy, factor}, [&]<int W>(auto tag, std::integral_constant<int, W>) {
    using T = decltype(tag);
    launch_channel_sums<VectorGradientWalk<T, W>, W>(dy, dz.pixels(),
                                                     {pixels_of<const T>(dy), pixels_of<const T>(factor)},
                                                     WriteVector<T>{pixels_of<T>(dz)});
  });
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
