// `atrous import-weights` and `export-weights`.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/safetensors.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "nets/start_weights.h"
#include "tests/cli/program.h"
#include "tests/core/pytorch_files.h"
#include "tests/same_bits.h"
#include "train/config.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

const char* const fcn =
    R"({"model": {"name": "fcn8s", "num_classes": 3, "backbone": "resnet18", "width_multiplier": 0.125},
                            "data": {"class_names": ["sky", "road", "car"]}, "seed": 9})";

// A checkpoint, and what export-weights makes of it.
struct Exported {
  TemporaryFolder folder;
  std::string config = folder.path("c.json"), weights = folder.path("w.safetensors"),
              file = folder.path("f.safetensors");
  explicit Exported(bool backbone = false) {
    write_text(config, fcn);
    // Weights without a config: those of the seed, through a partial import of a single tensor.
    const std::string one = folder.path("one.safetensors");
    write_safetensors(one, {{"score5.bias", Tensor::full({3}, 0.5)}});
    REQUIRE(
        run({"import-weights", "--config", config, "--input", one, "--output", weights, "--partial"}).code ==
        0);
    std::vector<std::string> arguments = {"export-weights", "--weights", weights, "--output", file};
    if (backbone) arguments.push_back("--backbone");
    REQUIRE(run(arguments).code == 0);
  }
};

TensorFile renamed(TensorFile file, const std::string& from, const std::string& to) {
  for (auto& [name, t] : file.tensors) {
    if (name.starts_with(from)) name = to + name.substr(from.size());
  }
  return file;
}

// The tensors as a PyTorch file; with `odd` as a complex tensor of one element.
std::string pytorch_file(const TensorFile& file, const std::string& key = "", const std::string& odd = "") {
  std::vector<std::pair<std::string, std::string>> items;
  std::vector<test::Storage> storages;
  for (const auto& [name, t] : file.tensors) {
    const std::string number = std::to_string(storages.size());
    const bool complex = name == odd, counter = t.dtype() == DType::i64;
    const std::vector<int64_t> shape(t.shape().begin(), t.shape().end());
    items.emplace_back(name, complex ? test::tensor(number, {1}, "ComplexFloatStorage")
                                     : test::tensor(number, shape, counter ? "LongStorage" : "FloatStorage"));
    storages.push_back({number, complex ? std::string(8, '\0')
                                        : std::string(reinterpret_cast<const char*>(t.raw()), t.bytes())});
  }
  const std::string weights = test::dict(items);
  return test::zip_file(
      key.empty() ? weights : test::dict({{"epoch", test::integer(3)}, {key, weights}, {"teacher", weights}}),
      storages);
}

}  // namespace

TEST_CASE("PyTorch files are weights everywhere, and equal to the same tensors as safetensors") {
  const Exported e;
  const TensorFile file = read_safetensors(e.file);
  const std::string plain = e.folder.path("plain.pth"), nested = e.folder.path("nested.bin"),
                    out = e.folder.path("out.safetensors"), in = e.folder.path("in.safetensors");
  write_text(plain, pytorch_file(renamed(file, "", "module.")));
  write_text(nested, pytorch_file(file, "ema"));
  const auto import = [&](const std::string& input) {
    return run({"import-weights", "--config", e.config, "--input", input, "--output", out, "--json", "-"});
  };
  const Outcome imported = import(plain);
  REQUIRE(imported.code == 0);
  CHECK(nlohmann::json::parse(imported.out)["prefix"] == "module.");
  CHECK(read_text(out) == read_text(e.weights));
  // Several dictionaries: one must be named, in the same way everywhere.
  const Outcome unclear = import(nested);
  CHECK(unclear.code == 5);
  CHECK_THAT(unclear.err,
             Contains("2 dictionaries of tensors: \"ema\", \"teacher\"") && Contains("nested.bin#ema"));
  const Outcome chosen = import(nested + "#ema");
  REQUIRE(chosen.code == 0);
  CHECK_THAT(chosen.err, Contains("those under \"ema\""));
  CHECK(read_text(out) == read_text(e.weights));
  nets::ModelOptions start = train::parse_config(fcn, "test", {}).model;
  start.weights = nested + "#teacher";
  const auto network = nets::make_network(start, 7);
  CHECK(same_bits(TensorFile{{}, layers::state_dict(*network), ""}.at("score5.weight"),
                  file.at("score5.weight")));
  write_safetensors(in, {{"input", Tensor::full({1, 3, 9, 9}, 0.5)}});
  const auto forward = [&](const std::string& weights) {
    const std::string to = e.folder.path("result.safetensors");
    REQUIRE(
        run({"forward", "--config", e.config, "--weights", weights, "--input", in, "--output", to}).code ==
        0);
    return read_text(to);
  };
  CHECK(forward(nested + "#ema") == forward(e.file));
  CHECK(forward(plain) == forward(e.file));
  CHECK_THAT(run({"predict", "--weights", plain, "--out", out, "x.png"}).err,
             Contains("Give one with --config"));
}

TEST_CASE("A tensor that cannot be read is an error where the network needs it, and nowhere else") {
  const Exported e;
  TensorFile file = read_safetensors(e.file);
  const std::string input = e.folder.path("odd.pth"), out = e.folder.path("out.safetensors");
  const auto import = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"import-weights", "--config", e.config, "--input", input,
                                          "--output",       out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  // Also under another network's name for its features.
  write_text(input, pytorch_file(renamed(file, "backbone.", "encoder."), "", "encoder.conv1.weight"));
  Outcome o = import({"--partial"});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("\"backbone.conv1.weight\" is of type c64"));
  write_text(input, pytorch_file(file, "", "score5.bias"));
  CHECK(import({"--partial"}).code == 5);
  CHECK(import({"--backbone"}).code == 0);
  o = run({"predict", "--weights", input, "--config", e.config, "--out", out, "x.png"});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("score5.bias is of type c64"));
  file.tensors.emplace_back("unused", Tensor::zeros({1}));
  write_text(input, pytorch_file(file, "", "unused"));
  CHECK(import({}).code == 0);
}

TEST_CASE("A PyTorch file that would run code is refused by every command, by name") {
  const Exported e;
  const std::string input = e.folder.path("hostile.pth"), out = e.folder.path("out.safetensors");
  write_text(input, test::zip_file(test::call(test::global("os", "system"),
                                              {test::text("touch " + e.folder.path("ran"))})));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"import-weights", "--config", e.config, "--input", input, "--output", out},
        {"predict", "--weights", input, "--config", e.config, "--out", out, "x.png"},
        {"weights", "show", input}}) {
    const Outcome o = run(command);
    CHECK(o.code == 5);
    CHECK_THAT(o.err, Contains("this file would run code: os.system"));
  }
  CHECK(!std::filesystem::exists(e.folder.path("ran")));
  CHECK(!std::filesystem::exists(out));
}

TEST_CASE("weights show lists tensors, and says what the file looks like") {
  const Exported e;
  TensorFile file = read_safetensors(e.file);
  const std::string input = e.folder.path("w.pth");
  write_text(input, pytorch_file(file, "state_dict", "score5.bias"));
  Outcome o = run({"weights", "show", input + "#state_dict", "--json", "-"});
  REQUIRE(o.code == 0);
  const auto json = nlohmann::json::parse(o.out);
  CHECK(json["container"] == "PyTorch (zip)");
  CHECK(json["dictionary"] == "state_dict");
  CHECK(json["dictionaries"] == nlohmann::json({"state_dict", "teacher"}));
  REQUIRE(json["tensors"].size() == file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const auto& [name, t] = file.tensors[i];
    const auto& row = json["tensors"][i];
    CHECK(row["name"] == name);
    if (name == "score5.bias") {
      CHECK(row["dtype"] == "c64");
      CHECK(row["problem"] == "of type c64, which atrous does not have");
      continue;
    }
    CHECK(row["dtype"] == name_of(t.dtype()));
    CHECK(row["shape"].get<std::vector<int64_t>>() ==
          std::vector<int64_t>(t.shape().begin(), t.shape().end()));
    CHECK(row["bytes"] == t.bytes());
  }
  CHECK_THAT(o.err, Contains("not read: of type c64"));
  o = run({"weights", "show", e.file});
  CHECK(o.code == 0);
  CHECK_THAT(o.out, Contains("safetensors") && Contains("score5.weight") && Contains("[3, 64, 1, 1]"));
  o = run({"weights", "show", e.weights});
  CHECK_THAT(o.out, Contains("a checkpoint of atrous") && Contains("metadata atrous.config"));
  // A classification network by its names.
  write_text(input, pytorch_file(renamed(file, "backbone.", "")));
  CHECK_THAT(run({"weights", "show", input}).out,
             Contains("looks like: torchvision or timm backbone, resnet18"));
}

TEST_CASE("What export-weights writes is the state_dict alone, and import-weights takes it back bit by bit") {
  const Exported e;
  const TensorFile out = read_safetensors(e.file);
  CHECK(out.metadata.size() == 1);
  CHECK(out.at("score5.bias").data<float>()[1] == 0.5f);
  CHECK(out.at("backbone.conv1.weight").shape() == Shape{8, 3, 7, 7});
  CHECK(out.find("backbone.bn1.num_batches_tracked") != nullptr);
  const std::string again = e.folder.path("again.safetensors"), second = e.folder.path("second.safetensors");
  const Outcome imported = run({"import-weights", "--config", e.config, "--input", e.file, "--output", again,
                                "--set", "seed=77", "--json", "-"});
  REQUIRE(imported.code == 0);
  const auto report = nlohmann::json::parse(imported.out);
  CHECK(report["complete"] == true);
  CHECK(report["loaded"].size() == out.tensors.size());
  REQUIRE(run({"export-weights", "--weights", again, "--output", second}).code == 0);
  CHECK(read_text(second) == read_text(e.file));
}

TEST_CASE("import-weights knows wrapped, older and classification networks' names") {
  const Exported e;
  const std::string other = e.folder.path("other.safetensors"), checkpoint = e.folder.path("o.safetensors");
  const auto import = [&](const TensorFile& file, const std::vector<std::string>& more) {
    write_safetensors(other, file.tensors);
    std::vector<std::string> arguments = {"import-weights", "--config", e.config, "--input", other,
                                          "--output",       checkpoint};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const TensorFile file = read_safetensors(e.file);
  CHECK(import(renamed(file, "", "module."), {}).code == 0);
  CHECK(import(renamed(file, "backbone.", "encoder."), {}).code == 0);
  // A recipe's own start is no input: the file need not be there.
  CHECK(import(renamed(file, "", "module."), {"--set", "model.weights=absent.safetensors"}).code == 0);
  TensorFile classifier = renamed(file, "backbone.", "");
  std::erase_if(classifier.tensors, [](const auto& t) { return t.first.starts_with("score"); });
  classifier.tensors.emplace_back("fc.weight", Tensor::zeros({10, 64}));
  const Outcome backbone = import(classifier, {"--backbone", "--json", "-"});
  CHECK(backbone.code == 0);
  const auto report = nlohmann::json::parse(backbone.out);
  CHECK(report["renamed"][0]["to"] == "backbone." + report["renamed"][0]["from"].get<std::string>());
  CHECK(report["not_needed"].empty());
  // As a config says it; `forward` looks at the network alone, and needs no start.
  nets::ModelOptions start = train::parse_config(fcn, "test", {}).model;
  start.backbone_weights = other;
  const std::string name = "backbone.conv1.weight";
  const auto network = nets::make_network(start, 7);
  const Tensor started = TensorFile{{}, layers::state_dict(*network), ""}.at(name);
  CHECK(started.shape() == file.at(name).shape());
  CHECK(std::equal(started.raw(), started.raw() + started.bytes(), file.at(name).raw()));
  const std::string in = e.folder.path("in.safetensors");
  write_safetensors(in, {{"input", Tensor::zeros({1, 3, 9, 9})}});
  const Outcome forward = run({"forward", "--config", e.config, "--set", "model.weights=absent.safetensors",
                               "--input", in, "--output", e.folder.path("out.safetensors")});
  CHECK(forward.code == 0);
  CHECK_THAT(forward.err, Contains("model.weights are not read"));
  // Two names of one tensor: nobody knows which is meant.
  TensorFile twice = file;
  twice.tensors.emplace_back("encoder.conv1.weight", file.at(name).clone());
  for (auto& [tensor, t] : twice.tensors) {
    if (tensor.starts_with("backbone.") && tensor != name) tensor = "encoder." + tensor.substr(9);
  }
  const Outcome both = import(twice, {});
  CHECK(both.code == 5);
  CHECK_THAT(both.err, Contains("one tensor in the file") && Contains("encoder.conv1.weight"));
  // Wrappers around older names.
  CHECK(import(renamed(renamed(file, "backbone.", "encoder."), "", "module.model."), {}).code == 0);
  CHECK(nets::current_name("rpn.head.conv.weight") == "rpn.head.conv.0.0.weight");
  CHECK(nets::current_name("backbone.fpn.inner_blocks.2.bias") == "backbone.fpn.inner_blocks.2.0.bias");
  CHECK(nets::current_name("roi_heads.mask_head.mask_fcn3.weight") == "roi_heads.mask_head.2.0.weight");
  CHECK(nets::current_name("down2.mpconv.1.conv.4.weight") == "down2.maxpool_conv.1.double_conv.4.weight");
  CHECK(nets::current_name("decoder.0.convs.4.1.weight") == "decoder.aspp.convs.4.1.weight");
  CHECK(nets::current_name("decoder.1.weight") == "decoder.conv.weight");
  CHECK(nets::current_name("decoder.2.running_var") == "decoder.bn.running_var");
  CHECK(nets::current_name("decoder.10.weight") == "decoder.10.weight");
  CHECK(nets::current_name("layer1.0.conv1.weight") == "layer1.0.conv1.weight");
}

TEST_CASE("A checkpoint made by import-weights names its classes and predicts") {
  const Exported e;
  CHECK_THAT(read_safetensors(e.weights).metadata.at("atrous.classes"), Contains("road"));
  // Those of a known set need not be given, nor must its files be there.
  const std::string camvid = e.folder.path("camvid.safetensors");
  REQUIRE(
      run({"import-weights", "--config", e.config, "--input", e.file, "--output", camvid, "--partial",
           "--set", "data.class_names=[]", "--set", "data.dataset=camvid", "--set", "model.num_classes=11"})
          .code == 0);
  CHECK_THAT(read_safetensors(camvid).metadata.at("atrous.classes"), Contains("bicyclist"));
}

TEST_CASE("import-weights refuses what does not fit, and writes nothing") {
  const Exported e;
  const std::string out = e.folder.path("none.safetensors");
  const auto import = [&](const std::string& input, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"import-weights", "--config", e.config, "--input", input,
                                          "--output",       out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome o = run(arguments);
    CHECK(!std::filesystem::exists(out));
    return o;
  };
  Outcome o = import(e.file, {"--set", "model.num_classes=4", "--set", "data.class_names=[]"});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("6 of another shape"));
  CHECK_THAT(o.err, Contains("--partial"));
  CHECK_THAT(o.out, Contains("score5.weight: [3, 64, 1, 1] in the file, [4, 64, 1, 1] in the network"));
  const std::string strange = e.folder.path("strange.safetensors");
  write_safetensors(strange, {{"something", Tensor::zeros({2})}});
  o = import(strange, {"--partial"});
  CHECK(o.code == 5);
  CHECK_THAT(o.err, Contains("nothing in the file fits") && Contains("something"));
  CHECK(import(e.folder.path("absent.safetensors")).code == 5);
  o = run({"export-weights", "--weights", e.weights, "--output", e.weights});
  CHECK(o.code == 2);
  CHECK_THAT(o.err, Contains("must not replace"));
}

TEST_CASE("Weights that do not fit: the message says what they look like, and what to do") {
  const Exported e;
  const auto use = [&](const std::string& weights, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"predict", "--weights",          weights,
                                          "--out",   e.folder.path("out"), "x.png"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const Outcome stored = use(e.weights, {"--set", "model.width_multiplier=0.25"});
  CHECK(stored.code == 5);
  CHECK_THAT(stored.err, Contains("backbone resnet18, width_multiplier 0.125") &&
                             Contains("leave out the overrides") && !Contains("kept as initialised"));
  const std::string four = e.folder.path("four.json");
  write_text(four, R"({"model": {"name": "fcn8s", "num_classes": 4, "backbone": "resnet18",
                       "width_multiplier": 0.125}})");
  const Outcome other = use(e.weights, {"--config", four});
  CHECK(other.code == 5);
  CHECK_THAT(other.err, Contains("is of num_classes 3") && Contains("leave out --config"));
  // A run's folder stands for its best weights, and its config is named where the file has none.
  std::filesystem::create_directories(e.folder.path("run/checkpoints"));
  CHECK_THAT(use(e.folder.path("run"), {}).err, Contains("checkpoints/best.safetensors"));
  const std::string best = e.folder.path("run/checkpoints/best.safetensors");
  std::filesystem::copy_file(e.file, best);
  std::filesystem::copy_file(e.config, e.folder.path("run/config.json"));
  CHECK_THAT(use(e.folder.path("run"), {}).err, Contains("--config") && Contains("run/config.json"));
  CHECK(run({"export-weights", "--weights", e.folder.path("run"), "--config", e.config, "--output",
             e.folder.path("again.safetensors")})
            .code == 0);
}

TEST_CASE("export-weights --backbone has the names of a classification network") {
  const Exported e(true);
  const TensorFile out = read_safetensors(e.file);
  CHECK(out.find("conv1.weight") != nullptr);
  CHECK(out.find("score5.weight") == nullptr);
  const Outcome o = run({"import-weights", "--config", e.config, "--input", e.file, "--output",
                         e.folder.path("b.safetensors"), "--backbone"});
  CHECK(o.code == 0);
}
