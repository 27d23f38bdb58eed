// Classification networks, and their weights as a start for others.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "eval/inference.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "nets/start_weights.h"
#include "tests/core/tensors.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;
using core_test::difference;
using core_test::noise;

namespace {

nets::ModelOptions small(const std::string& name, double width = 0.0625) {
  nets::ModelOptions o;
  o.name = name;
  o.num_classes = 5;
  o.width_multiplier = width;
  return o;
}

// With running statistics and scales that are not their start values.
std::shared_ptr<layers::SegmentationModel> trained(const nets::ModelOptions& o) {
  const auto net = nets::make_model(o, 1);
  uint64_t stream = 0;
  net->visit([&](const std::string&, const Variable* parameter, const Tensor* buffer) {
    const Tensor t = parameter ? parameter->value() : *buffer;
    if (t.dtype() != DType::f32) return;
    const Tensor by = noise(t.shape(), ++stream);
    for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] += 0.1f * std::abs(by.data<float>()[i]);
  });
  return net;
}

TensorFile file_of(const layers::Module& m) {
  TensorFile file;
  file.origin = "test";
  for (const auto& [name, t] : layers::state_dict(m)) file.tensors.emplace_back(name, t.clone());
  return file;
}

}  // namespace

TEST_CASE("Weights of ordinary batch norm load into a frozen one, which then never changes") {
  for (const char* name : {"resnet18", "mobilenet_v3_large"}) {
    INFO(name);
    nets::ModelOptions o = small(name);
    const auto ordinary = trained(o);
    o.backbone_norm = layers::NormKind::frozen;
    const auto frozen = nets::make_model(o, 2);
    CHECK(layers::load_state_dict(*frozen, file_of(*ordinary)).complete());
    CHECK(frozen->parameters().size() < ordinary->parameters().size());
    ordinary->eval();
    const Variable image(noise({2, 40, 33, 3}, 99));
    const Tensor expected = ordinary->forward(image).logits.value();
    frozen->eval();
    CHECK(difference(frozen->forward(image).logits.value(), expected) == 0);
    // Dropout aside, training mode is the same function.
    o.dropout = o.name.starts_with("res") ? -1 : 0;
    const auto training = nets::make_model(o, 3);
    layers::load_state_dict(*training, file_of(*frozen));
    const Variable logits = training->forward(image).logits;
    CHECK(difference(logits.value(), expected) == 0);
    backward(logits, noise(logits.shape(), 100));
    for (const layers::NamedBuffer& b : training->buffers()) {
      if (b.tensor.dtype() == DType::f32 && b.tensor.rank() == 1)
        CHECK(difference(b.tensor, file_of(*frozen).at(b.name)) == 0);
    }
  }
}

TEST_CASE("Frozen stages get no gradients, and the others do") {
  nets::ModelOptions o = small("deeplabv3_resnet50");
  o.freeze = {"backbone.conv1.", "backbone.bn1.", "backbone.layer1."};
  const auto net = nets::make_model(o, 1);
  const Variable logits = net->forward(Variable(noise({2, 33, 33, 3}, 1))).logits;
  backward(logits, noise(logits.shape(), 2));
  for (const layers::NamedParameter& p : net->parameters()) {
    INFO(p.name);
    const bool frozen = p.name.starts_with("backbone.conv1.") || p.name.starts_with("backbone.bn1.") ||
                        p.name.starts_with("backbone.layer1.");
    CHECK(p.variable.grad().defined() != frozen);
  }
}

// Every backbone takes the file of its classification network, which keeps its features elsewhere.
TEST_CASE("The file of a classification network starts the backbone of a segmentation network") {
  const TemporaryFolder folder;
  const std::string path = folder / "imagenet.safetensors";
  struct Pair {
    const char *classifier, *network, *backbone;
  };
  for (const auto& [classifier, network, backbone] : {Pair{"resnet50", "deeplabv3_resnet50", ""},
                                                      {"mobilenet_v3_large", "lraspp_mobilenet_v3_large", ""},
                                                      {"vgg16", "fcn8s", ""},
                                                      {"vgg16_bn", "unet", "vgg16_bn"},
                                                      {"mobilenet_v2", "unet", "mobilenet_v2"}}) {
    CAPTURE(classifier, network);
    const auto source = trained(small(classifier));
    write_safetensors(path, layers::state_dict(*source));
    nets::ModelOptions o = small(network);
    o.backbone = backbone;
    o.backbone_weights = path;
    const auto net = nets::make_model(o, 2);
    const std::string own = source->backbone_prefix(), theirs = net->backbone_prefix();
    const TensorFile got = file_of(*net), want = file_of(*source);
    int64_t compared = 0;
    for (const auto& [name, t] : got.tensors) {
      if (!name.starts_with(theirs)) continue;
      ++compared;
      if (t.dtype() == DType::f32) CHECK(difference(t, want.at(own + name.substr(theirs.size()))) == 0);
    }
    CHECK(compared > 20);
  }
}

// At full width that is 134.3 of its 134.4 million parameters; the backbone alone is 14.7 million.
TEST_CASE("All of FCN on VGG16 but the scores starts from the whole classification network") {
  const TemporaryFolder folder;
  const std::string path = folder / "vgg16.safetensors";
  const auto source = trained(small("vgg16"));
  write_safetensors(path, layers::state_dict(*source));
  const auto net = nets::make_model(small("fcn16s"), 2);
  const nets::ImportReport report = nets::import_weights(*net, path, {});
  CHECK(report.load.misshaped.empty());
  CHECK(report.load.missing == std::vector<std::string>{"score_fr.weight", "score_fr.bias",
                                                        "score_pool4.weight", "score_pool4.bias"});
  CHECK(report.load.unexpected == std::vector<std::string>{"classifier.6.weight", "classifier.6.bias"});
  // In files both are channel by channel, so the numbers stay where they are.
  const TensorFile want = file_of(*source), got = file_of(*net);
  for (const auto& [today, before] : {std::pair{"fc6", "classifier.0"}, {"fc7", "classifier.3"}}) {
    const Tensor weight = want.at(fmt::format("{}.weight", before));
    const Tensor filters = got.at(fmt::format("{}.weight", today));
    CHECK(difference(filters.reshape(weight.shape()), weight) == 0);
    CHECK(difference(got.at(fmt::format("{}.bias", today)), want.at(fmt::format("{}.bias", before))) == 0);
  }
  CHECK(difference(got.at("features.28.bias"), want.at("features.28.bias")) == 0);
}

TEST_CASE("PSPNet takes the ImageNet files of its authors, whose deep stem has names of its own") {
  const TemporaryFolder folder;
  const std::string path = folder / "deep_stem.safetensors";
  nets::ModelOptions o = small("resnet50");
  o.stem = nets::StemKind::deep;
  const auto source = trained(o);
  NamedTensors tensors = layers::state_dict(*source);
  int64_t old = 0;
  for (auto& [name, t] : tensors) {
    for (const auto& [today, before] : {std::pair<std::string, std::string>{"layer0.0.", "conv1."},
                                        {"layer0.1.", "bn1."},
                                        {"layer0.3.", "conv2."},
                                        {"layer0.4.", "bn2."},
                                        {"layer0.6.", "conv3."},
                                        {"layer0.7.", "bn3."}}) {
      if (!name.starts_with(today)) continue;
      name = before + name.substr(today.size());
      ++old;
      break;
    }
  }
  REQUIRE(old == 3 * (1 + 5));
  write_safetensors(path, tensors);
  const TensorFile want = file_of(*source);
  for (const char* network : {"pspnet", "deeplabv3_resnet50"}) {
    CAPTURE(network);
    nets::ModelOptions options = small(network);
    options.stem = nets::StemKind::deep;
    const auto net = nets::make_model(options, 2);
    const nets::ImportReport report = nets::import_weights(*net, path, {.backbone_only = true});
    CHECK(report.load.missing.empty());
    CHECK(report.load.misshaped.empty());
    const std::string own = net->backbone_prefix();
    for (const auto& [name, t] : file_of(*net).tensors) {
      if (net->in_backbone(name) && t.dtype() == DType::f32)
        CHECK(difference(t, want.at(name.substr(own.size()))) == 0);
    }
  }
  // A plain stem has a conv1 and a bn1 as well; they are not those of a deep one.
  o.stem = nets::StemKind::plain;
  write_safetensors(path, layers::state_dict(*trained(o)));
  const auto net = nets::make_model(small("pspnet"), 2);
  const nets::ImportReport report = nets::import_weights(*net, path, {.backbone_only = true});
  CHECK(std::count(report.load.missing.begin(), report.load.missing.end(), "layer0.1.weight") == 1);
}

// What segmentation_models_pytorch wrote before 0.5, when the decoder of DeepLab v3 was a sequence.
TEST_CASE("Older names of smp's DeepLab v3 are taken for today's") {
  const TemporaryFolder folder;
  const std::string path = folder / "old_names.safetensors";
  nets::ModelOptions o = small("deeplabv3");
  o.form = nets::NetworkForm::smp;
  o.backbone = "resnet18";
  const auto source = trained(o);
  NamedTensors tensors = layers::state_dict(*source);
  int64_t old = 0;
  for (auto& [name, t] : tensors) {
    for (const auto& [today, before] : {std::pair<std::string, std::string>{"decoder.aspp.", "decoder.0."},
                                        {"decoder.conv.", "decoder.1."},
                                        {"decoder.bn.", "decoder.2."}}) {
      if (!name.starts_with(today)) continue;
      name = before + name.substr(today.size());
      ++old;
    }
  }
  REQUIRE(old == 6 * 6 + 6);  // convolution and norm of five branches, the projection and the 3x3
  write_safetensors(path, tensors);
  const auto net = nets::make_model(o, 2);
  const nets::ImportReport report = nets::import_weights(*net, path, {});
  CHECK(report.load.complete());
  CHECK(static_cast<int64_t>(report.renamed.size()) == old);
  const TensorFile want = file_of(*source);
  for (const auto& [name, t] : file_of(*net).tensors) {
    if (t.dtype() == DType::f32) CHECK(difference(t, want.at(name)) == 0);
  }
}

TEST_CASE("A network that classifies whole images is refused where pixels are labelled") {
  const auto net = nets::make_model(small("resnet18"), 1);
  CHECK_FALSE(net->labels_pixels());
  const Tensor image = Tensor::zeros({20, 20, 3}, DType::u8);
  try {
    eval::predict_labels(*net, image, {}, {});
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::config);
    CHECK_THAT(e.what(), Contains("resnet18, which classifies whole images"));
  }
}
