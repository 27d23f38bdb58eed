// The modules that networks are made of. Parameter names, shapes (in files) and start values are PyTorch's.
#pragma once

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/common/activation.h"
#include "layers/conv2d.h"
#include "layers/inference_filter.h"
#include "layers/max_pool2d.h"
#include "layers/module.h"
#include "layers/norm_kind.h"

namespace atrous::layers {

using kernels::Activation;
using kernels::Pair;

// Start values of a filter. fan_in = C/groups*R*S, fan_out = K/groups*R*S.
enum class Init : unsigned char {
  uniform_fan_in,  // U(-1/sqrt(fan_in), 1/sqrt(fan_in)), bias too: PyTorch's default (kaiming_uniform, a =
                   // sqrt 5)
  kaiming_normal_fan_in,   // N(0, sqrt(2/fan_in)), bias 0: the U-Net paper, He et al. 2015
  kaiming_normal_fan_out,  // N(0, sqrt(2/fan_out)), bias 0: torchvision's ResNet
  kaiming_uniform_fan_in,  // U(-sqrt(6/fan_in), sqrt(6/fan_in)), bias 0
  kaiming_uniform_linear,  // U(-sqrt(3/fan_in), sqrt(3/fan_in)), bias 0: no ReLU behind (feature pyramids)
  xavier_uniform,          // U(-sqrt(6/(fan_in + fan_out)), +...), bias 0 (Glorot, Bengio 2010)
  normal_hundredth,  // N(0, 0.01), bias 0: fully connected layers of VGG and MobileNet, scores of DeepLab
  zeros,             // weights and bias: FCN's scores
};

struct Conv2dArgs {
  int64_t in = 0, out = 0;
  int64_t kernel = 3, stride = 1, pad = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  Init init = Init::uniform_fan_in;
  int64_t kernel_w = 0, pad_w = 0;  // those of the width, where it has others (kernel_w is not 0)

  Pair kernels() const { return {kernel, kernel_w ? kernel_w : kernel}; }
  Pair pads() const { return {pad, kernel_w ? pad_w : pad}; }
};

// weight [K,R,S,C/groups], bias [K].
class Conv2d : public Module {
 public:
  explicit Conv2d(const Conv2dArgs& args);
  // `activation` runs in the same pass. `out`: for example a slice of a ConcatBuffer.
  Variable forward(const Variable& x, Activation activation = Activation::none, const Tensor& out = {}) const;
  std::string kind() const override { return "Conv2d"; }
  std::string arguments() const override;
  Conv2dOptions options() const;

  const Conv2dArgs args;
  const Variable weight;
  const Variable bias;  // undefined if there is none
  mutable InferenceFilter inference_filter;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// Twice (stride times) the size: weight [in,R,S,out] (in files [in,out,R,S]), bias [out]. No padding.
class ConvTranspose2d : public Module {
 public:
  ConvTranspose2d(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool with_bias = true,
                  Init init = Init::uniform_fan_in);
  Variable forward(const Variable& x, const Tensor& out = {}) const;
  std::string kind() const override { return "ConvTranspose2d"; }
  std::string arguments() const override;

  const int64_t kernel, stride;
  const Init init;
  const Variable weight;
  const Variable bias;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// weight [out,in], bias [out].
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool with_bias = true, Init init = Init::uniform_fan_in);
  Variable forward(const Variable& x) const;
  std::string kind() const override { return "Linear"; }
  std::string arguments() const override;

  const Init init;
  const Variable weight;
  const Variable bias;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// Nothing in evaluation; in training each element (or each channel of an image as a whole) is zeroed with
// probability p and the others are scaled by 1/(1-p).
class Dropout : public Module {
 public:
  explicit Dropout(double probability, bool by_channel = false) : p(probability), channelwise(by_channel) {}
  Variable forward(const Variable& x) const;
  std::string kind() const override { return channelwise ? "Dropout2d" : "Dropout"; }
  std::string arguments() const override { return fmt::format("{}", p); }

  const double p;
  const bool channelwise;

 protected:
  void on_random_key(RandomKey key) override;

 private:
  RandomKey key_;
  mutable uint64_t calls_ =
      0;  // since the key was set: several forward passes in one step draw different masks
};

// What may follow a convolution: normalisation, residual add and activation in one pass.
class Norm : public Module {
 public:
  // y = activation(norm(x) + residual). `residual`, `out` and `sums` (f64 [2,C]: sum x, sum x^2) may be
  // undefined.
  virtual Variable forward(const Variable& x, Activation activation = Activation::none,
                           const Variable& residual = {}, const Tensor& out = {},
                           const Tensor& sums = {}) const = 0;
  // True if forward would make use of sums.
  virtual bool wants_sums() const { return false; }
  // The constants of norm(x) if it is an affine function of x now (constant statistics); else undefined.
  virtual kernels::BatchNormConstants constants() const { return {}; }
  std::string arguments() const override;

 protected:
  explicit Norm(int64_t norm_channels) : channels(norm_channels) {}
  const int64_t channels;
};

// weight, bias, running_mean, running_var, num_batches_tracked (i64 scalar).
class BatchNorm2d : public Norm {
 public:
  explicit BatchNorm2d(int64_t channels, double eps = 1e-5, double momentum = 0.1);
  Variable forward(const Variable& x, Activation activation, const Variable& residual, const Tensor& out,
                   const Tensor& sums) const override;
  bool wants_sums() const override { return training(); }
  kernels::BatchNormConstants constants() const override;
  std::string kind() const override { return "BatchNorm2d"; }

  const double eps, momentum;
  const Variable weight, bias;
  const Tensor running_mean, running_var, num_batches_tracked;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// weight, bias; statistics per image and group, the same in training and evaluation (Wu, He, "Group
// normalization", 2018).
class GroupNorm : public Norm {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5);
  Variable forward(const Variable& x, Activation activation, const Variable& residual, const Tensor& out,
                   const Tensor& sums) const override;
  std::string kind() const override { return "GroupNorm"; }
  std::string arguments() const override;

  const int64_t groups;
  const double eps;
  const Variable weight, bias;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// Batch norm whose four tensors are all constants (buffers), as torchvision's misc.FrozenBatchNorm2d.
class FrozenBatchNorm2d : public Norm {
 public:
  explicit FrozenBatchNorm2d(int64_t channels, double eps = 1e-5);
  Variable forward(const Variable& x, Activation activation, const Variable& residual, const Tensor& out,
                   const Tensor& sums) const override;
  kernels::BatchNormConstants constants() const override;
  std::string kind() const override { return "FrozenBatchNorm2d"; }

  const double eps;
  const Tensor weight, bias, running_mean, running_var;

 protected:
  void initialise_own(const KeyOf& key_of) override;
};

// Which norm follows a convolution. eps and momentum are those of batch norm's two kinds; group norm uses
// eps only.
struct NormOptions {
  // Implicit, so that a kind alone can be passed.
  NormOptions(NormKind norm_kind, double norm_eps = 1e-5, double norm_momentum = 0.1)
      : kind(norm_kind), eps(norm_eps), momentum(norm_momentum) {}
  NormKind kind;
  double eps, momentum;
};

// Null for NormKind::none.
std::shared_ptr<Norm> make_norm(const NormOptions& options, int64_t channels);

// activation(norm(conv(x)) + residual), in as few passes over memory as possible: the convolution collects
// the sums that batch norm needs; with constant statistics and no gradient batch norm is folded into filter
// and bias. `norm` may be null.
struct ConvNormActOptions {
  Activation activation = Activation::relu;
  Variable residual = {};
  Tensor out = {};
};
Variable conv_norm_act(const Conv2d& conv, const Norm* norm, const Variable& x,
                       const ConvNormActOptions& options = {});

// activation(norm(x) + residual) in one pass, or with hooks (core/output_hook.h) in several. `sums`: as in
// Norm::forward.
Variable norm_act(const Norm& norm, const Variable& x, const ConvNormActOptions& options = {},
                  const Tensor& sums = {});

// A convolution and the norm behind it, registered side by side in their owner ("conv1" and "bn1").
struct ConvNorm {
  std::shared_ptr<Conv2d> conv;
  std::shared_ptr<Norm> norm;  // may be null

  Variable operator()(const Variable& x, const ConvNormActOptions& options = {}) const {
    return conv_norm_act(*conv, norm.get(), x, options);
  }
};

// Convolutions of a block: base class of everything that owns ConvNorms.
class Block : public Module {
 protected:
  // With a norm the convolution has no bias.
  ConvNorm conv_norm(const std::string& conv_name, const std::string& norm_name, Conv2dArgs args,
                     const NormOptions& norm_options);
};

}  // namespace atrous::layers
