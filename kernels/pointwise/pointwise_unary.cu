// Unary pointwise ops: y = f(x; a, b), dx = f'(kept; a, b) dy, one kernel for all functors of
// pointwise_math.h.
//
//   scalar      a thread per element
//   vectorised  a thread per 16 bytes: a quarter of the memory instructions in f32, an eighth in bf16.
//               Tensors whose memory is not aligned go element by element
#include "kernels/pointwise/elements.cuh"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    unary_kernel(Elements e, Pixels<T> x, Pixels<T> y, float a, float b) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  Vec<float, N> v = group.load(x);
  ATROUS_UNROLL
  for (int i = 0; i < N; ++i) v[i] = Op::value(v[i], a, b);
  group.store(y, v);
}

template <class Op, class T, int N>
__global__ void __launch_bounds__(element_threads)
    unary_gradient_kernel(Elements e, Pixels<T> kept, Pixels<T> dy, Pixels<T> dx, float a, float b) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  Vec<float, N> g = group.load(dy), v = g;
  if constexpr (Op::keeps != pointwise::Keeps::nothing) v = group.load(kept);
  ATROUS_UNROLL
  for (int i = 0; i < N; ++i) g[i] = Op::gradient(v[i], g[i], a, b);
  group.store(dx, g);
}

void forward(bool wide, const UnaryProblem& problem, const Tensor& x, const Tensor& y) {
  const Elements e({&x, &y});
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_functor(problem.op, [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<unary_kernel<Op, T, n>>({blocks, element_threads}, e, pixels_of<T>(x), pixels_of<T>(y),
                                       static_cast<float>(problem.a), static_cast<float>(problem.b));
      });
    });
  });
}

void backward(bool wide, const UnaryProblem& problem, const Tensor& kept, const Tensor& dy,
              const Tensor& dx) {
  const bool keeps = keeps_of(problem.op) != pointwise::Keeps::nothing;
  const Elements e({&dy, keeps ? &kept : &dy, &dx});
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_functor(problem.op, [&]<class Op>(Op) {
      with_groups<T>(e, wide, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
        launch<unary_gradient_kernel<Op, T, n>>(
            {blocks, element_threads}, e, keeps ? pixels_of<T>(kept) : Pixels<T>{}, pixels_of<T>(dy),
            pixels_of<T>(dx), static_cast<float>(problem.a), static_cast<float>(problem.b));
      });
    });
  });
}

}  // namespace

void unary_forward_scalar(const UnaryProblem& problem, const Tensor& x, const Tensor& y) {
  forward(false, problem, x, y);
}
void unary_forward_vectorised(const UnaryProblem& problem, const Tensor& x, const Tensor& y) {
  forward(true, problem, x, y);
}
void unary_backward_scalar(const UnaryProblem& problem, const Tensor& kept, const Tensor& dy,
                           const Tensor& dx) {
  backward(false, problem, kept, dy, dx);
}
void unary_backward_vectorised(const UnaryProblem& problem, const Tensor& kept, const Tensor& dy,
                               const Tensor& dx) {
  backward(true, problem, kept, dy, dx);
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
