// The inner loops of convolution with bf16 factors: products of blocks of 16 x 32 by 32 x 16 numbers.
//
// A "pair" is two neighbours of the reduction in 32 bits, what the instructions multiply at once. One step of
// a reduction is 32 elements, 16 pairs:
//
//   a   rows of 32 elements, anywhere in memory at a constant distance
//   b   [16 pairs][16 columns][2], one such block of 1 KiB for each vector of columns
//
// The forward pass and the input gradient reduce over channels: rows are pixels, columns output channels. The
// filter's gradient reduces over pixels: rows are input channels, columns output channels.
#pragma once

#include <cstdint>

namespace atrous::kernels {

constexpr int64_t bf16_lanes = 16;              // rows and columns of a block
constexpr int64_t bf16_step = 32;               // elements of a reduction in one step
constexpr int64_t bf16_block = 16 * 32;         // elements of b in one step, for one vector
constexpr int64_t bf16_panel = 2 * bf16_lanes;  // columns of a tile

// A part of a reduction. The two blocks of rows may lie anywhere.
struct Bf16Run {
  const uint16_t* a[2];
  const uint16_t* b;
  int64_t steps;
};

// result[i][j] = start[i][j] + sum over runs of a[i][.] * b[.][j], in f32
struct Bf16Tile {
  const Bf16Run* runs;
  int64_t run_count;
  int64_t a_stride;      // elements between rows
  const float* start;    // may be the result
  int64_t start_stride;  // floats between rows; 0: one row for all
  float* result;         // all rows and columns of the blocks are written
  int64_t result_stride;
};

struct Bf16Kernels {
  // A thread calls these before and after its tiles.
  void (*begin)();
  void (*end)();
  // `row_blocks` of 16 rows and `vectors` of 16 columns, each 1 or 2.
  void (*multiply)(const Bf16Tile&, int64_t row_blocks, int64_t vectors);
};

const Bf16Kernels& bf16_kernels_avx512();  // vdpbf16ps
const Bf16Kernels& bf16_kernels_amx();     // tdpbf16ps

// While alive: this thread runs tiles.
class Bf16Session {
 public:
  explicit Bf16Session(const Bf16Kernels& kernels) : kernels_(kernels) { kernels_.begin(); }
  ~Bf16Session() { kernels_.end(); }
  Bf16Session(const Bf16Session&) = delete;
  Bf16Session& operator=(const Bf16Session&) = delete;

 private:
  const Bf16Kernels& kernels_;
};

}  // namespace atrous::kernels
