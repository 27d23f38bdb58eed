// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
//
// Value i of stream s under seed k is a pure function of (k, s, i). Nothing is shared between threads, so a
// tensor filled in parallel is bit-identical on any number of threads, and a resumed run continues by
// counting on.
#pragma once

#include <array>
#include <cstdint>

#include "core/host_device.h"

namespace atrous {

// Four independent 32-bit words for a 128-bit counter under a 64-bit key. Bit-identical on host and device,
// and hence so are dropout masks.
ATROUS_HD constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

// Mixes values into a stream number, as mix_streams(mix_streams(crop_stream, epoch), sample).
uint64_t mix_streams(uint64_t a, uint64_t b);

// Names a stream of numbers. The training loop hands these out (seed of the run, stream of step
// and layer), so that a kernel can draw the same numbers again in its backward pass instead of keeping them.
struct RandomKey {
  uint64_t seed = 0;
  uint64_t stream = 0;
};

// Random access: the i-th number of a stream.
class CounterRng {
 public:
  ATROUS_HD explicit CounterRng(RandomKey key) : CounterRng(key.seed, key.stream) {}
  ATROUS_HD CounterRng(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
  // Four words; block i belongs to the numbers 4 i to 4 i + 3.
  ATROUS_HD std::array<uint32_t, 4> block(uint64_t index) const {
    return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                       static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                      {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  }
  // Uniform in [0, 1), 24 bits.
  float uniform(uint64_t index) const;
  // Standard normal (Box-Muller).
  double normal(uint64_t index) const;

 private:
  uint64_t seed_;
  uint64_t stream_;
};

// The same numbers one after the other, for code that draws a few (augmentation, shuffling).
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : rng_(seed, stream) {}
  double uniform();                            // [0, 1), 53 bits
  double uniform(double low, double high);     // [low, high)
  int64_t integer(int64_t low, int64_t high);  // [low, high], unbiased
  double normal();
  bool coin(double probability) { return uniform() < probability; }
  // Position in the stream; set_position continues from there.
  uint64_t position() const { return next_; }
  void set_position(uint64_t position) { next_ = position; }

 private:
  uint64_t next64();
  CounterRng rng_;
  uint64_t next_ = 0;
};

}  // namespace atrous
