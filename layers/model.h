// The common base of all networks, semantic and detection models.
#pragma once

#include "layers/module.h"

namespace atrous::layers {

class Model : public Module {
 public:
  // The device of the parameters; cpu if there are none.
  Device device() const;
  // The type of activations, f32 or bf16 (with f32 parameters). The image given to forward has this type.
  DType compute_dtype() const { return compute_dtype_; }
  void set_compute_dtype(DType dtype) { compute_dtype_ = dtype; }
  // An f32 image converted for forward: on the device, in the type of activations.
  Tensor input_of(const Tensor& image) const { return image.to(device()).to(compute_dtype_); }
  // The background included.
  virtual int64_t num_classes() const = 0;
  virtual int64_t in_channels() const = 0;
  // Ratio of input to the coarsest features; inputs need not be divisible by it.
  virtual int64_t output_stride() const = 0;
  // Prefix of the names of the backbone's parameters and buffers ("backbone."); "" if they have none, or if
  // there is no backbone.
  virtual std::string backbone_prefix() const { return ""; }
  // Whether that parameter or buffer is the backbone's: for learning rates, starting weights and export.
  virtual bool in_backbone(const std::string& tensor_name) const {
    const std::string prefix = backbone_prefix();
    return !prefix.empty() && tensor_name.starts_with(prefix);
  }
  bool has_backbone() const;

 private:
  DType compute_dtype_ = DType::f32;
};

}  // namespace atrous::layers
