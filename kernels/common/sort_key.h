// Scores as sort keys: 64-bit integers whose rising order is that of falling scores, equal scores by rising
// index. No two keys are equal, so that any sort of them is stable and gives one result.
#pragma once

#include <bit>
#include <cstdint>

#include "core/host_device.h"

namespace atrous::kernels {

// Sorts behind every key.
inline constexpr uint64_t no_key = ~uint64_t{0};

// NaN comes behind -infinity; -0 is 0.
ATROUS_HD inline uint64_t sort_key(float score, uint32_t index) {
  constexpr uint32_t sign = 0x80000000u, infinity = 0x7f800000u;
  uint32_t bits = std::bit_cast<uint32_t>(score);
  if (bits == sign) bits = 0;
  const uint32_t falling = (bits & ~sign) > infinity ? ~0u : bits & sign ? bits : ~(bits | sign);
  return static_cast<uint64_t>(falling) << 32 | index;
}

ATROUS_HD inline uint32_t index_of(uint64_t key) {
  return static_cast<uint32_t>(key);
}

}  // namespace atrous::kernels
