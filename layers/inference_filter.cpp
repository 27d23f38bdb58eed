#include "layers/inference_filter.h"

#include "layers/low_precision.h"

namespace atrous::layers {

bool InferenceFilter::is_current(const std::vector<Tensor>& sources, DType dtype) const {
  if (!ready_ || dtype != dtype_ || sources.size() != sources_.size()) return false;
  for (size_t i = 0; i < sources.size(); ++i) {
    // The kept tensor shares the memory, so it cannot have been reused by another tensor.
    if (sources[i].defined() != sources_[i].tensor.defined()) return false;
    if (!sources[i].defined()) continue;
    if (sources[i].device_raw() != sources_[i].tensor.device_raw() ||
        sources[i].version() != sources_[i].version)
      return false;
  }
  return true;
}

std::shared_ptr<InferenceFilter::Ready> InferenceFilter::get(const Variable& weight, const Variable& bias,
                                                             const kernels::BatchNormConstants& norm,
                                                             DType dtype) {
  const std::vector<Tensor> sources{weight.value(), bias.defined() ? bias.value() : Tensor(),
                                    norm.gamma,     norm.beta,
                                    norm.mean,      norm.variance};
  std::lock_guard lock(mutex_);
  if (is_current(sources, dtype) && norm.eps == eps_) return ready_;
  ready_ = std::make_shared<Ready>();
  if (norm.gamma.defined()) {
    const kernels::FoldedFilter folded = kernels::batch_norm_fold(sources[0], sources[1], norm, dtype);
    ready_->weight = folded.weight;
    ready_->bias = folded.bias;
  } else {
    ready_->weight = filter_for(weight, dtype);
    ready_->bias = sources[1];
  }
  dtype_ = dtype;
  eps_ = norm.eps;
  sources_.clear();
  for (const Tensor& t : sources) sources_.push_back({t, t.version()});
  return ready_;
}

void InferenceFilter::drop() {
  std::lock_guard lock(mutex_);
  ready_.reset();
  sources_.clear();
}

}  // namespace atrous::layers
