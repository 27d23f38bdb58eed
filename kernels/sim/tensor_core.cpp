// The last lane of a warp to arrive gathers the fragments of all 32, multiplies, and distributes the result.
// Compiled without ThreadSanitizer, as scheduler.cpp is. Accumulation is f32, columns of A in ascending
// order; a GPU's order may differ.
#include "kernels/sim/tensor_core.h"

namespace atrous::simulator {
namespace {

float low_bf16(uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
float high_bf16(uint32_t pair) {
  return std::bit_cast<float>(pair & 0xffff0000u);
}

// C[16x8] += A[16xK] B[Kx8], where C is spread over the lanes.
template <int K>
void multiply(void* const* data, const float (&a)[16][K], const float (&b)[K][8]) {
  float c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const float* own = static_cast<const MmaLane*>(data[lane])->c;
    const int g = lane / 4, t = lane % 4;
    c[g][2 * t] = own[0];
    c[g][2 * t + 1] = own[1];
    c[g + 8][2 * t] = own[2];
    c[g + 8][2 * t + 1] = own[3];
  }
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < K; ++k) {
      for (int n = 0; n < 8; ++n) c[m][n] += a[m][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* own = static_cast<MmaLane*>(data[lane])->c;
    const int g = lane / 4, t = lane % 4;
    own[0] = c[g][2 * t];
    own[1] = c[g][2 * t + 1];
    own[2] = c[g + 8][2 * t];
    own[3] = c[g + 8][2 * t + 1];
  }
}

template <int Matrices, bool Trans>
void deal(void* const* data) {
  for (int matrix = 0; matrix < Matrices; ++matrix) {
    uint16_t elements[8][8];
    for (int row = 0; row < 8; ++row) {
      std::memcpy(elements[row], static_cast<const LdmatrixLane*>(data[8 * matrix + row])->row, 16);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      const uint32_t low = Trans ? elements[2 * t][g] : elements[g][2 * t];
      const uint32_t high = Trans ? elements[2 * t + 1][g] : elements[g][2 * t + 1];
      static_cast<LdmatrixLane*>(data[lane])->result[matrix] = low | high << 16;
    }
  }
}

}  // namespace

void compute_mma_bf16(unsigned, void* const* data) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& own = *static_cast<const MmaLane*>(data[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i % 2), column = 2 * t + 8 * (i / 2);
      a[row][column] = low_bf16(own.a[i]);
      a[row][column + 1] = high_bf16(own.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[2 * t + 8 * i][g] = low_bf16(own.b[i]);
      b[2 * t + 8 * i + 1][g] = high_bf16(own.b[i]);
    }
  }
  multiply<16>(data, a, b);
}

void compute_mma_tf32(unsigned, void* const* data) {
  const auto value = [](uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); };
  float a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& own = *static_cast<const MmaLane*>(data[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = value(own.a[i]);
    for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = value(own.b[i]);
  }
  multiply<8>(data, a, b);
}

void compute_ldmatrix_2(unsigned, void* const* data) {
  deal<2, false>(data);
}
void compute_ldmatrix_4(unsigned, void* const* data) {
  deal<4, false>(data);
}
void compute_ldmatrix_trans_2(unsigned, void* const* data) {
  deal<2, true>(data);
}
void compute_ldmatrix_trans_4(unsigned, void* const* data) {
  deal<4, true>(data);
}

}  // namespace atrous::simulator
