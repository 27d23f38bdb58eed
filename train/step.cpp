#include "train/step.h"

#include <cmath>

#include "core/random.h"
#include "kernels/cross_entropy/labels.h"

namespace atrous::train {
namespace {

constexpr uint64_t dropout_stream = 0x64726f706f7574;  // "dropout"

// Forward and backward of one batch; gradients add up in the parameters. The loss, a scalar, is not read: the
// host runs ahead of a device and puts the whole step on its queue.
Tensor accumulate_gradients(layers::SegmentationModel& model, const data::Batch& batch,
                            const layers::LossOptions& options, uint64_t seed, double share) {
  model.set_random_key({seed, mix_streams(dropout_stream, static_cast<uint64_t>(batch.step))});
  const layers::SegmentationOutput output = model.forward(Variable(model.input_of(batch.images)));
  const Variable loss = layers::segmentation_loss(output, batch.labels, options);
  backward(loss, Tensor::scalar(share, loss.dtype()));
  return loss.value();
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
[[noreturn]] void explain_divergence(layers::SegmentationModel& model, Optimizer& optimizer,
                                     const std::vector<data::Batch>& batches,
                                     const layers::LossOptions& options, uint64_t seed, int64_t step,
                                     double loss) {
  optimizer.clear_gradients();
  kernels::report_bad_labels();  // a device says with a NaN that it met one
  std::string ids, cause;
  for (const data::Batch& batch : batches) {
    for (const std::string& id : batch.ids) ids += (ids.empty() ? "" : ", ") + id;
  }
  try {
    const FiniteCheckGuard check;
    for (const data::Batch& batch : batches) {
      accumulate_gradients(model, batch, options, seed, 1.0 / static_cast<double>(batches.size()));
    }
  } catch (const Error& e) {
    cause = e.what();
  }
  optimizer.clear_gradients();
  if (cause.empty()) cause = "the sum over the accumulated batches overflows. Lower the learning rate.";
  fail(ErrorKind::diverged,
       "[train] losses and gradients must be finite. Got loss {} at step {}: {} Images: {}. The last "
       "checkpoint is unharmed.",
       loss, step + 1, cause, ids);
}

}  // namespace

StepResult train_step(layers::SegmentationModel& model, Optimizer& optimizer, BatchSource& batches,
                      const layers::LossOptions& loss, int64_t accumulate, uint64_t seed, int64_t step,
                      double lr) {
  StepResult result;
  result.lr = lr;
  const double share = 1.0 / static_cast<double>(accumulate);
  std::vector<data::Batch> used;  // kept for explain_divergence
  std::vector<Tensor> facts;      // losses and the squared norm of the gradient
  for (int64_t i = 0; i < accumulate; ++i) {
    used.push_back(batches.next());
    result.images += used.back().images.dim(0);
    facts.push_back(accumulate_gradients(model, used.back(), loss, seed, share));
  }
  facts.push_back(optimizer.squared_gradient_norm());
  // The only wait of a step: nothing may reach the weights that is not finite.
  const std::vector<double> values = read_together(facts);
  for (size_t i = 0; i + 1 < values.size(); ++i) result.loss += values[i] * share;
  result.gradient_norm = std::sqrt(values.back());
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    explain_divergence(model, optimizer, used, loss, seed, step, result.loss);
  }
  optimizer.step(lr, result.gradient_norm);
  return result;
}

}  // namespace atrous::train
