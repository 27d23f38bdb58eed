// The implementations of batch norm, one struct of static functions each; private to this folder.
#pragma once

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using BatchNormStatisticsFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                                   const Tensor& variance);
using BatchNormApplyFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                              const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                              const Tensor& residual, const Tensor& y);
// `beta` may be undefined: BatchNormApplied.
using BatchNormBackwardSumsFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& y,
                                     const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                     const Tensor& gamma, const Tensor& beta, const Tensor& dgamma,
                                     const Tensor& dbeta, const Tensor& dresidual);
using BatchNormBackwardInputFn = void(const BatchNormProblem&, const Tensor& x, const Tensor& y,
                                      const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                      const Tensor& gamma, const Tensor& beta, const Tensor& dgamma,
                                      const Tensor& dbeta, const Tensor& dx);

using BatchNormFromSumsFn = void(const BatchNormProblem&, const Tensor& sums, int64_t count,
                                 const Tensor& mean, const Tensor& variance);
// `unbias` is M / (M - 1).
using BatchNormUpdateRunningFn = void(const BatchNormProblem&, const Tensor& mean, const Tensor& variance,
                                      double momentum, double unbias, const Tensor& running_mean,
                                      const Tensor& running_var);
using BatchNormInvstdFn = void(const BatchNormProblem&, const Tensor& variance, double eps,
                               const Tensor& invstd);
// `bias` may be undefined. Writes weight and folded_bias.
using BatchNormFoldFn = void(const BatchNormProblem&, const Tensor& filter, const Tensor& bias,
                             const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                             const Tensor& variance, double eps, const Tensor& weight,
                             const Tensor& folded_bias);

struct BatchNormRef {
  static BatchNormStatisticsFn statistics;
  static BatchNormApplyFn apply;
  static BatchNormBackwardSumsFn backward_sums;
  static BatchNormBackwardInputFn backward_input;
  static BatchNormFromSumsFn statistics_from_sums;
  static BatchNormUpdateRunningFn update_running;
  static BatchNormInvstdFn invstd;
  static BatchNormFoldFn fold;
};

struct BatchNormCpu {
  static BatchNormStatisticsFn statistics;
  static BatchNormApplyFn apply;
  static BatchNormBackwardSumsFn backward_sums;
  static BatchNormBackwardInputFn backward_input;
  static BatchNormFoldFn fold;
};

ATROUS_DECLARE_ON_GPU(BatchNormStatisticsFn batch_norm_statistics_naive, batch_norm_statistics_columns,
                      batch_norm_statistics_one_read;
                      BatchNormApplyFn batch_norm_apply_naive, batch_norm_apply_vectorised;
                      BatchNormBackwardSumsFn batch_norm_backward_sums_naive,
                      batch_norm_backward_sums_columns, batch_norm_backward_sums_one_read;
                      BatchNormBackwardInputFn batch_norm_backward_input_naive,
                      batch_norm_backward_input_vectorised;
                      BatchNormFromSumsFn batch_norm_statistics_from_sums_naive;
                      BatchNormUpdateRunningFn batch_norm_update_running_naive;
                      BatchNormInvstdFn batch_norm_invstd_naive; BatchNormFoldFn batch_norm_fold_naive;)

}  // namespace atrous::kernels
