// preprocess against values worked out by hand; its cases hold the implementations to one another.
#include "kernels/preprocess/preprocess.h"

#include <catch2/catch.hpp>
#include <functional>

#include "kernels/common/probe.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

// Every implementation's answer for f32.
void for_each_result(const Tensor& images, const Tensor& labels, const std::vector<PreprocessChange>& changes,
                     const PreprocessOptions& options,
                     const std::function<void(const float* images, const uint8_t* labels)>& check) {
  for (Device device : {Device::cpu, Device::sim}) {
    const auto run = [&] {
      return preprocess(images.to(device), labels.defined() ? labels.to(device) : labels, changes, options);
    };
    const auto implementations = able_implementations("preprocess.forward", run).value();
    for (const ImplementationInfo& it : implementations) {
      INFO(it.name << " on " << name_of(device));
      const ForceImplementation force("preprocess", it.name);
      const auto r = run();
      const Tensor y = r.images.to(Device::cpu), l = labels.defined() ? r.labels.to(Device::cpu) : Tensor();
      check(y.data<float>(), labels.defined() ? l.data<uint8_t>() : nullptr);
    }
  }
}

}  // namespace

TEST_CASE("preprocess: crop, flip and padding of a row of pixels") {
  const Tensor images = Tensor::from<uint8_t>({1, 1, 4, 1}, {0, 51, 102, 255});
  const Tensor labels = Tensor::from<uint8_t>({1, 1, 4}, {1, 2, 3, 4});
  PreprocessOptions o{.height = 1, .width = 4, .mean = {0.2}, .std = {0.5}, .ignore_label = 9};
  const auto expect = [&](const PreprocessMap& map, const std::vector<double>& y, const std::vector<int>& l) {
    for_each_result(images, labels, {{.map = map}}, o, [&](const float* got, const uint8_t* got_labels) {
      for (size_t i = 0; i < 4; ++i) {
        INFO(i);
        CHECK(got[i] == Approx((y[i] - 0.2) / 0.5).margin(1e-6));
        CHECK(got_labels[i] == l[i]);
      }
    });
  };
  expect({}, {0, 0.2, 0.4, 1}, {1, 2, 3, 4});
  expect(PreprocessMap::crop(1, 1, 0, false, false, 4, 1), {0.2, 0.4, 1, 0.2}, {2, 3, 4, 9});
  expect(PreprocessMap::crop(1, -1, 0, true, false, 4, 1), {0.2, 1, 0.4, 0.2}, {9, 4, 3, 2});
  // Twice as large, its middle: between pixel centres, a quarter from either.
  expect(PreprocessMap::crop(2, 2, 0, false, true, 4, 1), {0.15, 0.25, 0.35, 0.55}, {2, 2, 3, 3});
  o.border = {1};
  expect(PreprocessMap::crop(1, 0, 1, false, false, 4, 1), {1, 1, 1, 1}, {9, 9, 9, 9});
  o.reflect = true;
  expect(PreprocessMap::crop(1, -2, 0, false, false, 4, 1), {0.4, 0.2, 0, 0.2}, {3, 2, 1, 2});
}

TEST_CASE("preprocess: colours are mixed, shifted and clamped") {
  const Tensor images = Tensor::from<uint8_t>({1, 1, 1, 3}, {51, 102, 204});
  PreprocessChange change;
  change.color = {0.5, 0.25, 0.25, -1, 0, 0, 0, 0, 2};
  change.offset = 0.1;
  const PreprocessOptions o{.mean = {0, 0, 0.5}, .std = {1, 1, 2}};
  for_each_result(images, {}, {change}, o, [](const float* got, const uint8_t*) {
    CHECK(got[0] == Approx(0.5 * 0.2 + 0.25 * 0.4 + 0.25 * 0.8 + 0.1));
    CHECK(got[1] == Approx(0));
    CHECK(got[2] == Approx(0.25));
  });
}
