// Division of indices.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace atrous::kernels {

struct Division {
  int64_t quotient, remainder;
};

// a / b and a % b. Nearly all indices fit 32 bits, whose division takes a fraction of the instructions of 64
// bits.
ATROUS_HD inline Division divide(int64_t a, int64_t b) {
  if (static_cast<uint64_t>(a | b) >> 32 == 0) {
    const auto x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b), quotient = x / y;
    return {quotient, x - quotient * y};
  }
  return {a / b, a % b};
}

}  // namespace atrous::kernels
