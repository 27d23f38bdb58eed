// Detection models, in tiny forms: any image, any number of objects, errors, devices, threads.
#include <fmt/format.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <regex>

#include "core/parallel.h"
#include "layers/state_dict.h"
#include "nets/start_weights.h"
#include "tests/nets/tiny_models.h"
#include "tests/same_bits.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using layers::DetectionLosses;
using layers::DetectionModel;
using layers::Detections;
using nets_test::tiny_detectors;
using nets_test::tiny_options;

namespace {

Tensor image(int64_t height, int64_t width, uint64_t stream) {
  const Tensor t = Tensor::empty({height, width, 3});
  const CounterRng rng(11, stream);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = rng.uniform(static_cast<uint64_t>(i));
  return t;
}

// Boxes of random sizes, each filled by its mask.
Instances objects(int64_t height, int64_t width, int64_t count, uint64_t stream) {
  Instances o{.height = height, .width = width};
  o.boxes = Tensor::empty({count, 4});
  Rng rng(12, stream);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t x0 = rng.integer(0, width - 2), x1 = rng.integer(x0 + 1, width);
    const int64_t y0 = rng.integer(0, height - 2), y1 = rng.integer(y0 + 1, height);
    const std::array<int64_t, 4> corners{x0, y0, x1, y1};
    for (size_t c = 0; c < 4; ++c) o.box(i)[c] = static_cast<float>(corners[c]);
    o.labels.push_back(static_cast<int32_t>(rng.integer(1, 2)));
    Mask mask{.x0 = x0, .y0 = y0, .width = x1 - x0, .height = y1 - y0};
    mask.pixels.assign(static_cast<size_t>(mask.width * mask.height), 1);
    o.masks.push_back(mask);
  }
  return o;
}

std::shared_ptr<DetectionModel> tiny(const std::string& model, Device device = Device::cpu) {
  const layers::BuildDeviceGuard there(device);
  const auto net = nets::build_detector(tiny_options(model));
  net->initialise(5);
  // Start values score every anchor alike. Spread, things are found and what is found depends on the image.
  // Biases of zero would leave the border of a batch at exactly zero, where rounding switches ReLUs.
  uint64_t stream = 0;
  for (const layers::NamedParameter& p : net->parameters()) {
    const CounterRng rng(6, ++stream);
    const bool scores = p.name.ends_with("cls_logits.weight") || p.name.ends_with("cls_score.weight") ||
                        p.name.ends_with("bbox_pred.weight");
    if (!scores && !p.name.ends_with("bias")) continue;
    const Tensor changed = p.variable.value().to(Device::cpu).clone();
    for (int64_t i = 0; i < changed.numel(); ++i) {
      float& v = changed.data<float>()[i];
      v = scores ? 3 * v : v + 0.1f * (rng.uniform(static_cast<uint64_t>(i)) - 0.5f);
    }
    p.variable.value().copy_from(changed);
  }
  net->eval();
  return net;
}

const std::string maskrcnn = tiny_detectors[0];

struct Step {
  std::vector<float> losses;
  std::vector<Tensor> gradients;  // undefined where none flows
};

Step step(DetectionModel& net, const std::vector<Tensor>& images, const std::vector<Instances>& targets,
          uint64_t seed = 3) {
  net.train();
  net.set_random_key({1, 2});
  Rng rng(seed);
  const DetectionLosses losses = net.losses(images, targets, rng);
  backward(losses.total());
  Step s;
  for (const auto& [name, loss] : losses.named())
    s.losses.push_back(static_cast<float>(loss.value().to(Device::cpu).item()));
  for (const layers::NamedParameter& p : net.parameters()) {
    const Tensor& g = p.variable.grad();
    s.gradients.push_back(g.defined() ? g.to(Device::cpu).contiguous_copy_if_needed() : Tensor());
    p.variable.clear_grad();
  }
  return s;
}

double norm(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.numel(); ++i) sum += std::pow(static_cast<double>(t.data<float>()[i]), 2);
  return std::sqrt(sum);
}

double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    sum += std::pow(static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]), 2);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("Detections lie inside images of any size, best first, with masks where the network has them") {
  for (const char* model : tiny_detectors) {
    INFO(model);
    const auto net = tiny(model);
    int64_t found = 0;
    for (const auto& [height, width] :
         {std::pair<int64_t, int64_t>{1, 1}, {1, 90}, {2, 3}, {48, 48}, {33, 200}, {97, 61}}) {
      CAPTURE(height, width);
      const std::vector<Detections> both = net->detect({image(height, width, 1), image(40, 50, 2)});
      REQUIRE(both.size() == 2);
      CHECK(both[0].image == layers::ImageSize{height, width});
      for (const Detections& d : both) {
        found += d.size();
        CHECK(d.size() <= 10);
        CHECK(d.boxes.shape() == Shape({d.size(), 4}));
        CHECK(d.scores.size() == d.labels.size());
        CHECK(std::is_sorted(d.scores.rbegin(), d.scores.rend()));
        CHECK(d.masks.defined() == net->has_masks());
        if (net->has_masks()) CHECK(d.masks.shape() == Shape({d.size(), 28, 28}));
        for (int64_t i = 0; i < d.size(); ++i) {
          const float* b = d.boxes.data<float>() + 4 * i;
          CHECK((b[0] >= 0 && b[1] >= 0 && b[0] < b[2] && b[1] < b[3]));
          CHECK(static_cast<double>(b[2]) <= 1.00001 * static_cast<double>(d.image.width));
          CHECK(static_cast<double>(b[3]) <= 1.00001 * static_cast<double>(d.image.height));
          const int32_t label = d.labels[static_cast<size_t>(i)];
          CHECK((label >= 1 && label < net->num_classes()));
          CHECK(d.scores[static_cast<size_t>(i)] > 0.05f);
        }
      }
    }
    CHECK(found > 0);
  }
}

TEST_CASE("Losses are finite for no, one and many objects, and only those without samples are zero") {
  for (const char* model : tiny_detectors) {
    INFO(model);
    const auto net = tiny(model);
    const std::vector<Tensor> images{image(48, 70, 1), image(60, 50, 2)};
    for (const int64_t count : {0, 1, 300}) {
      CAPTURE(count);
      const Step s = step(*net, images, {objects(48, 70, count, 1), objects(60, 50, 0, 2)});
      REQUIRE(s.losses.size() == (net->has_masks() ? 5 : 4));
      for (size_t i = 0; i < s.losses.size(); ++i) {
        CHECK(std::isfinite(s.losses[i]));
        const bool of_positives = i == 1 || i == 3 || i == 4;  // boxes and masks
        CHECK((s.losses[i] > 0) == (count > 0 || !of_positives));
      }
      const auto parameters = net->parameters();
      for (size_t i = 0; i < parameters.size(); ++i) {
        INFO(parameters[i].name);
        // Without positives nothing flows into offsets and masks.
        const bool of_positives = parameters[i].name.find("bbox_pred") != std::string::npos ||
                                  parameters[i].name.find("mask_") != std::string::npos;
        REQUIRE(s.gradients[i].defined() == (count > 0 || !of_positives));
        if (s.gradients[i].defined()) CHECK(all_finite(s.gradients[i]));
      }
    }
  }
}

TEST_CASE("Crowd regions are no objects: an image with nothing else has only background") {
  const auto net = tiny(maskrcnn);
  Instances crowds = objects(48, 70, 3, 1);
  crowds.crowd = {1, 1, 1};
  const Step a = step(*net, {image(48, 70, 1)}, {crowds});
  const Step b = step(*net, {image(48, 70, 1)}, {objects(48, 70, 0, 1)});
  CHECK(a.losses == b.losses);
  crowds.crowd = {1, 0, 1};
  const std::vector<int64_t> middle{1};
  const Step c = step(*net, {image(48, 70, 1)}, {crowds});
  CHECK(c.losses == step(*net, {image(48, 70, 1)}, {select(objects(48, 70, 3, 1), middle)}).losses);
  CHECK(c.losses != a.losses);
}

TEST_CASE("What cannot be learnt from is an error that says which object of which image") {
  const auto net = tiny(maskrcnn);
  net->train();
  Rng rng(1);
  const std::vector<Tensor> images{image(48, 70, 1)};
  const auto message = [&](const Instances& target) {
    try {
      net->losses(images, {target}, rng);
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::data);
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const Instances good = objects(48, 70, 2, 1);
  CHECK(message(good) == "no error");
  for (const auto& [coordinate, value] :
       {std::pair<int, float>{2, 0.0f}, {3, -1.0f}, {0, NAN}, {1, INFINITY}}) {
    Instances bad = objects(48, 70, 2, 1);
    bad.box(1)[coordinate] = coordinate >= 2 ? bad.box(1)[coordinate - 2] + value : value;
    CHECK_THAT(message(bad), Catch::Contains("a box must have a width and a height") &&
                                 Catch::Contains("object 1 of image 0"));
  }
  for (const int32_t label : {-1, 0, 3}) {
    Instances bad = good;
    bad.labels[0] = label;
    CHECK_THAT(message(bad), Catch::Contains("a label must be 1 to 2"));
  }
  Instances bad = good;
  bad.masks.clear();
  CHECK_THAT(message(bad), Catch::Contains("objects need masks"));
  bad = good;
  bad.height = 49;
  CHECK_THAT(message(bad), Catch::Contains("of the image's size"));
  bad = good;
  bad.labels.push_back(1);
  CHECK_THAT(message(bad), Catch::Contains("a box per label"));
  CHECK_THROWS_WITH(net->losses(images, {}, rng), Catch::Contains("a target per image"));
  CHECK_THROWS_WITH(net->detect({}), Catch::Contains("at least one image"));
  CHECK_THROWS_WITH(net->detect({Tensor::empty({4, 4, 1})}), Catch::Contains("f32 [H, W, 3]"));
}

TEST_CASE("Steps and detections have the same bits on any number of threads and for the same stream") {
  const std::vector<Tensor> images{image(48, 70, 1), image(60, 50, 2)};
  const std::vector<Instances> targets{objects(48, 70, 5, 1), objects(60, 50, 3, 2)};
  const int before = num_threads();
  for (const char* model : {tiny_detectors[0], tiny_detectors[1], tiny_detectors[4]}) {
    INFO(model);
    const auto net = tiny(model);
    std::vector<Step> steps;
    std::vector<std::vector<Detections>> found;
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      steps.push_back(step(*net, images, targets));
      net->eval();
      found.push_back(net->detect(images));
    }
    set_num_threads(before);
    for (size_t run = 1; run < 3; ++run) {
      CHECK(steps[run].losses == steps[0].losses);
      for (size_t i = 0; i < steps[0].gradients.size(); ++i)
        CHECK(same_bits(steps[run].gradients[i], steps[0].gradients[i]));
      for (size_t i = 0; i < images.size(); ++i) {
        CHECK(same_bits(found[run][i].boxes, found[0][i].boxes));
        CHECK(found[run][i].scores == found[0][i].scores);
        CHECK(same_bits(found[run][i].masks, found[0][i].masks));
      }
    }
    CHECK(step(*net, images, targets, 4).losses != steps[0].losses);
  }
}

TEST_CASE("The GPU's kernels give the CPU's losses, gradients and detections") {
  const std::vector<Tensor> images{image(40, 60, 1), image(50, 40, 2)};
  const std::vector<Instances> targets{objects(40, 60, 4, 1), objects(50, 40, 0, 2)};
  for (const char* model : {tiny_detectors[0], tiny_detectors[1], tiny_detectors[4]}) {
    INFO(model);
    const auto cpu = tiny(model), sim = tiny(model, Device::sim);
    const Step a = step(*cpu, images, targets), b = step(*sim, images, targets);
    REQUIRE(a.losses.size() == b.losses.size());
    for (size_t i = 0; i < a.losses.size(); ++i) CHECK(b.losses[i] == Approx(a.losses[i]).epsilon(1e-4));
    const auto parameters = cpu->parameters();
    double largest = 0;
    for (const Tensor& g : a.gradients) largest = std::max(largest, g.defined() ? norm(g) : 0);
    for (size_t i = 0; i < a.gradients.size(); ++i) {
      INFO(parameters[i].name);
      REQUIRE(a.gradients[i].defined() == b.gradients[i].defined());
      if (!a.gradients[i].defined()) continue;
      CHECK(difference(a.gradients[i], b.gradients[i]) <= 2e-3 * norm(a.gradients[i]) + 1e-6 * largest);
    }
    cpu->eval();
    sim->eval();
    const auto found = cpu->detect(images), there = sim->detect(images);
    for (size_t i = 0; i < images.size(); ++i) {
      REQUIRE(there[i].labels == found[i].labels);
      CHECK(difference(there[i].boxes, found[i].boxes) < 1e-2);
      for (size_t k = 0; k < found[i].scores.size(); ++k)
        CHECK(there[i].scores[k] == Approx(found[i].scores[k]).margin(1e-4));
      if (cpu->has_masks()) CHECK(difference(there[i].masks, found[i].masks) < 1e-2);
    }
  }
}

TEST_CASE("Masks come from their boxes onto the image") {
  Detections d;
  d.image = {40, 50};
  d.boxes = Tensor::from<float>({2, 4}, {10, 10, 38, 38, 0, 0, 50, 40});
  d.labels = {1, 2};
  d.scores = {0.9f, 0.8f};
  d.masks = Tensor::full({2, 28, 28}, 1);
  d.masks.narrow_batch(1, 1).fill(0.25);
  const Tensor masks = layers::image_masks(d);
  REQUIRE(masks.shape() == Shape({2, 40, 50}));
  int64_t set[2] = {0, 0};
  for (int64_t i = 0; i < masks.numel(); ++i) set[i / 2000] += masks.data<uint8_t>()[i];
  CHECK(set[0] == 29 * 29);  // torchvision's rule: pixels 10 ... 38
  CHECK(set[1] == 0);
  const Tensor exact = layers::image_masks(d, 0.5, layers::PasteRule::detectron2);
  int64_t area = 0;
  for (int64_t i = 0; i < 2000; ++i) area += exact.data<uint8_t>()[i];
  CHECK(area == 28 * 28);
  const Tensor p = layers::image_mask_probabilities(layers::only(d, 1, 1));
  CHECK(p.shape() == Shape({1, 40, 50}));
  CHECK(p.data<float>()[20 * 50 + 25] == 0.25f);
  d.masks = Tensor();
  CHECK_THROWS_WITH(layers::image_masks(d), Catch::Contains("masks"));
}

TEST_CASE("Weights under the names of torchvision before 0.13 load completely") {
  const auto net = tiny(maskrcnn), other = nets::make_detector(tiny_options(maskrcnn), 77);
  NamedTensors old = layers::state_dict(*net);
  int64_t renamed = 0;
  for (auto& [name, tensor] : old) {
    const std::string today = name;
    name = std::regex_replace(name, std::regex(R"((fpn\.(?:inner|layer)_blocks\.\d)\.0\.)"), "$1.");
    name = std::regex_replace(name, std::regex(R"(rpn\.head\.conv\.0\.0\.)"), "rpn.head.conv.");
    for (int i = 0; i < 4; ++i) {
      const std::regex block(fmt::format("mask_head\\.{}\\.0\\.", i));
      name = std::regex_replace(name, block, fmt::format("mask_head.mask_fcn{}.", i + 1));
    }
    renamed += name != today;
  }
  REQUIRE(renamed == 2 * (8 + 1 + 4));
  const TemporaryFolder folder;
  const std::string path = folder / "rcnn.safetensors";
  write_safetensors(path, old);
  const nets::ImportReport report = nets::import_weights(*other, path, {});
  CHECK(report.load.complete());
  CHECK(report.renamed.size() == static_cast<size_t>(renamed));
  const NamedTensors a = layers::state_dict(*net), b = layers::state_dict(*other);
  for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i].second, b[i].second));
}

TEST_CASE("Bad options of detection networks are config errors") {
  const auto build = [](const std::string& more) {
    return nets::build_detector(tiny_options(
        R"({"name": "maskrcnn_resnet50_fpn", "backbone": "resnet18", "width_multiplier": 0.03125, )" + more +
        "}"));
  };
  CHECK_THROWS_WITH(build(R"("detection": {"anchor_sizes": [8, 16]})"), Catch::Contains("one per map"));
  CHECK_THROWS_WITH(build(R"("detection": {"roi_op": "pool"})"), Catch::Contains("fasterrcnn_vgg16"));
  CHECK_THROWS_WITH(build(R"("detection": {"mean": [0.5]})"), Catch::Contains("a value per channel"));
  CHECK_THROWS_WITH(build(R"("detection": {"rpn_negative_iou": 0.8})"), Catch::Contains("must not exceed"));
  CHECK_THROWS_WITH(build(R"("num_classes": 1)"), Catch::Contains("at least 2"));
  CHECK_THROWS_WITH(build(R"("aux_loss": true)"),
                    Catch::Contains("model.aux_loss is an option of network \"fcn_resnet50\" or") &&
                        Catch::Contains("with network \"maskrcnn_resnet50_fpn\""));
  CHECK_THROWS_WITH(nets::build_model(tiny_options(maskrcnn)), Catch::Contains("is a detection model"));
  CHECK_THROWS_WITH(nets::build_detector(tiny_options(nets_test::tiny_models[0])),
                    Catch::Contains("must be a detection model"));
  CHECK_THROWS_WITH(
      nets::build_model(tiny_options(R"({"name": "unet", "depth": 3, "detection": {"max_size": 9}})")),
      Catch::Contains("model.detection.max_size is an option of network \"maskrcnn_resnet50_fpn\" or"));
}
