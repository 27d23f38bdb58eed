// Evaluation and prediction with a network on a device: what the CPU gives, and the logits stay there.
#include <catch2/catch.hpp>

#include "core/device_runtime.h"
#include "core/error.h"
#include "eval/evaluate.h"
#include "kernels/common/implementation.h"
#include "nets/factory.h"
#include "tests/eval/fake_models.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;

namespace {

std::shared_ptr<layers::SegmentationModel> model_on(Device device, const std::string& name) {
  const layers::BuildDeviceGuard build_on(device);
  nets::ModelOptions options;
  options.name = name;
  options.num_classes = 3;
  if (name == "unet") {
    options.base_width = 4;
    options.depth = 2;
  } else {
    options.backbone = "resnet18";
  }
  const auto model = nets::make_model(options, 3);
  model->eval();
  return model;
}

std::vector<Device> devices() {
  std::vector<Device> all;
  for (const Device device : available_devices()) {
    if (device != Device::cpu) all.push_back(device);
  }
  return all;
}

// Whether the logits stay on the device.
bool comes_as_map(layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options) {
  bool map = false;
  predict_image(model, image, plain_data(), options, false,
                {[&](const Tensor&) { map = true; }, [](const PredictedRows&) {}});
  return map;
}

}  // namespace

TEST_CASE("scores on a device are those of the CPU") {
  const MemoryDataset set(Pointwise(), 3);
  for (const Device device : devices()) {
    for (const std::string name : {"unet", "fcn32s"}) {
      const auto on_cpu = model_on(Device::cpu, name), there = model_on(device, name);
      for (const int64_t side : {0, 24}) {  // as the images are; another size, so that logits are resized
        CAPTURE(name_of(device), name, side);
        data::DataOptions data = plain_data();
        data.image_height = data.image_width = side;
        const EvaluationResult want = evaluate(*on_cpu, set, data, {}, true);
        const EvaluationResult got = evaluate(*there, set, data, {}, true);
        // A pixel whose two best classes are within rounding may go either way.
        int64_t moved = 0;
        for (int64_t gt = 0; gt < 3; ++gt) {
          for (int64_t p = 0; p < 3; ++p)
            moved += std::abs(got.confusion.at(gt, p) - want.confusion.at(gt, p));
        }
        CHECK(moved <= 4);
        CHECK(got.scores.pixels == set.pixels);
        CHECK(got.scores.ignored_pixels == set.ignored);
        CHECK(got.scores["miou"] == Approx(want.scores["miou"].value()).margin(0.01));
        CHECK(got.loss == Approx(want.loss.value()).epsilon(1e-5));
        REQUIRE(got.images.size() == want.images.size());
        for (size_t i = 0; i < got.images.size(); ++i)
          CHECK(got.images[i].loss == Approx(want.images[i].loss.value()).epsilon(1e-5));
        CHECK(different_pixels(predict_labels(*there, set.load(0).image, data, {}),
                               predict_labels(*on_cpu, set.load(0).image, data, {})) <= 2);
      }
    }
  }
}

TEST_CASE("several passes over an image are put together alike, wherever the network lies") {
  const Tensor image = random_image(21, 30, 5);
  for (const Device device : devices()) {
    const auto on_cpu = model_on(Device::cpu, "unet"), there = model_on(device, "unet");
    InferenceOptions flips{.flip = true}, windows{.window_height = 16, .window_width = 16};
    for (const InferenceOptions& options : {InferenceOptions{}, flips, windows}) {
      CAPTURE(name_of(device), options.flip, options.window_height);
      CHECK(comes_as_map(*there, image, options) == (!options.flip && options.window_height == 0));
      CHECK(max_difference(predict_probabilities(*there, image, plain_data(), options),
                           predict_probabilities(*on_cpu, image, plain_data(), options)) < 1e-5);
    }
    CHECK_FALSE(comes_as_map(*on_cpu, image, {}));
  }
}

TEST_CASE("a network on a device is argmaxed and counted there") {
  const MemoryDataset set(Pointwise(), 1);
  for (const Device device : devices()) {
    const auto model = model_on(device, "unet");
    for (const char* entry : {"confusion_matrix.argmax", "confusion_matrix.count", "cross_entropy.forward"}) {
      CAPTURE(name_of(device), entry);
      const kernels::ForceImplementation none(entry, "none of this name");
      CHECK_THROWS_WITH(evaluate(*model, set, plain_data(), {}),
                        Catch::Contains(name_of(device)) || Catch::Contains("none of this name"));
    }
  }
}

TEST_CASE("evaluation on a device explains NaN and bad labels as on the CPU") {
  class BadLabel : public MemoryDataset {
   public:
    using MemoryDataset::MemoryDataset;
    data::Sample load(int64_t i) const override {
      data::Sample s = MemoryDataset::load(i);
      s.label = s.label.clone();
      s.label.data<uint8_t>()[2 * s.label.dim(1) + 5] = 7;
      return s;
    }
  };
  const BadLabel set(Pointwise(), 1);
  for (const Device device : devices()) {
    CAPTURE(name_of(device));
    const auto model = model_on(device, "unet");
    CHECK_THROWS_WITH(evaluate(*model, set, plain_data(), {}), Catch::Contains("Got 7 at x=5, y=2"));
    model->parameters().back().variable.value().fill(std::numeric_limits<double>::quiet_NaN());
    CHECK_THROWS_WITH(evaluate(*model, set, plain_data(), {}), Catch::Contains("Got NaN or Inf"));
    CHECK_THROWS_WITH(predict_labels(*model, set.load(0).image, plain_data(), {}),
                      Catch::Contains("Got NaN or Inf"));
  }
}
