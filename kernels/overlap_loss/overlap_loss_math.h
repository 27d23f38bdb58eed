// The overlap of one class from its sums, shared by reference, CPU and GPU.
#pragma once

#include "core/host_device.h"
#include "kernels/overlap_loss/overlap_loss.h"

namespace atrous::kernels {

// The part of a present class in the loss, and in its derivatives: dloss/dp_k = hit [y = k] + base dP_k/dp_k.
struct ClassOverlap {
  double loss, hit, base;
};

// I, P and G are `intersection`, `predicted` and `present`; `classes` is the number of present classes.
ATROUS_HD inline ClassOverlap class_overlap(OverlapMeasure measure, double smooth, double intersection,
                                            double predicted, double present, double classes) {
  const double both = predicted + present + smooth;
  if (measure == OverlapMeasure::dice) {
    const double score = (2 * intersection + smooth) / both;
    return {(1 - score) / classes, -2 / both / classes, score / both / classes};
  }
  const double both_once = both - intersection;
  const double score = (intersection + smooth) / both_once;
  return {(1 - score) / classes, -(1 + score) / both_once / classes, score / both_once / classes};
}

}  // namespace atrous::kernels
