#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace atrous {

uint64_t mix_streams(uint64_t a, uint64_t b) {
  // splitmix64 finaliser over a combination that distinguishes (a, b) from (b, a)
  uint64_t x = a * 0x9E3779B97F4A7C15ull + (b ^ (b << 31)) + 0xD1B54A32D192ED03ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

float CounterRng::uniform(uint64_t index) const {
  return static_cast<float>(block(index / 4)[index % 4] >> 8) * 0x1p-24f;
}

double CounterRng::normal(uint64_t index) const {
  const auto b = block(index / 2);
  const double u = (static_cast<double>(b[0]) + 1.0) * 0x1p-32;  // (0, 1]
  const double v = static_cast<double>(b[1]) * 0x1p-32;
  const double radius = std::sqrt(-2.0 * std::log(u));
  const double angle = 2.0 * std::numbers::pi * v;
  return radius * (index % 2 ? std::sin(angle) : std::cos(angle));
}

uint64_t Rng::next64() {
  const auto b = rng_.block(next_++);
  return (static_cast<uint64_t>(b[0]) << 32) | b[1];
}

double Rng::uniform() {
  return static_cast<double>(next64() >> 11) * 0x1p-53;
}
double Rng::uniform(double low, double high) {
  return low + (high - low) * uniform();
}

int64_t Rng::integer(int64_t low, int64_t high) {
  ATROUS_ASSERT(low <= high);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  if (range == 0) return static_cast<int64_t>(next64());
  const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
  uint64_t value = next64();
  while (value >= limit) value = next64();
  return static_cast<int64_t>(static_cast<uint64_t>(low) + value % range);
}

double Rng::normal() {
  const auto b = rng_.block(next_++);
  const double u = (static_cast<double>(b[0]) + 1.0) * 0x1p-32;
  const double v = static_cast<double>(b[1]) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace atrous
