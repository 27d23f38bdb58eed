#include "train/step.h"

#include <cmath>

#include "kernels/loss_scale/loss_scale.h"

namespace atrous::train {
namespace {

// Forward and backward of one batch; gradients add up in the parameters. The losses are not read: the host
// runs ahead of a device and queues the whole step.
BatchLoss accumulate_gradients(const TrainingBatch& batch, double share) {
  BatchLoss loss = batch.loss();
  backward(loss.total, Tensor::scalar(share, loss.total.dtype()));
  return loss;
}

// The values of scalars on one device, in one copy.
std::vector<double> read_together(const std::vector<Tensor>& scalars) {
  const auto count = static_cast<int64_t>(scalars.size());
  const Tensor all = Tensor::empty({count}, DType::f64, scalars[0].device());
  for (int64_t i = 0; i < count; ++i)
    all.narrow_batch(i, 1).copy_from(scalars[static_cast<size_t>(i)].reshape({1}));
  const Tensor host = all.to(Device::cpu);
  return {host.data<double>(), host.data<double>() + count};
}

// The same step once more, with every value and gradient on the tape checked.
[[noreturn]] void explain_divergence(Optimizer& optimizer, const std::vector<TrainingBatch>& batches,
                                     int64_t step, double loss) {
  optimizer.clear_gradients();
  kernels::report_bad_labels();  // bad labels on a device show as a NaN loss
  std::string ids, cause;
  for (const TrainingBatch& batch : batches) {
    for (const std::string& id : batch.ids) ids += (ids.empty() ? "" : ", ") + id;
  }
  try {
    const FiniteCheckGuard check;
    for (const TrainingBatch& batch : batches)
      accumulate_gradients(batch, 1.0 / static_cast<double>(batches.size()));
  } catch (const Error& e) {
    cause = e.what();
  }
  optimizer.clear_gradients();
  if (cause.empty()) cause = "the sum over the accumulated batches overflows.";
  fail(ErrorKind::diverged,
       "[train] losses and gradients must be finite. Got loss {} at step {}: {} Images: {}. Lower the "
       "learning rate, add warm-up, clip gradients, or check the input values. The last checkpoint is "
       "unharmed.",
       loss, step + 1, cause, ids);
}

}  // namespace

StepResult train_step(Optimizer& optimizer, const std::function<TrainingBatch()>& next, int64_t accumulate,
                      int64_t step, double lr) {
  StepResult result;
  result.lr = lr;
  const double share = 1.0 / static_cast<double>(accumulate);
  std::vector<TrainingBatch> used;  // kept for explain_divergence
  std::vector<Tensor> facts;        // per batch the loss and its terms; the squared norm of the gradient
  for (int64_t i = 0; i < accumulate; ++i) {
    used.push_back(next());
    result.images += static_cast<int64_t>(used.back().ids.size());
    const BatchLoss loss = accumulate_gradients(used.back(), share);
    facts.push_back(loss.total.value());
    if (i == 0) {
      for (const auto& term : loss.terms) result.terms.emplace_back(term.first, 0);
    }
    for (const auto& term : loss.terms) facts.push_back(term.second.value());
  }
  facts.push_back(optimizer.squared_gradient_norm());
  // The only wait of a step: values that are not finite must not reach the weights.
  const std::vector<double> values = read_together(facts);
  const size_t per_batch = 1 + result.terms.size();
  for (size_t i = 0; i + 1 < values.size(); i += per_batch) {
    result.loss += values[i] * share;
    for (size_t t = 0; t < result.terms.size(); ++t) result.terms[t].second += values[i + 1 + t] * share;
  }
  result.gradient_norm = std::sqrt(values.back());
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
    explain_divergence(optimizer, used, step, result.loss);
  optimizer.step(lr, result.gradient_norm);
  return result;
}

}  // namespace atrous::train
