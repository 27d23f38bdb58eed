#include "core/random.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace atrous;

TEST_CASE("Philox4x32-10 gives the published known answers") {
  // Vectors of the Random123 distribution (Salmon et al. 2011).
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("A counter-based stream is a function of seed, stream and index") {
  const CounterRng a(1, 2), b(1, 2), other_seed(2, 2), other_stream(1, 3);
  CHECK(a.uniform(12345) == b.uniform(12345));
  CHECK(a.uniform(12345) != other_seed.uniform(12345));
  CHECK(a.uniform(12345) != other_stream.uniform(12345));
}

TEST_CASE("Moments of uniform and normal numbers") {
  const CounterRng rng(7, 0);
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform(static_cast<uint64_t>(i));
    REQUIRE((u >= 0 && u < 1));
    uniform_sum += u;
    const double z = rng.normal(static_cast<uint64_t>(i));
    normal_sum += z;
    normal_squares += z * z;
  }
  CHECK(uniform_sum / n == Approx(0.5).margin(0.005));
  CHECK(normal_sum / n == Approx(0.0).margin(0.02));
  CHECK(normal_squares / n == Approx(1.0).margin(0.02));
}

TEST_CASE("Rng draws every integer of a range and continues from a position") {
  Rng rng(3);
  std::array<int, 5> seen{};
  for (int i = 0; i < 1000; ++i) ++seen[static_cast<size_t>(rng.integer(-2, 2) + 2)];
  for (int count : seen) CHECK(count > 120);
  const uint64_t position = rng.position();
  const double next = rng.uniform();
  Rng resumed(3);
  resumed.set_position(position);
  CHECK(resumed.uniform() == next);
}
