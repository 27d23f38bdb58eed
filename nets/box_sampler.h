// Samples the anchors or proposals of an image that enter the loss of a step.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/random.h"

namespace atrous::nets {

struct SamplerOptions {
  int64_t samples = 256;
  double positive_fraction = 0.5;  // at most that many are positive; negatives fill up
  bool random = true;              // false: the first of each kind, in order
};

struct Sampled {
  std::vector<int32_t> positives, negatives;  // indices, ascending
};

// labels: above 0 positive, 0 negative, below 0 neither. If fewer than requested exist, all of them.
Sampled sample_balanced(std::span<const int32_t> labels, const SamplerOptions& options, Rng& rng);

}  // namespace atrous::nets
