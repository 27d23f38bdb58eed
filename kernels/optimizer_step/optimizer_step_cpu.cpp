// One parameter after the other, each split into chunks of a fixed size: bit-identical on any number
// of threads.
#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/optimizer_step/optimizer_step_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t grain = 1 << 15;  // elements per chunk; also the unit in which squares are added up

using optimizer_rules::Adam;
using optimizer_rules::Average;
using optimizer_rules::PlainSgd;
using optimizer_rules::RmsProp;
using optimizer_rules::Sgd;

// Compiled for several instruction sets each, which templates cannot be.
#define ATROUS_UPDATE(name, Rule)                                                                 \
  ATROUS_MULTIVERSION void name(float* p, const float* g, float* first, float* second, int64_t n, \
                                const OptimizerCoefficients& c) {                                 \
    update_range<Rule>(p, g, first, second, n, c);                                                \
  }
ATROUS_UPDATE(plain_sgd, PlainSgd)
ATROUS_UPDATE(sgd, Sgd)
ATROUS_UPDATE(adam, Adam)
ATROUS_UPDATE(rmsprop, RmsProp)
ATROUS_UPDATE(average, Average)
#undef ATROUS_UPDATE

void update_chunk(OptimizerRule rule, float* p, const float* g, float* first, float* second, int64_t n,
                  const OptimizerCoefficients& c) {
  switch (rule) {
    case OptimizerRule::plain_sgd: return plain_sgd(p, g, first, second, n, c);
    case OptimizerRule::sgd: return sgd(p, g, first, second, n, c);
    case OptimizerRule::adam: return adam(p, g, first, second, n, c);
    case OptimizerRule::rmsprop: return rmsprop(p, g, first, second, n, c);
    case OptimizerRule::average: return average(p, g, first, second, n, c);
  }
}

ATROUS_MULTIVERSION
double squares_of(const float* x, int64_t n) {
  // Eight lanes: vectorises, and the order is part of the code.
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] += static_cast<double>(x[i + l]) * x[i + l];
  }
  for (; i < n; ++i) lanes[0] += static_cast<double>(x[i]) * x[i];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

void optimizer_step_cpu(const OptimizerProblem& problem, const std::vector<ParameterUpdate>& parameters) {
  const int moments = moments_of(problem.rule);
  for (const ParameterUpdate& u : parameters) {
    float* p = u.value.data<float>();
    const float* g = u.gradient.data<float>();
    float* first = moments > 0 ? u.moments[0].data<float>() : nullptr;
    float* second = moments > 1 ? u.moments[1].data<float>() : nullptr;
    bf16* copy = u.low_precision.defined() ? u.low_precision.data<bf16>() : nullptr;
    parallel_for(u.value.numel(), grain, [&](int64_t begin, int64_t end) {
      update_chunk(problem.rule, p + begin, g + begin, first ? first + begin : nullptr,
                   second ? second + begin : nullptr, end - begin, problem.coefficients);
      if (!copy) return;
      for (int64_t i = begin; i < end; ++i) copy[i] = bf16(p[i]);
    });
  }
}

void sum_of_squares_cpu(const SumOfSquaresProblem&, const std::vector<Tensor>& tensors,
                        const Tensor& result) {
  double total = 0;
  std::vector<double> partial;
  for (const Tensor& t : tensors) {
    const float* x = t.data<float>();
    partial.assign(static_cast<size_t>((t.numel() + grain - 1) / grain), 0.0);
    parallel_for(t.numel(), grain, [&](int64_t begin, int64_t end) {
      partial[static_cast<size_t>(begin / grain)] = squares_of(x + begin, end - begin);
    });
    for (double p : partial) total += p;
  }
  *result.data<double>() = total;
}

}  // namespace atrous::kernels
