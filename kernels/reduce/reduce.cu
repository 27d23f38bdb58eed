// Sum of all elements times a factor, in double and in a fixed order.
//
//   naive   one block walks over everything
//   blocks  a fixed number of blocks reads 16 bytes per thread and turn; one more block adds their sums in
//           order
#include "kernels/pointwise/elements.cuh"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

constexpr int64_t most_blocks = 1024;
constexpr int64_t groups_per_thread = 4;  // at least, if there are as many

// Sum over this thread's groups, with all threads of the grid taking turns.
template <class T, int N>
__device__ inline double own_sum(const Elements& e, const Pixels<T>& x) {
  double sum = 0;
  const int64_t step = static_cast<int64_t>(gridDim.x) * element_threads;
  for (int64_t g = own_group(); g < e.groups(N); g += step) {
    const Vec<float, N> v = Group<N>(e, g).load(x);
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) sum += static_cast<double>(v[i]);
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(element_threads)
    naive_kernel(Elements e, Pixels<T> x, double factor, float* result) {
  const double sum = block_reduce<Plus>(own_sum<T, 1>(e, x), 0.0);
  if (threadIdx.x == 0) *result = static_cast<float>(sum * factor);
}

template <class T, int N>
__global__ void __launch_bounds__(element_threads) partial_kernel(Elements e, Pixels<T> x, double* partial) {
  const double sum = block_reduce<Plus>(own_sum<T, N>(e, x), 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(element_threads)
    finish_kernel(const double* partial, int64_t blocks, double factor, float* result) {
  double sum = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += element_threads) sum += partial[b];
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *result = static_cast<float>(sum * factor);
}

}  // namespace

void reduce_sum_naive(const ReduceProblem& problem, const Tensor& x, const Tensor& result) {
  visit_activation(problem.dtype, [&]<class T>(T) {
    launch<naive_kernel<T>>({1, element_threads}, Elements({&x}), pixels_of<T>(x), problem.factor,
                            result.device_data<float>());
  });
}

void reduce_sum_blocks(const ReduceProblem& problem, const Tensor& x, const Tensor& result) {
  const Elements e({&x});
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_groups<T>(e, true, [&]<int n>(std::integral_constant<int, n>, int64_t needed) {
      const int64_t blocks = std::min(most_blocks, blocks_for(needed, groups_per_thread));
      const Tensor partial = Tensor::empty({blocks}, DType::f64, x.device());
      launch<partial_kernel<T, n>>({blocks, element_threads}, e, pixels_of<T>(x),
                                   partial.device_data<double>());
      launch<finish_kernel>({1, element_threads}, static_cast<const double*>(partial.device_data<double>()),
                            blocks, problem.factor, result.device_data<float>());
    });
  });
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
