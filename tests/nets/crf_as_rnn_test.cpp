// Networks with a CRF behind them (model.crf_as_rnn).
#include "layers/crf_as_rnn.h"

#include <catch2/catch.hpp>
#include <set>

#include "core/safetensors.h"
#include "layers/pad.h"
#include "layers/state_dict.h"
#include "nets/start_weights.h"
#include "tests/core/tensors.h"
#include "tests/nets/tiny_models.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;
using core_test::difference;
using core_test::noise;
using nets_test::tiny_options;

namespace {

nets::ModelOptions with_crf(const char* model, const layers::CrfAsRnnOptions& crf = {}) {
  nets::ModelOptions o = tiny_options(model);
  o.crf_as_rnn = crf;
  return o;
}

std::shared_ptr<layers::SegmentationModel> built(const nets::ModelOptions& options) {
  const auto net = nets::build_model(options);
  net->initialise(5);
  return net;
}

constexpr const char* plain_unet = R"({"name": "unet", "base_width": 2, "depth": 3, "num_classes": 21})";

std::string refusal(const nets::ModelOptions& options) {
  try {
    nets::build_network(options);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::config);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("A CRF adds 3 x 21 x 21 parameters and leaves the network's names") {
  const auto plain = built(tiny_options(plain_unet)), crf = built(with_crf(plain_unet));
  const auto before = plain->parameters(), after = crf->parameters();
  REQUIRE(after.size() == before.size() + 3);
  int64_t added = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    if (i < before.size()) {
      CHECK(after[i].name == before[i].name);
      CHECK(difference(after[i].variable.value(), before[i].variable.value()) == 0);  // the same random start
    } else {
      CHECK(after[i].name.starts_with("crf."));
      added += after[i].variable.value().numel();
    }
  }
  CHECK(added == 1323);
}

TEST_CASE("Weights of the network without CRF start the one with it") {
  const TemporaryFolder folder;
  const std::string file = folder / "plain.safetensors";
  const auto plain = built(tiny_options(plain_unet)), crf = nets::build_model(with_crf(plain_unet));
  write_safetensors(file, layers::state_dict(*plain));
  crf->initialise(6);
  const nets::ImportReport report = nets::import_weights(*crf, file, {});
  CHECK(std::set<std::string>(report.load.missing.begin(), report.load.missing.end()) ==
        std::set<std::string>{"crf.gaussian_weight", "crf.bilateral_weight", "crf.compatibility"});
  CHECK_THAT(report.str(), Contains("crf.compatibility"));
  CHECK(report.load.unexpected.empty());
  const auto before = plain->parameters(), after = crf->parameters();
  for (size_t i = 0; i < before.size(); ++i)
    CHECK(difference(after[i].variable.value(), before[i].variable.value()) == 0);
  CHECK(after.back().variable.value().data<float>()[0] == -1);
}

TEST_CASE("The CRF sees the region that the logits describe, in 0..255") {
  for (const char* model : {R"({"name": "unet", "base_width": 2, "depth": 2, "padding": "valid"})",
                            R"({"name": "pspnet", "backbone": "resnet18", "width_multiplier": 0.0625,
                                "aux_loss": true})"}) {
    INFO(model);
    layers::CrfAsRnnOptions o;
    o.iterations = 2, o.bilateral_xy = 9;
    o.mean = {0.4, 0.5, 0.6}, o.std = {0.1, 0.2, 0.3};
    const auto plain = built(tiny_options(model)), crf = built(with_crf(model, o));
    plain->eval();
    crf->eval();
    const NoGradGuard no_tape;
    const Variable image(noise({2, 44, 52, 3}, 3));
    const layers::SegmentationOutput a = plain->forward(image), b = crf->forward(image);
    const layers::Region& r = a.region;
    CHECK(b.region.top == r.top);
    CHECK(b.logits.shape() == Shape{2, r.height, r.width, 3});
    CHECK(a.aux.defined() == b.aux.defined());
    const Tensor seen = layers::crop(image, r.top, r.left, r.height, r.width).value().clone();
    for (int64_t i = 0; i < seen.numel(); ++i) {
      const auto c = static_cast<size_t>(i % 3);
      float& v = seen.data<float>()[i];
      v = static_cast<float>(255 * (static_cast<double>(v) * o.std[c] + o.mean[c]));
    }
    layers::CrfAsRnn layer(3, 3, o);
    layer.initialise(1);
    const Variable expected =
        layers::crf_as_rnn(layers::full_resolution_logits(a), layers::CrfKernels(seen, o), layer.weights, 2);
    CHECK(difference(b.logits.value(), expected.value()) < 1e-3);
    CHECK(difference(b.logits.value(), layers::full_resolution_logits(a).value()) > 0.1);
  }
}

TEST_CASE("Scores of several scales learn beside the CRF's") {
  const auto net = built(with_crf(R"({"name": "deeplabv2", "backbone": "resnet18", "width_multiplier": 0.0625,
                                      "input_scales": [1, 0.5]})"));
  net->train();
  const layers::SegmentationOutput out = net->forward(Variable(noise({1, 33, 33, 3}, 4)));
  CHECK(out.more.size() == 2);
  CHECK(out.logits.dim(1) == 33);
}

TEST_CASE("A CRF can be frozen alone") {
  nets::ModelOptions o = with_crf(plain_unet);
  o.freeze = {"crf."};
  for (const layers::NamedParameter& p : nets::build_model(o)->parameters())
    CHECK(p.variable.requires_grad() == !p.name.starts_with("crf."));
}

TEST_CASE("Where a CRF makes no sense") {
  CHECK_THAT(refusal(with_crf(R"({"name": "resnet18", "width_multiplier": 0.0625})")),
             Contains("[model.crf_as_rnn]") && Contains("classifies whole images"));
  CHECK_THAT(refusal(with_crf(nets_test::tiny_detectors[0])),
             Contains("[model.crf_as_rnn]") && Contains("is a detection model"));
  CHECK_THAT(refusal(with_crf(R"({"name": "unet", "base_width": 2, "depth": 2, "in_channels": 4})")),
             Contains("Got model.in_channels = 4"));
  CHECK_THAT(refusal(with_crf(R"({"name": "unet", "base_width": 2, "depth": 2, "num_classes": 1})")),
             Contains("at least two classes"));
}
