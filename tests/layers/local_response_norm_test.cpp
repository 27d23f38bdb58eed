// Local response normalisation of channels 1..5 by hand (and as in PyTorch): where even windows lean, what
// divides.
#include "layers/local_response_norm.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace atrous;

TEST_CASE("local_response_norm windows are centred; even ones reach one further down") {
  const Variable x(Tensor::from<float>({1, 1, 1, 5}, {1, 2, 3, 4, 5}));
  auto check = [&](int64_t size, const std::vector<double>& scales) {
    // alpha = size cancels the division by the window, beta 1 and k 1 leave x / (1 + sum of squares).
    const Tensor y = layers::local_response_norm(x, {size, static_cast<double>(size), 1, 1}).value();
    for (size_t c = 0; c < 5; ++c)
      CHECK(y.data<float>()[c] == Approx(static_cast<double>(c + 1) / scales[c]));
  };
  check(3, {6, 15, 30, 51, 42});
  check(4, {6, 15, 31, 55, 51});
}
