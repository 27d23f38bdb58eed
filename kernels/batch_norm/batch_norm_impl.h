// The implementations of batch norm, one struct of static functions each; private to this folder.
#pragma once

#include "kernels/batch_norm/batch_norm.h"

namespace atrous::kernels {

using BatchNormStatisticsFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                                   const Tensor& variance);
using BatchNormApplyFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                              const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                              const Tensor& residual, const Tensor& y);
using BatchNormBackwardSumsFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& y,
                                     const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                     const Tensor& dgamma, const Tensor& dbeta, const Tensor& dresidual);
using BatchNormBackwardInputFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& y,
                                      const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                      const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta,
                                      const Tensor& dx);

struct BatchNormRef {
  static BatchNormStatisticsFn statistics;
  static BatchNormApplyFn apply;
  static BatchNormBackwardSumsFn backward_sums;
  static BatchNormBackwardInputFn backward_input;
};

struct BatchNormCpu {
  static BatchNormStatisticsFn statistics;
  static BatchNormApplyFn apply;
  static BatchNormBackwardSumsFn backward_sums;
  static BatchNormBackwardInputFn backward_input;
};

}  // namespace atrous::kernels
