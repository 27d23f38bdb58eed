#include "data/sampling.h"

#include <numeric>
#include <utility>

#include "core/random.h"

namespace atrous::data::internal {

std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(seed, mix_streams(shuffle_stream, static_cast<uint64_t>(epoch)));
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(rng.integer(0, i))]);
  }
  return order;
}

}  // namespace atrous::data::internal
