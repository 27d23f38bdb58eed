// loss = s sum_i f(x_i, t_i) and its gradient s f'(x_i, t_i); formulas: pointwise_loss_math.h.
//
// x is pixel-strided, f32 or bf16; targets (f32) and gradient are dense. The sum is in double and in a fixed
// order.
//
//   naive    one block walks over everything
//   blocks   a fixed number of blocks, 4 neighbours per thread and turn; the block that arrives last adds the
//            sums of all in order
#include "kernels/gpu/tickets.h"
#include "kernels/pointwise/elements.cuh"
#include "kernels/pointwise_loss/pointwise_loss_impl.h"
#include "kernels/pointwise_loss/pointwise_loss_math.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int64_t most_blocks = 512;
constexpr int64_t groups_per_thread = 4;  // at least, if there are as many
constexpr int wide = 4;                   // 16 bytes of targets

template <class T>
struct LossData {
  Pixels<const T> x;
  Pixels<const float> targets;
  Pixels<T> gradient;  // or nothing
};

struct LossRule {
  PointwiseLoss kind;
  float beta;
  double scale;
};

// Sum over this thread's groups, with all threads of the grid taking turns. Writes their gradients.
template <class T, int N>
__device__ inline double own_sum(const Elements& e, const LossData<T>& data, const LossRule& rule) {
  const auto scale = static_cast<float>(rule.scale);
  const int64_t step = static_cast<int64_t>(gridDim.x) * element_threads;
  double sum = 0;
  for (int64_t g = own_group(); g < e.groups(N); g += step) {
    const Group<N> group(e, g);
    const auto x = group.load(data.x), target = group.load(data.targets);
    Vec<float, N> gradient;
    ATROUS_UNROLL
    for (int i = 0; i < N; ++i) {
      const ElementLoss<float> one = element_loss(rule.kind, rule.beta, x[i], target[i]);
      sum += i < group.count ? static_cast<double>(one.value) : 0.0;
      gradient[i] = one.slope * scale;
    }
    if (data.gradient) group.store(data.gradient, gradient);
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(element_threads)
    naive_kernel(Elements e, LossData<T> data, LossRule rule, float* loss) {
  const double sum = block_reduce<Plus>(own_sum<T, 1>(e, data, rule), 0.0);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum * rule.scale);
}

template <class T, int N>
__global__ void __launch_bounds__(element_threads)
    blocks_kernel(Elements e, LossData<T> data, LossRule rule, double* partial, unsigned* ticket,
                  float* loss) {
  double sum = block_reduce<Plus>(own_sum<T, N>(e, data, rule), 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  if (!last_block_to_arrive(ticket, gridDim.x)) return;
  sum = 0;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += element_threads) sum += partial[b];
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum * rule.scale);
}

template <class T>
LossData<T> data_of(const Tensor& x, const Tensor& targets, const PointwiseLossResult& out) {
  return {pixels_of<const T>(x), pixels_of<const float>(targets), pixels_of<T>(out.gradient)};
}

LossRule rule_of(const PointwiseLossProblem& p) {
  return {p.kind, static_cast<float>(p.beta), p.scale};
}

}  // namespace

void pointwise_loss_naive(const PointwiseLossProblem& p, const Tensor& x, const Tensor& targets,
                          const PointwiseLossResult& out) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<naive_kernel<T>>({1, element_threads}, Elements({&x, &targets, &out.gradient}),
                            data_of<T>(x, targets, out), rule_of(p), out.loss.device_data<float>());
  });
}

void pointwise_loss_blocks(const PointwiseLossProblem& p, const Tensor& x, const Tensor& targets,
                           const PointwiseLossResult& out) {
  const Elements e({&x, &targets, &out.gradient});
  const auto run = [&]<class T, int n>(T, std::integral_constant<int, n>) {
    const int64_t blocks =
        std::min(most_blocks, blocks_for(e.groups(n), element_threads * groups_per_thread));
    const Tensor partial = Tensor::empty({blocks}, DType::f64, x.device());
    launch<blocks_kernel<T, n>>({blocks, element_threads}, e, data_of<T>(x, targets, out), rule_of(p),
                                partial.device_data<double>(), tickets(x.device(), 1),
                                out.loss.device_data<float>());
  };
  visit_activation(p.dtype, [&]<class T>(T) {
    e.aligned ? run(T{}, std::integral_constant<int, wide>{}) : run(T{}, std::integral_constant<int, 1>{});
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
