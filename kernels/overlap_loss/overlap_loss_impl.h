// Implementations of overlap_loss; overlap_loss.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/overlap_loss/overlap_loss.h"

namespace atrous::kernels::overlap_loss_impl {

// `valid`: f64, 1, or NaN if a label is bad (kernels/loss_scale/loss_scale.h).
using Fn = void(const OverlapLossProblem&, const Tensor& probabilities, const Tensor& labels,
                const Tensor& valid, const OverlapLossResult& out);
Fn run_ref, run_blocks;
ATROUS_DECLARE_ON_GPU(Fn run_naive, run_strips;)

// Sums over the batch, per class.
struct ClassSums {
  std::vector<double> intersection, predicted, present;
  explicit ClassSums(int64_t classes)
      : intersection(static_cast<size_t>(classes)),
        predicted(intersection.size()),
        present(intersection.size()) {}
};

// The loss, and its derivatives: dloss/dp_k = hit[k] [y = k] + base[k] dP_k/dp_k.
struct Overlap {
  double loss = 0;
  std::vector<double> hit, base;
};
Overlap overlap_of(const OverlapLossOptions& options, const ClassSums& sums);

}  // namespace atrous::kernels::overlap_loss_impl
