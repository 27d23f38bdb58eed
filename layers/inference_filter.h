// A layer's filter prepared for inference: batch norm folded in, and the packed forms that kernels read.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/autograd.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/kept_filters.h"

namespace atrous::layers {

// Made at the first call without gradients, made again when one of its source tensors has changed, and
// dropped when the layer trains again: a validation run during training leaves no memory occupied.
class InferenceFilter {
 public:
  struct Ready {
    Tensor weight, bias;  // bias may be undefined
    kernels::KeptFilters forms;
  };

  // The filter of a convolution with `weight` and `bias` (or undefined) and the batch norm behind it, if
  // norm.gamma is defined, for activations of `dtype`. Safe to call from several threads.
  std::shared_ptr<Ready> get(const Variable& weight, const Variable& bias,
                             const kernels::BatchNormConstants& norm, DType dtype);
  void drop();

 private:
  struct Source {
    Tensor tensor;
    uint32_t version;
  };
  bool is_current(const std::vector<Tensor>& sources, DType dtype) const;

  std::mutex mutex_;
  std::vector<Source> sources_;
  DType dtype_ = DType::f32;
  double eps_ = 0;
  std::shared_ptr<Ready> ready_;
};

}  // namespace atrous::layers
