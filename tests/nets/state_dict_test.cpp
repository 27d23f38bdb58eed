#include "layers/state_dict.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "nets/factory.h"
#include "tests/same_bits.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

nets::ModelOptions small_unet(int64_t classes = 3, int64_t channels = 3) {
  nets::ModelOptions o;
  o.name = "unet";
  o.num_classes = classes;
  o.in_channels = channels;
  o.base_width = 4;
  o.depth = 3;
  return o;
}

TensorFile file_of(const layers::Module& m, const std::string& prefix = "") {
  TensorFile file;
  file.origin = "test";
  for (const auto& [name, t] : layers::state_dict(m)) file.tensors.emplace_back(prefix + name, t.clone());
  return file;
}

Tensor forward(layers::SegmentationModel& m, const Shape& shape) {
  const NoGradGuard no_tape;
  Tensor x = Tensor::empty(shape);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i % 17) / 8 - 1;
  return layers::full_resolution_logits(m.forward(Variable(x))).value();
}

}  // namespace

TEST_CASE("Files hold filters as K,C,R,S") {
  const Tensor t = Tensor::from<float>({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6});  // K,R,S,C
  const Tensor f = layers::to_file_layout(t);
  CHECK(f.shape() == Shape{1, 3, 2, 1});
  CHECK(same_bits(f, Tensor::from<float>({1, 3, 2, 1}, {1, 4, 2, 5, 3, 6})));
  CHECK(same_bits(layers::from_file_layout(f), t));
}

TEST_CASE("Saved weights load into an equal network, with a wrapper's prefix too") {
  const auto a = nets::make_model(small_unet(), 1), b = nets::make_model(small_unet(), 2),
             c = nets::make_model(small_unet(), 3);
  CHECK(layers::load_state_dict(*b, file_of(*a)).complete());
  const layers::LoadReport report = layers::load_state_dict(*c, file_of(*a, "module."));
  CHECK(report.stripped_prefix == "module.");
  for (const auto& m : {a, b, c}) m->eval();
  const Tensor expected = forward(*a, {1, 9, 11, 3});
  CHECK(same_bits(forward(*b, {1, 9, 11, 3}), expected));
  CHECK(same_bits(forward(*c, {1, 9, 11, 3}), expected));
}

TEST_CASE("Wrappers in wrappers are taken off one by one") {
  const auto a = nets::make_model(small_unet(), 1), b = nets::make_model(small_unet(), 2);
  CHECK(layers::load_state_dict(*b, file_of(*a, "module._orig_mod.model.")).stripped_prefix ==
        "module._orig_mod.model.");
  CHECK(same_bits(file_of(*b).at("outc.conv.weight"), file_of(*a).at("outc.conv.weight")));
}

TEST_CASE("What is said of refused weights does not say that something was kept") {
  const auto a = nets::make_model(small_unet(5), 1), b = nets::make_model(small_unet(3), 2);
  const layers::LoadReport fit = layers::compare_state_dict(*b, file_of(*a));
  CHECK_FALSE(fit.complete());
  CHECK_THAT(fit.str(layers::LoadReport::Outcome::refused),
             Contains("outc.conv.weight") && !Contains("initialised"));
  CHECK(layers::compare_state_dict(*b, file_of(*b)).complete());
}

TEST_CASE("A strict load refuses what does not fit and changes nothing") {
  const auto a = nets::make_model(small_unet(5), 1), b = nets::make_model(small_unet(3), 2);
  const TensorFile before = file_of(*b);
  CHECK_THROWS_WITH(layers::load_state_dict(*b, file_of(*a)),
                    Contains("outc.conv.weight: [5, 4, 1, 1] in the file, [3, 4, 1, 1]"));
  TensorFile renamed = file_of(*b);
  renamed.tensors[0].first = "elsewhere";
  CHECK_THROWS_WITH(layers::load_state_dict(*b, renamed), Contains("missing") && Contains("elsewhere"));
  for (const auto& [name, t] : layers::state_dict(*b)) CHECK(same_bits(t, before.at(name)));
}

TEST_CASE("A partial load keeps the head of another class count and says so") {
  const auto a = nets::make_model(small_unet(5), 1), b = nets::make_model(small_unet(3), 2);
  const Tensor head = file_of(*b).at("outc.conv.weight");
  const layers::LoadReport report = layers::load_state_dict(*b, file_of(*a), {.strict = false});
  CHECK(report.misshaped.size() == 2);
  CHECK(report.missing.empty());
  CHECK_THAT(report.str(), Contains("outc.conv.weight"));
  CHECK(same_bits(file_of(*b).at("outc.conv.weight"), head));
  CHECK(same_bits(file_of(*b).at("inc.double_conv.0.weight"), file_of(*a).at("inc.double_conv.0.weight")));
}

TEST_CASE("First filters are folded to other input channels") {
  const auto a = nets::make_model(small_unet(3, 3), 1), b = nets::make_model(small_unet(3, 1), 2);
  const auto report =
      layers::load_state_dict(*b, file_of(*a), {.strict = false, .fold_input_channels = true});
  CHECK(report.folded == std::vector<std::string>{"inc.double_conv.0.weight"});
  const Tensor from = file_of(*a).at("inc.double_conv.0.weight");
  CHECK(file_of(*b).at("inc.double_conv.0.weight").data<float>()[0] == 3 * from.data<float>()[0]);
}

TEST_CASE("Only the first convolution is folded") {
  const auto a = nets::make_model(small_unet(), 1), b = nets::make_model(small_unet(), 2);
  const std::string second = "inc.double_conv.3.weight";
  TensorFile file = file_of(*a);
  for (auto& [name, t] : file.tensors) {
    if (name == second) t = Tensor::full({4, 2, 3, 3}, 1);
  }
  const Tensor before = file_of(*b).at(second);
  const auto report = layers::load_state_dict(*b, file, {.strict = false, .fold_input_channels = true});
  CHECK(report.folded.empty());
  REQUIRE(report.misshaped.size() == 1);
  CHECK(report.misshaped[0].name == second);
  CHECK(same_bits(file_of(*b).at(second), before));
}

TEST_CASE("state_dict is a copy") {
  const auto net = nets::make_model(small_unet(), 1);
  const NamedTensors copy = layers::state_dict(*net);
  const TensorFile before = file_of(*net);
  for (const layers::NamedParameter& p : net->parameters()) p.variable.value().fill(7);
  for (const auto& [name, t] : copy) CHECK(same_bits(t, before.at(name)));
}

TEST_CASE("A wrapped classification network's file starts the backbone") {
  nets::ModelOptions o;
  o.name = "fcn32s";
  o.backbone = "resnet18";
  o.num_classes = 3;
  const auto a = nets::make_model(o, 1);
  NamedTensors tensors;
  for (const auto& [name, t] : layers::state_dict(*a)) {
    if (name.starts_with("backbone.")) tensors.emplace_back("module." + name.substr(9), t);
  }
  const TemporaryFolder folder;
  const std::string path = folder / "wrapped.safetensors";
  write_safetensors(path, tensors);
  o.weights = path;
  const auto b = nets::make_model(o, 2);
  const TensorFile want = file_of(*a), got = file_of(*b);
  for (const char* name : {"backbone.conv1.weight", "backbone.layer4.1.conv2.weight"})
    CHECK(same_bits(got.at(name), want.at(name)));
}

TEST_CASE("Start values depend on seed and name only") {
  const TensorFile a = file_of(*nets::make_model(small_unet(3), 7)),
                   b = file_of(*nets::make_model(small_unet(9), 7));
  CHECK(same_bits(a.at("down1.maxpool_conv.1.double_conv.3.weight"),
                  b.at("down1.maxpool_conv.1.double_conv.3.weight")));
  const TensorFile c = file_of(*nets::make_model(small_unet(3), 8));
  CHECK_FALSE(same_bits(a.at("inc.double_conv.0.weight"), c.at("inc.double_conv.0.weight")));
}

TEST_CASE("The output is as large as the input, for every small size") {
  const auto net = nets::make_model(small_unet(), 1);
  net->eval();
  for (int64_t h = 1; h <= 9; ++h) {
    for (int64_t w = 1; w <= 9; ++w) CHECK(forward(*net, {1, h, w, 3}).shape() == Shape{1, h, w, 3});
  }
}

TEST_CASE("Wrong model sections are refused with a remedy") {
  const auto message = [](auto&& change) {
    nets::ModelOptions o = small_unet();
    change(o);
    try {
      nets::make_model(o, 1);
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::config);
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(message([](auto& o) { o.name = "unett"; }), Contains("Did you mean \"unet\""));
  CHECK_THAT(message([](auto& o) { o.num_classes = 0; }), Contains("num_classes"));
  CHECK_THAT(message([](auto& o) { o.depth = 9; }), Contains("[model.depth] must be 2 to 8. Got 9"));
  CHECK_THAT(message([](auto& o) { o.in_channels = 257; }), Contains("[model.in_channels] must be 1 to 256"));
  CHECK_THAT(
      message([](auto& o) { o.backbone = "resnet18"; }),
      Contains("[model.base_width] is an option of network \"unet\". Got network \"unet with a backbone\""));
  CHECK_THAT(message([](auto& o) { o.freeze = {"encoder."}; }), Contains("model.freeze"));
  // Plain VGG layers have no norm; a config that gives one would train something else than it says.
  const auto on_vgg = [&](const char* name, const char* backbone, auto&& change) {
    return message([&](auto& o) {
      o = nets::ModelOptions();
      o.name = name;
      o.num_classes = 3;
      o.backbone = backbone;
      o.width_multiplier = 0.0625;
      change(o);
    });
  };
  const auto frozen_backbone = [](auto& o) { o.backbone_norm = layers::NormKind::frozen; };
  const auto group = [](auto& o) { o.norm = layers::NormKind::group; };
  for (const auto& [name, backbone] :
       {std::pair{"deeplabv2", "vgg16"}, {"fcn8s", ""}, {"fcn32s", "vgg16"}, {"vgg16", ""}, {"vgg19", ""}}) {
    CAPTURE(name, backbone);
    CHECK_THAT(on_vgg(name, backbone, frozen_backbone), Contains("[model.backbone_norm]"));
    CHECK_THAT(on_vgg(name, backbone, group), Contains("[model.norm]"));
    CHECK(on_vgg(name, backbone, [](auto& o) { o.norm = layers::NormKind::none; }) == "accepted");
  }
  CHECK_THAT(on_vgg("deeplabv1", "", group), Contains("[model.norm]"));
  CHECK_THAT(on_vgg("unet", "vgg16", frozen_backbone),
             Contains("[model.backbone_norm] vgg16 has no norm") && Contains("vgg16_bn"));
  CHECK_THAT(on_vgg("deeplabv3", "vgg19", frozen_backbone), Contains("vgg19_bn"));
  CHECK(on_vgg("unet", "vgg16", group) == "accepted");  // of the decoder
  CHECK(on_vgg("unet", "vgg16_bn", frozen_backbone) == "accepted");
  const auto smp_pspnet = [&](auto&& change) {
    return on_vgg("pspnet", "resnet18", [&](auto& o) {
      o.form = nets::NetworkForm::smp;
      change(o);
    });
  };
  CHECK(smp_pspnet([](auto&) {}) == "accepted");
  CHECK_THAT(smp_pspnet([](auto& o) { o.form = nets::NetworkForm::basic; }),
             Contains("[model.form] of pspnet"));
  CHECK_THAT(smp_pspnet([](auto& o) { o.aux_loss = true; }),
             Contains("[model.aux_loss] is an option of") && Contains("Got network \"pspnet of form smp\""));
  CHECK_THAT(smp_pspnet([](auto& o) { o.multi_grid = {1, 2}; }), Contains("[model.multi_grid]"));
  for (const auto form : {nets::NetworkForm::basic, nets::NetworkForm::vgg16, nets::NetworkForm::smp}) {
    CAPTURE(form);
    const auto segnet = [&](bool frozen) {
      return on_vgg("segnet", "", [&](auto& o) {
        o.form = form;
        if (frozen) frozen_backbone(o);
      });
    };
    if (form == nets::NetworkForm::smp) {
      CHECK_THAT(segnet(false), Contains("[model.form] of segnet") && Contains("Got \"smp\""));
    } else {
      CHECK(segnet(false) == "accepted");
    }
    if (form == nets::NetworkForm::basic)
      CHECK_THAT(segnet(true), Contains("[model.backbone_norm] is an option of"));
    if (form == nets::NetworkForm::vgg16) CHECK(segnet(true) == "accepted");
  }
  const auto deeplab = [&](auto&& change) { return on_vgg("deeplabv2", "vgg16", change); };
  CHECK_THAT(deeplab([](auto& o) { o.stem = nets::StemKind::deep; }),
             Contains("[model.stem] is an option of") && Contains("\"deeplabv2 on vgg16\""));
  CHECK_THAT(deeplab([](auto& o) { o.multi_grid = {1, 2}; }), Contains("[model.multi_grid] is an option of"));
  CHECK_THAT(smp_pspnet([](auto& o) { o.output_stride = 4; }), Contains("[model.output_stride]"));
  nets::ModelOptions fcn;
  fcn.name = "fcn8s";
  fcn.backbone = "resnet19";
  fcn.num_classes = 3;
  CHECK_THROWS_WITH(nets::make_model(fcn, 1), Contains("resnet18, resnet34"));
}
