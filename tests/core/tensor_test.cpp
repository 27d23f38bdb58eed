#include "core/tensor.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

using namespace atrous;
using Catch::Matchers::Contains;

namespace {
Tensor counting(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  std::iota(t.data<float>(), t.data<float>() + t.numel(), 0.0f);
  return t;
}
}  // namespace

TEST_CASE("A channel slice is a view with a pixel stride") {
  const Tensor t = counting({1, 2, 2, 4});
  const Tensor slice = t.narrow_channels(1, 2);
  CHECK(slice.shape() == Shape{1, 2, 2, 2});
  CHECK(slice.pixel_stride() == 4);
  CHECK_FALSE(slice.contiguous());
  CHECK(slice.shares_memory_with(t));
  const Tensor copy = slice.clone();
  CHECK(copy.contiguous());
  CHECK_FALSE(copy.shares_memory_with(t));
  const std::vector<float> expected{1, 2, 5, 6, 9, 10, 13, 14};
  CHECK(std::vector<float>(copy.data<float>(), copy.data<float>() + 8) == expected);
  slice.fill(-1);
  CHECK(t.data<float>()[0] == 0);
  CHECK(t.data<float>()[1] == -1);
  CHECK(t.data<float>()[3] == 3);
}

TEST_CASE("Batch slices, also of a channel slice") {
  const Tensor t = counting({3, 1, 2, 4}).narrow_channels(0, 3).narrow_batch(1, 1);
  CHECK(t.shape() == Shape{1, 1, 2, 3});
  CHECK(t.data<float>()[0] == 8);
  const Tensor vector = counting({5}).narrow_batch(2, 2);
  CHECK(vector.clone().data<float>()[1] == 3);
}

TEST_CASE("Reshape keeps memory; a strided view keeps its last axis") {
  const Tensor t = counting({2, 3, 4});
  CHECK(t.reshape({6, 4}).shares_memory_with(t));
  CHECK(t.reshape({24}).data<float>()[23] == 23);
  const Tensor slice = t.narrow_channels(0, 2);
  CHECK(slice.reshape({6, 2}).pixel_stride() == 4);
  CHECK_THROWS_WITH(slice.reshape({3, 4}), Contains("its last axis stays") && Contains("pixel stride 4"));
  CHECK_THROWS_WITH(t.reshape({5, 5}), Contains("[2, 3, 4] to [5, 5]"));
}

TEST_CASE("Conversions between element types") {
  const Tensor t = Tensor::from<float>({4}, {1.5f, -2.25f, 3e38f, 0.f});
  CHECK(t.to(DType::f64).data<double>()[1] == -2.25);
  CHECK(static_cast<float>(t.to(DType::bf16).data<bf16>()[0]) == 1.5f);
  CHECK(Tensor::from<float>({2}, {7.f, 200.f}).to(DType::u8).data<uint8_t>()[1] == 200);
  CHECK(t.to(DType::f32).shares_memory_with(t));
}

TEST_CASE("bf16 rounds to nearest even and keeps NaN") {
  CHECK(bf16(1.00390625f).bits == 0x3f80);  // exactly half way between 1 and the next: even wins
  CHECK(bf16(1.01171875f).bits == 0x3f82);
  CHECK(std::isnan(static_cast<float>(bf16(NAN))));
  CHECK(std::isinf(static_cast<float>(bf16(3.4e38f))));
}

TEST_CASE("Views share the version; concat slices have their own") {
  const Tensor t = Tensor::zeros({1, 1, 1, 4});
  const Tensor view = t.narrow_channels(0, 2);
  const uint32_t before = t.version();
  view.fill(1);
  CHECK(t.version() == before + 1);
  const std::array<int64_t, 2> channels{2, 3};
  const ConcatBuffer buffer({1, 2, 2}, channels, DType::f32, Device::cpu);
  CHECK(buffer.whole().shape() == Shape{1, 2, 2, 5});
  const uint32_t first = buffer.slice(0).version();
  buffer.slice(1).fill(2);
  CHECK(buffer.slice(0).version() == first);
}

TEST_CASE("Empty tensors and scalars") {
  CHECK(Tensor::zeros({0, 4, 4, 3}).numel() == 0);
  CHECK(Tensor::zeros({2, 0}).clone().numel() == 0);
  CHECK(Tensor::scalar(3.5).item() == 3.5);
  CHECK(Tensor::scalar(3.5).shape() == Shape{});
  CHECK_THROWS_WITH(Tensor::zeros({2}).item(), Contains("exactly one element"));
}

TEST_CASE("Impossible shapes are refused before memory is asked for") {
  CHECK_THROWS_WITH(Shape({int64_t{1} << 40, int64_t{1} << 40}), Contains("64 bits"));
  CHECK_THROWS_WITH(Shape({2, -1}), Contains("not be negative"));
  CHECK_THROWS_WITH(Tensor::empty({int64_t{1} << 50}), Contains("[memory]"));
}

TEST_CASE("The allocator reuses blocks and counts them") {
  release_cached_memory();
  { const Tensor warm = Tensor::empty({1000, 1000}); }
  const AllocatorStats before = allocator_stats();
  {
    const Tensor again = Tensor::empty({1000, 1000});
    CHECK(allocator_stats().bytes_in_use >= before.bytes_in_use + 4000000);
  }
  const AllocatorStats after = allocator_stats();
  CHECK(after.bytes_in_use == before.bytes_in_use);
#ifndef ATROUS_SANITIZED
  CHECK(after.system_calls == before.system_calls);
#endif
  reset_peak_memory();
  CHECK(allocator_stats().peak_in_use == allocator_stats().bytes_in_use);
}
