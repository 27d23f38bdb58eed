// Made-up tensors, and how far two of them are apart.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "core/tensor.h"

namespace atrous::core_test {

// N(0, 1), f32. Streams are independent of each other.
inline Tensor noise(const Shape& shape, uint64_t stream = 1) {
  const Tensor t = Tensor::empty(shape);
  const CounterRng rng(7, stream);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = static_cast<float>(rng.normal(static_cast<uint64_t>(i)));
  return t;
}

// The largest of all elements, absolute. Both f32, on the CPU; shapes that differ fail the test.
inline double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor x = a.contiguous_copy_if_needed(), y = b.contiguous_copy_if_needed();
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i)
    worst = std::max(worst, std::abs(double{x.data<float>()[i]} - double{y.data<float>()[i]}));
  return worst;
}

}  // namespace atrous::core_test
