// Classification networks, and their weights as a start for others.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "core/random.h"
#include "eval/inference.h"
#include "layers/state_dict.h"
#include "nets/factory.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

nets::ModelOptions small(const std::string& name, double width = 0.0625) {
  nets::ModelOptions o;
  o.name = name;
  o.num_classes = 5;
  o.width_multiplier = width;
  return o;
}

Tensor noise(const Shape& shape, uint64_t stream) {
  const Tensor t = Tensor::empty(shape);
  const CounterRng rng(3, stream);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = static_cast<float>(rng.normal(static_cast<uint64_t>(i)));
  return t;
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

double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(double{a.data<float>()[i]} - double{b.data<float>()[i]}));
  return worst;
}

}  // namespace

TEST_CASE("Weights of ordinary batch norm load into a frozen one, which then never changes") {
  for (const char* name : {"resnet18", "mobilenet_v3_large"}) {
    INFO(name);
    nets::ModelOptions o = small(name);
    const auto ordinary = trained(o);
    o.backbone_norm = "frozen";
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
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("atrous_imagenet_{}.safetensors", ::getpid()))
          .string();
  for (const auto& [classifier, network] : {std::pair{"resnet50", "deeplabv3_resnet50"},
                                            {"mobilenet_v3_large", "lraspp_mobilenet_v3_large"},
                                            {"vgg16", "fcn8s"}}) {
    CAPTURE(classifier, network);
    const auto source = trained(small(classifier));
    write_safetensors(path, layers::state_dict(*source));
    nets::ModelOptions o = small(network);
    o.backbone_weights = path;
    const auto net = nets::make_model(o, 2);
    std::filesystem::remove(path);
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
