#include "core/gradcheck.h"

#include <cmath>

#include "core/random.h"

namespace atrous {
namespace {

double project(const Tensor& value, const Tensor& weights) {
  const Tensor v = value.contiguous_copy_if_needed();
  double sum = 0;
  for (int64_t i = 0; i < v.numel(); ++i) sum += v.data<double>()[i] * weights.data<double>()[i];
  return sum;
}

}  // namespace

GradcheckResult gradcheck(const std::function<Variable(const std::vector<Variable>&)>& f,
                          const std::vector<Variable>& inputs, const GradcheckOptions& options) {
  GradcheckResult result;
  for (const Variable& v : inputs) {
    ATROUS_CHECK(!v.requires_grad() || (v.dtype() == DType::f64 && v.value().contiguous() && v.is_leaf()),
                 ErrorKind::usage, "[gradcheck] inputs are contiguous f64 leaves. Got {}.",
                 v.value().describe());
    if (v.requires_grad()) v.clear_grad();
  }
  const Variable y = f(inputs);
  Tensor weights = Tensor::empty(y.shape(), DType::f64);
  const CounterRng noise(options.seed, 0x9c4);
  for (int64_t i = 0; i < weights.numel(); ++i)
    weights.data<double>()[i] = noise.normal(static_cast<uint64_t>(i));
  backward(y, weights);

  for (size_t k = 0; k < inputs.size(); ++k) {
    const Variable& x = inputs[k];
    if (!x.requires_grad()) continue;
    if (!x.grad().defined()) {
      return {false, INFINITY, result.checked, fmt::format("input {} got no gradient", k)};
    }
    const Tensor analytic = x.grad().contiguous_copy_if_needed();
    const int64_t n = x.value().numel();
    const int64_t samples = std::min(n, options.max_elements);
    Rng pick(options.seed, 0x51c + k);
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t i = samples == n ? s : pick.integer(0, n - 1);
      double* element = x.value().data<double>() + i;
      const double original = *element;
      NoGradGuard no_grad;
      *element = original + options.step;
      const double up = project(f(inputs).value(), weights);
      *element = original - options.step;
      const double down = project(f(inputs).value(), weights);
      *element = original;
      const double numeric = (up - down) / (2 * options.step);
      const double exact = analytic.data<double>()[i];
      const double error = std::abs(exact - numeric) / std::max(0.01, std::abs(numeric));
      ++result.checked;
      if (!(error <= result.worst_error)) {
        result.worst_error = error;
        result.message =
            fmt::format("input {} element {} of {}: analytic {:.10g}, numeric {:.10g}, error {:.2e}", k, i,
                        x.shape().str(), exact, numeric, error);
      }
    }
  }
  if (result.checked == 0) result.message = "0 elements checked";
  result.ok = result.checked > 0 && result.worst_error <= options.tolerance;
  return result;
}

}  // namespace atrous
