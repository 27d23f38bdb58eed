// Division that rounds up.
#pragma once

#include <cstdint>

namespace atrous::kernels {

constexpr int64_t ceil_div(int64_t n, int64_t d) {
  return (n + d - 1) / d;
}

// The smallest multiple of `unit` that is not below `value`.
constexpr int64_t round_up(int64_t value, int64_t unit) {
  return ceil_div(value, unit) * unit;
}

}  // namespace atrous::kernels
