// Transposed convolution of [[1, 2], [3, 4]] with the filter [[1, 2], [3, 4]]: sizes and positions (as in
// PyTorch).
#include "layers/conv_transpose2d.h"

#include <catch2/catch.hpp>
#include <vector>

#include "kernels/common/probe.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"

using namespace atrous;
using layers::ConvTranspose2dOptions;

namespace {

struct Result {
  Shape shape;
  std::vector<float> values;
};

Result run(const ConvTranspose2dOptions& options) {
  const Variable x(Tensor::from<float>({1, 2, 2, 1}, {1, 2, 3, 4}));
  const Tensor y = layers::conv_transpose2d(x, x, Variable(), options).value();
  return {y.shape(), {y.data<float>(), y.data<float>() + y.numel()}};
}

}  // namespace

TEST_CASE("conv_transpose2d places patches by stride and adds where they overlap") {
  const Result disjoint = run({{2, 2}, {0, 0}, {0, 0}, {1, 1}, 1});
  CHECK(disjoint.shape == Shape{1, 4, 4, 1});
  CHECK(disjoint.values == std::vector<float>{1, 2, 2, 4, 3, 4, 6, 8, 3, 6, 4, 8, 9, 12, 12, 16});
  CHECK(run({}).values == std::vector<float>{1, 4, 4, 6, 20, 16, 9, 24, 16});
}

TEST_CASE("conv_transpose2d cuts padding and appends output padding at the far sides") {
  CHECK(run({{2, 2}, {1, 1}, {0, 0}, {1, 1}, 1}).values == std::vector<float>{4, 6, 6, 4});
  const Result wider = run({{2, 2}, {0, 0}, {1, 1}, {1, 1}, 1});
  CHECK(wider.shape == Shape{1, 5, 5, 1});
  CHECK(wider.values ==
        std::vector<float>{1, 2, 2, 4, 0, 3, 4, 6, 8, 0, 3, 6, 4, 8, 0, 9, 12, 12, 16, 0, 0, 0, 0, 0, 0});
  const Result all = run({{3, 3}, {1, 1}, {1, 1}, {2, 2}, 1});
  CHECK(all.shape == Shape{1, 5, 5, 1});
  CHECK(all.values ==
        std::vector<float>{0, 0, 0, 0, 0, 0, 4, 6, 0, 8, 0, 6, 4, 0, 8, 0, 0, 0, 0, 0, 0, 12, 12, 0, 16});
}

TEST_CASE("conv_transpose2d on a GPU takes tensor cores where they are allowed") {
  const auto first = [](DType dtype, kernels::Math math = {}) {
    const Tensor x = Tensor::zeros({1, 8, 8, 32}, dtype, Device::sim),
                 w = Tensor::zeros({32, 2, 2, 16}, dtype, Device::sim);
    const auto names = kernels::able_implementations("conv_transpose2d.forward", [&] {
                         kernels::conv_transpose2d(x, w, {}, {.stride = {2, 2}, .math = math});
                       }).value();
    return names.at(0).name;
  };
  CHECK(first(DType::f32) == "patches");  // sums on CUDA cores
  CHECK(first(DType::bf16) == "conv2d");
  CHECK(first(DType::f32, {.tf32 = true}) == "conv2d");
}
