// Two-dimensional convolution (cross-correlation), its gradients, and through them transposed convolution.
//
//   y[n,p,q,k] = sum_{r,s,c} w[k,r,s,c]
//                * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, c]
//
// x is N,H,W,C; the filter w is K,R,S,C/groups; y is N,P,Q,K. Positions outside x count as zero. Dilation is
// 1-based: rate 1 is the dense filter, rate 2 leaves one gap between taps (atrous convolution, Chen et al.,
// arXiv:1412.7062). Group g connects input channels [g*C/groups, (g+1)*C/groups) with output channels
// [g*K/groups, (g+1)*K/groups). With groups = C each filter reads one input channel:
// depthwise convolution (Howard et al., MobileNets, arXiv:1704.04861), for which there are separate kernels.
// All tensors may have a pixel stride. f32 everywhere, f64 on the CPU's
// reference only, bf16 on GPUs only. With bf16, x, w, y and their gradients dy and dx are bf16; sums,
// per-channel vectors and the gradients of w and of a bias are f32.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/arithmetic.h"
#include "kernels/common/operands.h"

namespace atrous::kernels {

class KeptFilters;

struct Pair {  // (vertical, horizontal)
  int64_t h;
  int64_t w;
};

struct Conv2dOptions {
  Pair stride{1, 1};
  Pair pad{0, 0};
  Pair dilation{1, 1};
  int64_t groups = 1;
  Math math = {};
};

// The complete description of one convolution: what implementations receive and dispatch prints.
struct Conv2dProblem {
  int64_t n = 1, h = 1, w = 1, c = 1;  // input
  int64_t k = 1, r = 1, s = 1;         // filter: output channels, rows, columns
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_h = 0, pad_w = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
  DType dtype = DType::f32;
  Math math = {};
  bool fused = false;  // more than a bias is computed in the same pass

  bool depthwise() const { return groups > 1 && groups == c; }
  // floor((in + 2*pad - (dilation*(taps-1) + 1)) / stride) + 1; not positive if the filter does not fit.
  static int64_t output_size(int64_t in, int64_t taps, int64_t stride, int64_t pad, int64_t dilation);
  int64_t p() const { return output_size(h, r, stride_h, pad_h, dilation_h); }
  int64_t q() const { return output_size(w, s, stride_w, pad_w, dilation_w); }
  Shape input_shape() const { return {n, h, w, c}; }
  Shape filter_shape() const { return {k, r, s, c / groups}; }
  Shape output_shape() const { return {n, p(), q(), k}; }
  double flops() const;  // of one pass; a multiply and an add count as two
  double bytes() const;  // x, w and y, each once
  // "f32 n1 h64 w64 c32 k64 r3 s3 stride 1x1 pad 1x1 dilation 1x1 groups 1"
  std::string str() const;

  // Checks everything; throws Error(usage). `where` starts the message.
  static Conv2dProblem make(const char* where, const Shape& input, const Shape& filter,
                            const Conv2dOptions& options, DType dtype);
};

// Work before and after the sums, in the same pass over memory. Undefined tensors switch a part off.
//
//   x'      = relu?(in_scale[c]*x + in_bias[c])   wherever x exists; padding is zero *after* this
//   z       = conv(x', w) + bias[k]
//   sums    = [sum of z, sum of z*z] over n,p,q   (batch-norm statistics; fixed order of summation; z is f32
//                                                  where activations are bf16)
//   y       = relu?(z + residual)
struct Conv2dFusion {
  Tensor in_scale;  // [C], f32 with bf16 activations
  Tensor in_bias;   // [C], together with in_scale
  bool in_relu = false;
  Tensor bias;      // [K]
  Tensor residual;  // [N,P,Q,K]; must not overlap the output
  bool relu = false;
  Tensor channel_sums;          // f64 [2,K], written
  KeptFilters* kept = nullptr;  // forms of w from earlier calls, if w has not changed since (kept_filters.h)

  bool has_prologue() const { return in_scale.defined() || in_relu; }
  bool has_post_pass() const { return residual.defined() || relu || channel_sums.defined(); }

  template <class Self, class F>
  static void each_tensor(Self& self, const F& f) {
    for (auto* t : {&self.in_scale, &self.in_bias, &self.bias, &self.residual}) f(*t);
    f(self.channel_sums, Access::write);
  }
};

// y, written into `out` if given (of the right shape; any pixel stride).
Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dOptions& options = {},
              const Conv2dFusion& fusion = {}, Tensor out = {});

// Gradient of x, of shape `input_shape`, from dy [N,P,Q,K]. This is also transposed convolution: there dy is
// the input, `input_shape` the output, and `bias` [C] is added.
Tensor conv2d_backward_input(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                             const Shape& input_shape, Tensor out = {}, const Tensor& bias = {});

// Gradient of w, of shape `filter_shape`, contiguous; f32 with bf16 activations.
Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                              const Shape& filter_shape);

// The problem of conv2d_backward_bias.
struct ChannelSumsProblem {
  int64_t pixels = 0, channels = 1;
  DType dtype = DType::f32;
  std::string str() const;  // "f32 p4096 c32"
};

// Gradient of a per-channel bias: the sums of dy over all axes but the last. [K], f32 for bf16.
Tensor conv2d_backward_bias(const Tensor& dy);

}  // namespace atrous::kernels
