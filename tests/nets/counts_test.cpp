// Sizes of networks against independent counts: PyTorch models of the same networks, instantiated and
// counted.
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "layers/network_graph.h"
#include "layers/receptive_field.h"
#include "nets/factory.h"
#include "train/config.h"

using namespace atrous;
using nlohmann::json;

namespace {

// Every row of param_counts.json: counts, and either `model`, the section of a config that gives that
// network, or `not_implemented`, why there is none.
json rows() {
  std::ifstream file(ATROUS_SOURCE_DIR "/tests/nets/param_counts.json");
  return json::parse(file);
}

nets::ModelOptions options_of(const json& model) {
  return train::parse_config(json{{"model", model}}.dump(), "param_counts.json", {}).model;
}

struct Counts {
  int64_t parameters = 0, buffers = 0, buffer_elements = 0, entries = 0;
};

Counts count(const layers::Model& net) {
  Counts c;
  net.visit([&](const std::string&, const Variable* parameter, const Tensor* buffer) {
    ++c.entries;
    if (parameter) c.parameters += parameter->value().numel();
    if (buffer) {
      ++c.buffers;
      c.buffer_elements += buffer->numel();
    }
  });
  return c;
}

// Shapes alone, without memory.
std::shared_ptr<layers::Model> on_meta(const json& model) {
  const layers::BuildDeviceGuard guard(Device::meta);
  return nets::build_network(options_of(model));
}

}  // namespace

TEST_CASE("Parameters, buffers, state_dict entries and MACs are those of the PyTorch networks") {
  int64_t compared = 0;
  for (const json& row : rows()) {
    INFO(row.at("name"));
    // No row may be left out in silence.
    CHECK(row.contains("model") != row.contains("not_implemented"));
    if (!row.contains("model")) continue;
    ++compared;
    const auto net = on_meta(row["model"]);
    const Counts c = count(*net);
    CHECK(c.parameters == row["parameters"]);
    CHECK(c.buffers == row["buffers"]);
    CHECK(c.buffer_elements == row["buffer_elements"]);
    CHECK(c.entries == row["entries"]);
    net->eval();
    const NoGradGuard no_tape;
    if (!row.contains("macs")) continue;
    const int64_t height = row["input"][0], width = row["input"][1];
    const Shape image{1, height, width, net->in_channels()};
    const layers::RecordedPass pass = layers::record_pass(*net, image);
    if (pass.output >= 0) CHECK(pass.result.logits.dim(3) == net->num_classes());
    CHECK(pass.macs() == row["macs"]);
  }
  std::printf("%lld of %zu networks of param_counts.json are implemented\n", static_cast<long long>(compared),
              rows().size());
  CHECK(compared > 0);
}

TEST_CASE("Receptive fields are those that the papers' arithmetic gives") {
  const auto field = [](const json& model, int64_t size) {
    const auto net = on_meta(model);
    net->eval();
    const NoGradGuard no_tape;
    const layers::RecordedPass pass = layers::record_pass(*net, {1, size, size, net->in_channels()});
    return layers::ReceptiveField(pass.graph, pass.input).of(pass.output).value();
  };
  // Five levels of two 3x3 give 1 + 2*2*(1+2+4+8+16) + 2*2*(8+4+2+1) + pools (1+2+4+8) = 200 by the usual
  // sum; but a 2x2 up-convolution reads one position, not two, so which of them is a matter of the position's
  // remainder.
  const layers::LayerField unet = field(
      {{"name", "unet"}, {"num_classes", 2}, {"in_channels", 1}, {"padding", "valid"}, {"norm", "none"}},
      572);
  CHECK(!unet.whole);
  CHECK(!unet.clipped);
  CHECK(unet.smallest == 188);
  CHECK(unet.largest == 204);
  CHECK(unet.jump == 1);
  // VGG16 with fc6 sees 404 pixels (Long et al., table 1); the deconvolution of stride 32 adds one score.
  CHECK(field({{"name", "fcn32s"}, {"num_classes", 21}}, 224 * 4).largest == 404 + 32);
}

TEST_CASE("MACs of a CRF: Gaussian and lattice filters, weights and compatibility of every iteration") {
  const auto macs = [](const json& model) {
    const auto net = on_meta(model);
    net->eval();
    const NoGradGuard no_tape;
    return layers::record_pass(*net, {1, 64, 64, 3}).macs();
  };
  json model = {{"name", "unet"}, {"num_classes", 3}, {"base_width", 8}, {"depth", 3}};
  const int64_t without = macs(model);
  model["crf_as_rnn"] = {{"iterations", 10}};
  constexpr int64_t pixels = 64 * 64, classes = 3, corners = 6;
  constexpr int64_t filters = 2 * 33 + 2 * corners;  // per value: sigma 3 has 33 taps along an axis
  // Each iteration filters the classes and has three matrices of classes; the normalisation filters ones
  // once.
  CHECK(macs(model) - without == 10 * pixels * classes * (filters + 3 * classes) + pixels * filters);
}
