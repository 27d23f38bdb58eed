// EfficientNets: padding, stochastic depth, options, and files of other programs.
#include <catch2/catch.hpp>

#include "core/safetensors.h"
#include "layers/state_dict.h"
#include "nets/backbone.h"
#include "nets/efficientnet_names.h"
#include "nets/file_schemes.h"
#include "nets/start_weights.h"
#include "tests/core/tensors.h"
#include "tests/nets/tiny_models.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using core_test::difference;
using core_test::noise;
using nets_test::tiny_options;

namespace {

nets::BackboneOptions lite0() {
  nets::BackboneOptions o;
  o.name = "efficientnet_lite0";
  o.last_conv = false;
  o.norm = layers::NormKind::frozen;
  return o;
}

// Networks without memory: names and shapes.
nets::RowCounts rows_of(const layers::Module& network, const std::string& prefix) {
  nets::RowCounts rows;
  network.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Shape& s = parameter ? parameter->value().shape() : buffer->shape();
    rows[prefix + name] = s.rank() > 0 ? s[0] : -1;
  });
  return rows;
}

std::shared_ptr<layers::Model> on_meta(const std::string& model) {
  const layers::BuildDeviceGuard guard(Device::meta);
  return nets::build_network(tiny_options(model));
}

// torchvision's or efficientnet-pytorch's names for a tiny network of ours, written out by hand for the
// blocks that are compared.
void write_as(const std::string& path, const layers::Module& network,
              const std::vector<std::pair<std::string, std::string>>& names) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, t] : layers::state_dict(network)) {
    for (const auto& [own, theirs] : names) {
      if (name.starts_with(own)) tensors.emplace_back(theirs + name.substr(own.size()), t);
    }
  }
  write_safetensors(path, tensors);
}

std::string import_error(const layers::Model& network, const std::string& path) {
  try {
    nets::import_weights(network, path, {});
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::checkpoint);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("EfficientNet: at even sizes TensorFlow's padding is at the end alone") {
  for (const auto padding : {nets::ConvPadding::tensorflow, nets::ConvPadding::symmetric}) {
    nets::BackboneOptions o = lite0();
    o.in_channels = 1;
    o.norm_eps = 0;
    o.conv_padding = padding;
    const auto net = nets::make_backbone(o);
    net->initialise(1);
    net->eval();
    // The stem picks the tap in the corner.
    for (const layers::NamedParameter& p : net->parameters()) {
      if (p.name != "conv_stem.weight") continue;
      p.variable.value().fill(0);
      for (int64_t k = 0; k < 32; ++k) p.variable.value().data<float>()[k * 9] = 1;
    }
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{6, 8}, {7, 5}, {6, 5}}) {
      CAPTURE(padding, height, width);
      const Tensor image = Tensor::empty({1, height, width, 1});
      for (int64_t i = 0; i < image.numel(); ++i) image.data<float>()[i] = 0.01f * static_cast<float>(i + 1);
      const Tensor y = net->forward(Variable(image), 2)[1].value().contiguous_copy_if_needed();
      CHECK(y.dim(1) == (height + 1) / 2);
      CHECK(y.dim(2) == (width + 1) / 2);
      const bool same = padding == nets::ConvPadding::tensorflow;
      const int64_t top = same && height % 2 == 0 ? 0 : 1, left = same && width % 2 == 0 ? 0 : 1;
      for (int64_t i = 0; i < y.dim(1); ++i) {
        for (int64_t j = 0; j < y.dim(2); ++j) {
          const int64_t row = 2 * i - top, column = 2 * j - left;
          const float expected =
              row < 0 || column < 0 ? 0.0f : 0.01f * static_cast<float>(row * width + column + 1);
          CHECK(y.data<float>()[(i * y.dim(2) + j) * 32] == Approx(expected).margin(1e-6));
        }
      }
    }
  }
}

// The first block with a shortcut is the last of map 2: y = x + f(x), in training x or x + f(x) / (1 - p).
TEST_CASE("EfficientNet: stochastic depth drops blocks image by image, and keeps the mean") {
  nets::BackboneOptions o = lite0();
  o.drop_path = 0.99;
  const double p = o.drop_path * 2 / 16;  // the third of sixteen blocks
  const auto net = nets::make_backbone(o);
  net->initialise(1);
  constexpr int64_t images = 64;
  const Tensor one = noise({1, 32, 32, 3}, 5);
  const Tensor batch = Tensor::empty({images, 32, 32, 3});
  for (int64_t i = 0; i < images; ++i)
    std::copy_n(one.data<float>(), one.numel(), batch.data<float>() + i * one.numel());
  net->eval();
  const Tensor whole = net->forward(Variable(batch), 2)[2].value();
  net->train();
  const auto trained = [&](uint64_t step) {
    net->set_random_key({7, step});
    return net->forward(Variable(batch), 2)[2].value().clone();
  };
  const Tensor y = trained(1);
  CHECK(difference(y, trained(1)) == 0);
  CHECK(difference(y, trained(2)) > 0);
  const int64_t size = y.numel() / images;
  const auto at = [&](const Tensor& t, int64_t image, int64_t i) {
    return static_cast<double>(t.data<float>()[image * size + i]);
  };
  // Images that lost the block differ from those that have it.
  std::vector<int64_t> groups[2];
  for (int64_t n = 0; n < images; ++n) {
    double apart = 0;
    for (int64_t i = 0; i < size; ++i) apart = std::max(apart, std::abs(at(y, n, i) - at(y, 0, i)));
    groups[apart > 1e-6].push_back(n);
  }
  REQUIRE(!groups[0].empty());
  REQUIRE(!groups[1].empty());
  const auto& [kept, dropped] =
      groups[0].size() > groups[1].size() ? std::pair(groups[0], groups[1]) : std::pair(groups[1], groups[0]);
  CHECK(dropped.size() < images / 3);
  for (int64_t i = 0; i < size; ++i) {
    const double x = at(y, dropped[0], i), f = at(whole, 0, i) - x;
    CHECK(at(y, kept[0], i) == Approx(x + f / (1 - p)).margin(1e-4));
  }
}

TEST_CASE("EfficientNet: options that a backbone lacks are refused") {
  const auto message = [](const std::string& model) -> std::string {
    try {
      nets::build_network(tiny_options(model));
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::config);
      return e.what();
    }
    return "";
  };
  using Catch::Contains;
  CHECK_THAT(message(R"({"name": "unet", "backbone": "resnet18", "conv_padding": "symmetric"})"),
             Contains("[model.conv_padding] resnet18 has only one form of padding"));
  CHECK_THAT(message(R"({"name": "unet", "backbone": "resnet18", "drop_path": 0.2})"),
             Contains("[model.drop_path] resnet18 has no stochastic depth"));
  CHECK_THAT(message(R"({"name": "unet", "backbone": "vgg16", "norm_eps": 0.001})"),
             Contains("[model.norm_eps] vgg16 has no norm"));
  CHECK_THAT(message(R"({"name": "deeplabv3", "backbone": "efficientnet_b0", "multi_grid": [1, 2, 4]})"),
             Contains("[model.multi_grid] efficientnet_b0"));
  CHECK_THAT(message(R"({"name": "maskrcnn_resnet50_fpn", "num_classes": 2, "norm_eps": 0.001})"),
             Contains("model.detection.backbone_norm_eps"));
  CHECK_THAT(message(R"({"name": "maskrcnn_resnet50_fpn", "num_classes": 2, "backbone": "efficientnet_b0",
                         "detection": {"backbone_norm_eps": 0}})"),
             Contains("is an option of ResNets"));
  CHECK_THAT(message(R"({"name": "maskrcnn_resnet50_fpn", "num_classes": 2, "backbone": "vgg16_bn"})"),
             Contains("needs a backbone with maps of strides 4 to 32"));
  CHECK(message(R"({"name": "unet", "backbone": "mobilenet_v2", "norm_eps": 0.001})").empty());
}

TEST_CASE("EfficientNet: every size is recognised by its blocks and channels") {
  for (const nets::EfficientNetForm& form : nets::efficientnet_forms()) {
    CAPTURE(form.name);
    const auto classifier = on_meta(fmt::format(R"({{"name": "{}", "num_classes": 7}})", form.name));
    CHECK(nets::efficientnet_names(rows_of(*classifier, ""), "").value().form == &form);
    const auto unet = on_meta(fmt::format(R"({{"name": "unet", "backbone": "{}"}})", form.name));
    CHECK(nets::efficientnet_names(rows_of(*unet, ""), "encoder.").value().form == &form);
    std::vector<StoredTensor> stored;
    for (const auto& [name, rows] : rows_of(*unet, "module.")) {
      StoredTensor& t = stored.emplace_back();
      t.name = name;
      if (rows >= 0) t.shape = {static_cast<uint64_t>(rows)};
    }
    CHECK(nets::describe_scheme(stored) ==
          fmt::format("segmentation_models_pytorch U-Net, {}, 3 classes", form.name));
  }
  const auto half = on_meta(R"({"name": "efficientnet_b0", "width_multiplier": 0.5})");
  CHECK(nets::efficientnet_names(rows_of(*half, ""), "").value().form == nullptr);
}

TEST_CASE("EfficientNet: names of torchvision and efficientnet-pytorch become the network's") {
  nets::RowCounts torchvision, pytorch;
  for (const char* name :
       {"features.0.0.weight", "features.0.1.bias", "features.1.0.block.0.0.weight",
        "features.1.0.block.1.fc2.bias", "features.1.0.block.2.1.running_mean",
        "features.3.1.block.1.0.weight", "features.3.1.block.2.fc1.weight", "features.7.0.block.3.1.weight",
        "features.8.0.weight", "features.8.1.weight", "classifier.1.bias"})
    torchvision[std::string("encoder.") + name] = 8;
  const auto vision = nets::efficientnet_names(torchvision, "encoder.");
  REQUIRE(vision);
  CHECK(vision->padding == nets::ConvPadding::symmetric);
  const std::map<std::string, std::string> expected = {
      {"encoder.features.0.0.weight", "conv_stem.weight"},
      {"encoder.features.0.1.bias", "bn1.bias"},
      {"encoder.features.1.0.block.0.0.weight", "blocks.0.0.conv_dw.weight"},
      {"encoder.features.1.0.block.1.fc2.bias", "blocks.0.0.se.conv_expand.bias"},
      {"encoder.features.1.0.block.2.1.running_mean", "blocks.0.0.bn2.running_mean"},
      {"encoder.features.3.1.block.1.0.weight", "blocks.2.1.conv_dw.weight"},
      {"encoder.features.3.1.block.2.fc1.weight", "blocks.2.1.se.conv_reduce.weight"},
      {"encoder.features.7.0.block.3.1.weight", "blocks.6.0.bn3.weight"},
      {"encoder.features.8.0.weight", "conv_head.weight"},
      {"encoder.features.8.1.weight", "bn2.weight"},
      {"encoder.classifier.1.bias", "classifier.bias"}};
  CHECK(vision->own == expected);
  // One list of blocks: 16, 24, 24 and 40 channels are three stages.
  const int64_t channels[] = {16, 24, 24, 40};
  for (size_t i = 0; i < std::size(channels); ++i) {
    pytorch[fmt::format("_blocks.{}._project_conv.weight", i)] = channels[i];
    pytorch[fmt::format("_blocks.{}._bn1.bias", i)] = 4;
  }
  for (const char* name : {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_bn1.weight", "_fc.bias",
                           "_blocks.2._se_expand.bias", "_blocks.3._bn0.weight", "_blocks.9._bn0.weight"})
    pytorch[name] = 8;
  const auto list = nets::efficientnet_names(pytorch, "");
  REQUIRE(list);
  CHECK(list->padding == nets::ConvPadding::tensorflow);
  const auto& own = list->own;
  CHECK(own.at("_conv_stem.weight") == "conv_stem.weight");
  CHECK(own.at("_bn1.weight") == "bn2.weight");
  CHECK(own.at("_fc.bias") == "classifier.bias");
  CHECK(own.at("_blocks.0._project_conv.weight") == "blocks.0.0.conv_pw.weight");
  CHECK(own.at("_blocks.0._bn1.bias") == "blocks.0.0.bn1.bias");
  CHECK(own.at("_blocks.1._bn1.bias") == "blocks.1.0.bn2.bias");
  CHECK(own.at("_blocks.2._se_expand.bias") == "blocks.1.1.se.conv_expand.bias");
  CHECK(own.at("_blocks.3._bn0.weight") == "blocks.2.0.bn1.weight");
  CHECK_FALSE(own.contains("_blocks.9._bn0.weight"));
}

TEST_CASE("EfficientNet: weights of another size, padding or eps are refused") {
  using Catch::Contains;
  const TemporaryFolder folder;
  const auto b1 = nets::make_model(tiny_options(R"({"name": "efficientnet_b1", "num_classes": 3})"), 1);
  const std::string path = folder / "b1.safetensors";
  write_safetensors(path, layers::state_dict(*b1));
  const auto unet = [](const std::string& options) {
    return nets::make_model(
        tiny_options(R"({"name": "unet", "num_classes": 3, "backbone": )" + options + "}"), 1);
  };
  // All names and shapes of b0 are in it.
  CHECK_THAT(import_error(*unet(R"("efficientnet_b0")"), path),
             Contains("Got efficientnet_b1 for efficientnet_b0"));
  CHECK_THAT(import_error(*unet(R"("efficientnet_lite1")"), path),
             Contains("Got efficientnet_b1 for efficientnet_lite1"));
  const auto fits = unet(R"("efficientnet_b1")");
  CHECK(import_error(*fits, path).empty());
  const TensorFile want = read_safetensors(path);
  for (const layers::NamedParameter& p : fits->parameters()) {
    if (p.name == "encoder.blocks.3.2.conv_pwl.weight")
      CHECK(difference(layers::to_file_layout(p.variable.value()), want.at("blocks.3.2.conv_pwl.weight")) ==
            0);
  }
  // The same network under torchvision's names.
  const std::string theirs = folder / "torchvision.safetensors";
  write_as(theirs, *b1,
           {{"conv_stem.", "features.0.0."},
            {"blocks.0.0.conv_dw.", "features.1.0.block.0.0."},
            {"conv_head.", "features.8.0."}});
  CHECK_THAT(
      import_error(*unet(R"("efficientnet_b1")"), theirs),
      Contains("weights of torchvision are for model.conv_padding \"symmetric\" and model.norm_eps 1e-05. "
               "Got \"tensorflow\" and 0.001"));
  CHECK_THAT(import_error(*unet(R"("efficientnet_b1", "conv_padding": "symmetric")"), theirs),
             Contains("Got \"symmetric\" and 0.001"));
  const auto symmetric = unet(R"("efficientnet_b1", "conv_padding": "symmetric", "norm_eps": 1e-5)");
  CHECK(nets::import_weights(*symmetric, theirs, {}).load.loaded.size() == 3);
}

TEST_CASE("EfficientNet: smp's efficientnet-b0 starts the encoder, its decoder fits nothing") {
  const TemporaryFolder folder;
  const auto net = nets::make_model(
      tiny_options(R"({"name": "unet", "num_classes": 3, "backbone": "efficientnet_b0"})"), 1);
  std::vector<std::pair<std::string, std::string>> names = {{"encoder.conv_stem.", "encoder._conv_stem."},
                                                            {"encoder.bn1.", "encoder._bn0."},
                                                            {"decoder.", "decoder."}};
  int64_t index = 0;
  const std::vector<int64_t> repeats = nets::find_efficientnet("efficientnet_b0")->repeats();
  for (size_t s = 0; s < repeats.size(); ++s) {
    for (int64_t b = 0; b < repeats[s]; ++b, ++index) {
      const std::string own = fmt::format("encoder.blocks.{}.{}.", s, b),
                        theirs = fmt::format("encoder._blocks.{}.", index);
      names.emplace_back(own + "conv_dw.", theirs + "_depthwise_conv.");
      names.emplace_back(own + "se.conv_reduce.", theirs + "_se_reduce.");
      names.emplace_back(own + (s == 0 ? "conv_pw." : "conv_pwl."), theirs + "_project_conv.");
      if (s > 0) names.emplace_back(own + "conv_pw.", theirs + "_expand_conv.");
    }
  }
  const std::string path = folder / "smp.safetensors";
  write_as(path, *net, names);
  CHECK_THAT(import_error(*net, path), Catch::Contains("Load its encoder alone"));
  const nets::ImportReport report = nets::import_weights(*net, path, {.backbone_only = true});
  CHECK(report.load.unexpected.empty());
  CHECK(report.renamed.size() == report.load.loaded.size());
  CHECK(report.notes.size() == 1);
}
