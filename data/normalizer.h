// (x - mean) / std of dense pixels, for loaders. Internal to data/.
#pragma once

#include <algorithm>
#include <vector>

#include "data/augment.h"

namespace atrous::data::internal {

// The statistics are laid out once per pixel of a block, so that the inner loop runs over plain arrays,
// whatever the number of channels, and vectorises.
class Normalizer {
 public:
  explicit Normalizer(const ChannelStatistics& statistics) {
    for (int64_t p = 0; p < block_pixels; ++p) {
      mean_.insert(mean_.end(), statistics.mean.begin(), statistics.mean.end());
      inverse_std_.insert(inverse_std_.end(), statistics.inverse_std.begin(), statistics.inverse_std.end());
    }
  }

  void apply(const float* __restrict source, float* __restrict target, int64_t count) const {
    const auto block = static_cast<int64_t>(mean_.size());
    const float* mean = mean_.data();
    const float* inverse_std = inverse_std_.data();
    for (int64_t at = 0; at < count; at += block) {
      const int64_t n = std::min(block, count - at);
      for (int64_t i = 0; i < n; ++i) target[at + i] = (source[at + i] - mean[i]) * inverse_std[i];
    }
  }

 private:
  static constexpr int64_t block_pixels = 32;
  std::vector<float> mean_, inverse_std_;
};

}  // namespace atrous::data::internal
