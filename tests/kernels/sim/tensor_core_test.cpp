// mma_* and ldmatrix against plain loops. Factors are small integers, so that every order of summation gives
// the same.
#include <catch2/catch.hpp>

#include "kernels/gpu/mma.h"
#include "tests/kernels/sim/on_simulator.h"

using namespace atrous;
using namespace atrous::kernels;
using atrous::on_simulator::Memory;
using atrous::on_simulator::random_ints;

namespace {

uint16_t bf16_bits(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);  // exact for small integers
}

// c [16,8] += a [16,16] b [16,8], all row-major; the layout that mma.h documents.
__global__ void multiply_bf16(const uint16_t* a, const uint16_t* b, float* c) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const auto a_pair = [&](unsigned row, unsigned column) {
    return pack_bf16(a[row * 16 + column], a[row * 16 + column + 1]);
  };
  const auto b_pair = [&](unsigned row) { return pack_bf16(b[row * 8 + g], b[(row + 1) * 8 + g]); };
  const uint32_t fa[4] = {a_pair(g, 2 * t), a_pair(g + 8, 2 * t), a_pair(g, 2 * t + 8),
                          a_pair(g + 8, 2 * t + 8)};
  const uint32_t fb[2] = {b_pair(2 * t), b_pair(2 * t + 8)};
  float* const elements[4] = {&c[g * 8 + 2 * t], &c[g * 8 + 2 * t + 1], &c[(g + 8) * 8 + 2 * t],
                              &c[(g + 8) * 8 + 2 * t + 1]};
  float fc[4];
  for (int i = 0; i < 4; ++i) fc[i] = *elements[i];
  mma_bf16(fc, fa, fb);
  for (int i = 0; i < 4; ++i) *elements[i] = fc[i];
}

// c [16,8] += a [16,8] b [8,8].
__global__ void multiply_tf32(const float* a, const float* b, float* c) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const uint32_t fa[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                          to_tf32(a[(g + 8) * 8 + t + 4])};
  const uint32_t fb[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
  float* const elements[4] = {&c[g * 8 + 2 * t], &c[g * 8 + 2 * t + 1], &c[(g + 8) * 8 + 2 * t],
                              &c[(g + 8) * 8 + 2 * t + 1]};
  float fc[4];
  for (int i = 0; i < 4; ++i) fc[i] = *elements[i];
  mma_tf32(fc, fa, fb);
  for (int i = 0; i < 4; ++i) *elements[i] = fc[i];
}

// in: `Matrices` matrices of 8x8, one after another. out [lane][matrix]: the two elements of the register.
template <int Matrices, bool Trans>
__global__ void load_matrices(const uint16_t* in, uint32_t* out) {
  using Row = Vec<uint16_t, 8>;
  ATROUS_SHARED(Row, rows, [Matrices * 8]);
  if (threadIdx.x < Matrices * 8) rows[threadIdx.x] = load<8>(in + threadIdx.x * 8);
  __syncwarp();
  uint32_t r[Matrices];
  const void* row = &rows[threadIdx.x % (Matrices * 8)];
  if constexpr (Trans) {
    ldmatrix_trans(r, row);
  } else {
    ldmatrix(r, row);
  }
  for (int i = 0; i < Matrices; ++i) out[threadIdx.x * Matrices + static_cast<unsigned>(i)] = r[i];
}

template <int Matrices, bool Trans>
void check_ldmatrix() {
  CAPTURE(Matrices, Trans);
  std::vector<uint16_t> in;
  for (int v : random_ints(Matrices * 64, 0, 0xffff)) in.push_back(static_cast<uint16_t>(v));
  const Memory<uint16_t> x(in);
  const Memory<uint32_t> out(32 * Matrices);
  launch<load_matrices<Matrices, Trans>>({1, 32}, x.data(), out.data());
  const std::vector<uint32_t> got = out.read();
  for (size_t lane = 0; lane < 32; ++lane) {
    const size_t g = lane / 4, t = lane % 4;
    for (size_t m = 0; m < Matrices; ++m) {
      const auto element = [&](size_t row, size_t column) { return in[m * 64 + row * 8 + column]; };
      const uint16_t low = Trans ? element(2 * t, g) : element(g, 2 * t);
      const uint16_t high = Trans ? element(2 * t + 1, g) : element(g, 2 * t + 1);
      CHECK(got[lane * Matrices + m] == pack_bf16(low, high));
    }
  }
}

// c + a [16,k] b [k,8].
std::vector<float> product(const std::vector<int>& a, const std::vector<int>& b, const std::vector<int>& c) {
  const size_t k = b.size() / 8;
  std::vector<float> result;
  for (size_t m = 0; m < 16; ++m) {
    for (size_t n = 0; n < 8; ++n) {
      int sum = c[m * 8 + n];
      for (size_t i = 0; i < k; ++i) sum += a[m * k + i] * b[i * 8 + n];
      result.push_back(static_cast<float>(sum));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("mma_bf16 is a product of matrices") {
  for (int repetition = 0; repetition < 10; ++repetition) {
    const std::vector<int> a = random_ints(256, -9, 9), b = random_ints(128, -9, 9),
                           c = random_ints(128, -99, 99);
    const auto bits = [](const std::vector<int>& values) {
      std::vector<uint16_t> result;
      for (int v : values) result.push_back(bf16_bits(static_cast<float>(v)));
      return result;
    };
    const Memory<uint16_t> da(bits(a)), db(bits(b));
    const Memory<float> dc(std::vector<float>(c.begin(), c.end()));
    launch<multiply_bf16>({1, 32}, da.data(), db.data(), dc.data());
    CHECK(dc.read() == product(a, b, c));
  }
}

TEST_CASE("mma_tf32 is a product of matrices") {
  for (int repetition = 0; repetition < 10; ++repetition) {
    const std::vector<int> a = random_ints(128, -99, 99), b = random_ints(64, -99, 99),
                           c = random_ints(128, -99, 99);
    const auto floats = [](const std::vector<int>& v) { return std::vector<float>(v.begin(), v.end()); };
    const Memory<float> da(floats(a)), db(floats(b)), dc(floats(c));
    launch<multiply_tf32>({1, 32}, da.data(), db.data(), dc.data());
    CHECK(dc.read() == product(a, b, c));
  }
}

TEST_CASE("tf32 keeps 10 bits of the mantissa, ties away from zero") {
  const auto rounded = [](float x) { return std::bit_cast<float>(to_tf32(x)); };
  CHECK(rounded(1.0f) == 1.0f);
  CHECK(rounded(1.0f + 0x1p-11f) == 1.0f + 0x1p-10f);
  CHECK(rounded(-1.0f - 0x1p-11f) == -1.0f - 0x1p-10f);
  CHECK(rounded(1.0f + 0x1p-12f) == 1.0f);
  CHECK(rounded(INFINITY) == INFINITY);
}

TEST_CASE("ldmatrix deals rows, or columns, out to the lanes") {
  check_ldmatrix<2, false>();
  check_ldmatrix<4, false>();
  check_ldmatrix<2, true>();
  check_ldmatrix<4, true>();
}
