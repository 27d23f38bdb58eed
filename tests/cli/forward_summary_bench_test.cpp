// `atrous forward`, `summary` and `bench`: what scripts read from them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/device_runtime.h"
#include "core/safetensors.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/cli/program.h"
#include "train/config.h"

using namespace atrous;
using namespace atrous::cli_test;
using Catch::Contains;

namespace {

const char* const tiny = R"({"model": {"name": "unet", "num_classes": 3, "base_width": 4, "depth": 2}})";

struct Files {
  TemporaryFolder folder;
  std::string config = folder.path("config.json"), input = folder.path("in.safetensors"),
              output = folder.path("out.safetensors");

  Files() {
    write_text(config, tiny);
    const Tensor image = Tensor::empty({2, 3, 8, 12});
    for (int64_t i = 0; i < image.numel(); ++i)
      image.data<float>()[i] = static_cast<float>(i % 17) / 17 - 0.5f;
    const Tensor gradient = Tensor::full({2, 3, 8, 12}, 0.01);
    write_safetensors(input, {{"input", image}, {"grad_logits", gradient}});
  }
  Outcome forward(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"forward", "--config", config, "--input",
                                          input,     "--output", output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

}  // namespace

TEST_CASE("forward writes logits, with --backward every gradient in the shape of what it belongs to") {
  const Files f;
  REQUIRE(f.forward().code == 0);
  TensorFile result = read_safetensors(f.output);
  CHECK(result.tensors.size() == 1);
  CHECK(result.at("logits").shape() == Shape({2, 3, 8, 12}));
  REQUIRE(f.forward({"--backward", "--train-mode"}).code == 0);
  result = read_safetensors(f.output);
  CHECK(result.at("logits").shape() == Shape({2, 3, 8, 12}));
  CHECK(result.at("grad_input").shape() == Shape({2, 3, 8, 12}));
  const Outcome summary = run({"summary", "--config", f.config, "--input-size", "8x12", "--json", "-"});
  REQUIRE(summary.code == 0);
  int parameters = 0;
  const auto description = nlohmann::json::parse(summary.out);
  for (const auto& item : description["state_dict"]) {
    if (item["kind"] != "parameter") continue;
    ++parameters;
    const Tensor& gradient = result.at("grad." + item["name"].get<std::string>());
    const auto shape = item["shape"].get<std::vector<int64_t>>();
    CHECK(std::equal(shape.begin(), shape.end(), gradient.shape().begin(), gradient.shape().end()));
  }
  CHECK(parameters > 0);
  CHECK(result.tensors.size() == static_cast<size_t>(parameters) + 2);
}

TEST_CASE("forward: wrong inputs have codes of their own, and the old output stays") {
  const Files f;
  write_text(f.output, "kept");
  CHECK(run({"forward", "--config", f.config}).code == 2);
  CHECK(f.forward({"--set", "model.name=unnet"}).code == 3);
  CHECK(f.forward({"--set", "model.in_channels=1"}).code == 4);
  CHECK(f.forward({"--weights", f.config}).code == 5);  // a file, but no weights
  write_safetensors(f.input, {{"image", Tensor::zeros({1, 3, 8, 8})}});
  const Outcome o = f.forward();
  CHECK(o.code == 4);
  CHECK_THAT(o.err, Contains("\"input\" is needed") || Contains("named \"input\""));
  CHECK(read_text(f.output) == "kept");
}

TEST_CASE("summary has the keys that scripts read") {
  const Files f;
  const Outcome o = run({"summary", "--config", f.config, "--input-size", "16x24", "--json", "-"});
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  for (const char* key :
       {"model", "network", "input", "output", "parameters", "trainable_parameters", "buffers",
        "buffer_elements", "macs", "receptive_field", "output_stride", "memory", "state_dict", "layers"}) {
    CAPTURE(key);
    CHECK(j.contains(key));
  }
  CHECK(j["input"] == nlohmann::json({1, 3, 16, 24}));
  CHECK(j["output"] == nlohmann::json({1, 3, 16, 24}));
  int64_t elements = 0;
  for (const auto& item : j["state_dict"]) {
    int64_t n = 1;
    for (const auto& d : item["shape"]) n *= d.get<int64_t>();
    if (item["kind"] == "parameter") elements += n;
  }
  CHECK(j["parameters"] == elements);
  CHECK(j["memory"]["training"]["total"].get<int64_t>() > j["memory"]["inference"]["total"].get<int64_t>());
  CHECK(run({"summary", "--config", f.config, "--input-size", "16"}).code == 2);
  CHECK(run({"summary", "--config", f.folder.path("none.json")}).code == 3);
}

TEST_CASE("bench: JSON of one small case; filters that match nothing or are none") {
  const Outcome o = run({"bench", "kernels", "--filter", "^dropout", "--repeats", "2", "--json", "-"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  for (const char* key : {"threads", "isa", "repeats", "peak_gflops", "peak_gbytes", "cases"}) {
    CAPTURE(key);
    CHECK(j.contains(key));
  }
  REQUIRE(j["cases"].size() >= 1);
  CHECK(j["cases"][0]["op"] == "dropout");
  CHECK(j["cases"][0]["timings"][0]["median_s"].get<double>() > 0);
  CHECK(run({"bench", "kernels", "--filter", "no such case"}).code == 2);
  CHECK(run({"bench", "kernels", "--filter", "("}).code == 2);
  CHECK(run({"bench", "nets", "--filter", "no such case"}).code == 2);
}

TEST_CASE("bench nets: memory and the profile of a step, in the table and as JSON") {
  const Files f;
  const std::string json = f.folder.path("bench.json");
  const Outcome o = run({"bench", "nets", "--filter", "fcn8s_resnet18 train batch 1", "--repeats", "1",
                         "--profile", "--json", json});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK_THAT(o.out, Contains("fcn8s_resnet18") && Contains("MiB") && Contains("conv2d.backward_weight"));
  const auto net = nlohmann::json::parse(read_text(json))["nets"].at(0);
  // At least parameters, gradients and momenta lie in memory.
  CHECK(net["memory_bytes"].get<int64_t>() > 3 * 4 * net["parameters"].get<int64_t>());
  const auto& profile = net["profile"];
  double shares = 0;
  std::vector<std::string> seen;
  for (const auto& op : profile["ops"]) {
    shares += op["share"].get<double>();
    seen.push_back(op["op"]);
    CAPTURE(op.dump());
    CHECK(op["calls"].get<int64_t>() >= 1);
    if (seen.back() == "conv2d.backward_weight") CHECK(op["gflops"].get<double>() > 0);
  }
  CHECK(shares > 0.5);
  CHECK(shares <= 1);
  CHECK(profile["outside_s"].get<double>() == Approx((1 - shares) * profile["step_s"].get<double>()));
  // What entries run, updates of what they read among them, and what autograd does.
  for (const char* op :
       {"conv2d.forward", "batch_norm.update_running", "optimizer_step.step", "autograd.add"}) {
    CAPTURE(op);
    CHECK(std::ranges::count(seen, op) >= 1);
  }
  const Outcome device = run({"bench", "nets", "--device", "sim", "--profile"});
  CHECK(device.code == 2);
  CHECK_THAT(device.err, Contains("[--profile]"));
}

TEST_CASE("bench nets --peers: what the other side says about itself") {
  const Files f;
  const std::string python = f.folder.path("python");
  const auto bench_with = [&](const std::string& script) {
    write_text(python, "#!/bin/sh\n[ \"$1\" = -c ] && exit 0\n" + script);
    std::filesystem::permissions(python, std::filesystem::perms::owner_all);
    return run({"bench", "nets", "--filter", "fcn8s_resnet18 infer batch 1", "--repeats", "1", "--peers",
                "--json", "-"},
               {"ATROUS_PYTHON=" + python});
  };
  const Outcome none = bench_with("echo 'none: it lacks a library'\n");
  INFO(none.err);
  REQUIRE(none.code == 0);
  const auto alone = nlohmann::json::parse(none.out)["nets"].at(0);
  CHECK(alone["peer"].is_null());
  CHECK_THAT(none.err, Contains("no peer: it lacks a library"));

  const Outcome other = bench_with("echo 'Peer 1'; echo 7\n");
  CHECK(other.code == 1);
  CHECK_THAT(other.err, Contains("must be the same network. Got 7 parameters"));

  const std::string parameters = std::to_string(alone["parameters"].get<int64_t>());
  const Outcome peer = bench_with("echo 'Peer 1'; echo " + parameters +
                                  "\nwhile read what; do [ $what = step ] && echo 100 || echo 4096; done\n");
  INFO(peer.err);
  REQUIRE(peer.code == 0);
  const auto net = nlohmann::json::parse(peer.out)["nets"].at(0);
  CHECK(net["peer"] == "Peer 1");
  CHECK(net["peer_memory_bytes"] == 4096);
  CHECK(net["peer_median_s"] == 100);
  CHECK(net["peer_over_own"].get<double>() == Approx(100 / net["median_s"].get<double>()));
}

TEST_CASE("bench: devices that are not there, and what does not go with one, are refused with the reason") {
  for (const char* what : {"kernels", "nets"}) {
    CAPTURE(what);
    if (why_unavailable(Device::cuda)) {
      const Outcome o = run({"bench", what, "--device", "cuda"});
      CHECK(o.code == 2);
      CHECK_THAT(o.err,
                 Contains("[--device] cuda cannot be used") && Contains(why_unavailable(Device::cuda)));
    }
    const Outcome unknown = run({"bench", what, "--device", "gpu"});
    CHECK(unknown.code == 2);
    CHECK_THAT(unknown.err, Contains("the devices are cpu, cuda and sim"));
    const Outcome peers = run({"bench", what, "--device", "sim", "--peers"});
    CHECK(peers.code == 2);
    CHECK_THAT(peers.err, Contains("[--peers]") && Contains("sim"));
  }
  const Outcome dtype = run({"bench", "kernels", "--filter", "unet", "--dtype", "bf16"});
  CHECK(dtype.code == 2);
  CHECK(dtype.out == "");
  CHECK_THAT(dtype.err, Contains("[--dtype] the CPU computes in f32. Got bf16"));
  const Outcome math = run({"bench", "nets", "--math", "tf32"});
  CHECK(math.code == 2);
  CHECK_THAT(math.err, Contains("the CPU has f32 and bf16"));
}

TEST_CASE("forward does not replace its input") {
  Files f;
  f.output = f.input;
  const Outcome outcome = f.forward();
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Contains("must not replace the input"));
  CHECK(read_safetensors(f.input).find("input"));
}

TEST_CASE("features: maps and their means by name, and what is refused") {
  Files f;
  const std::string weights = f.folder.path("w.safetensors"), first = f.folder.path("a.ppm"),
                    second = f.folder.path("b.ppm");
  REQUIRE(f.forward().code == 0);
  const std::string config = f.folder.path("net.json");
  write_text(config, R"({"model": {"name": "resnet18", "num_classes": 5, "width_multiplier": 0.0625},
                          "data": {"image_height": 33, "image_width": 40}})");
  const auto net = nets::make_network(train::load_config(config, {}).model, 4);
  write_safetensors(weights, layers::state_dict(*net));
  for (const std::string& name : {first, second})
    write_text(name, "P6 40 33 255\n" + std::string(40 * 33 * 3, name == first ? '\x20' : '\x90'));
  const auto features = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"features", "--config", config,  "--weights",
                                          weights,    "--output", f.output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  REQUIRE(features({"--layer", "layer2.1", "--layer", "fc", first, second}).code == 0);
  const TensorFile maps = read_safetensors(f.output);
  REQUIRE(maps.tensors.size() == 4);
  const Tensor& map = maps.at("layer2.1/" + second);
  CHECK(map.shape() == Shape{8, 5, 5});
  CHECK(maps.at("fc/" + first).shape() == Shape{5, 1, 1});
  CHECK(nlohmann::json::parse(maps.metadata.at("images")) == nlohmann::json({first, second}));

  REQUIRE(features({"--layer", "layer2.1", "--pool", first, second}).code == 0);
  const Tensor means = read_safetensors(f.output).at("layer2.1");
  REQUIRE(means.shape() == Shape{2, 8});
  for (int64_t c = 0; c < 8; ++c) {
    double sum = 0;
    for (int64_t p = 0; p < 25; ++p) sum += static_cast<double>(map.data<float>()[c * 25 + p]);
    CHECK(means.data<float>()[8 + c] == Approx(sum / 25).margin(1e-6));
  }

  // Without a size the network sees what `predict` shows it.
  REQUIRE(
      features({"--set", "data.image_height=0", "--set", "data.image_width=0", "--set", "eval.short_side=64",
                "--set", "eval.crop=48", "--layer", "layer4.1", "--layer", "layer4.1", first, first})
          .code == 0);
  const TensorFile view = read_safetensors(f.output);
  REQUIRE(view.tensors.size() == 1);
  CHECK(view.tensors[0].second.shape() == Shape{32, 2, 2});

  const Outcome unknown = features({"--layer", "layer2.7", first});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err,
             Contains("Got \"layer2.7\"") && Contains("layer4.1.conv2") && Contains("Did you mean"));
  const Outcome broken = features({"--layer", "fc", first, f.config});
  CHECK(broken.code == 4);
  CHECK_THAT(broken.err, Contains("1 of 2 were refused"));
  CHECK(read_safetensors(f.output).tensors.size() == 1);
}
