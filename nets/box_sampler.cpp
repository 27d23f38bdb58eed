#include "nets/box_sampler.h"

#include <algorithm>
#include <utility>

namespace atrous::nets {
namespace {

// Keeps `count` of them. The start of a Fisher-Yates shuffle: `count` numbers drawn, whatever the size.
void choose(std::vector<int32_t>& from, int64_t count, const SamplerOptions& o, Rng& rng) {
  const auto size = static_cast<int64_t>(from.size());
  if (size <= count) return;
  if (o.random) {
    for (int64_t i = 0; i < count; ++i)
      std::swap(from[static_cast<size_t>(i)], from[static_cast<size_t>(rng.integer(i, size - 1))]);
  }
  from.resize(static_cast<size_t>(count));
  std::sort(from.begin(), from.end());
}

}  // namespace

Sampled sample_balanced(std::span<const int32_t> labels, const SamplerOptions& o, Rng& rng) {
  Sampled s;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] > 0) s.positives.push_back(static_cast<int32_t>(i));
    if (labels[i] == 0) s.negatives.push_back(static_cast<int32_t>(i));
  }
  choose(s.positives, static_cast<int64_t>(static_cast<double>(o.samples) * o.positive_fraction), o, rng);
  choose(s.negatives, o.samples - static_cast<int64_t>(s.positives.size()), o, rng);
  return s;
}

}  // namespace atrous::nets
