// `atrous bench nets`: whole networks, inference and training step, beside PyTorch's.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "cli/bench.h"
#include "cli/bench_timing.h"
#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "layers/losses.h"
#include "nets/factory.h"
#include "train/math.h"
#include "train/optimizer.h"

namespace atrous::cli {
namespace {

using Json = nlohmann::ordered_json;

struct NetCase {
  const char* network;  // as benchmarks/torch_nets.py calls it
  const char* model;
  const char* backbone;
  int64_t base_width;
  int64_t batch;
  bool on_gpu_only = false;
};

constexpr int64_t classes = 21;
constexpr int64_t side = 256;
constexpr NetCase nets[] = {{"unet32", "unet", "", 32, 1},
                            {"unet32", "unet", "", 32, 4},
                            {"unet32", "unet", "", 32, 16, true},
                            {"unet64", "unet", "", 64, 1, true},
                            {"unet64", "unet", "", 64, 4, true},
                            {"unet64", "unet", "", 64, 16, true},
                            {"fcn8s_resnet18", "fcn8s", "resnet18", 64, 1},
                            {"fcn8s_resnet18", "fcn8s", "resnet18", 64, 4}};

Tensor random_images(int64_t batch, uint64_t seed) {
  const Tensor t = Tensor::empty({batch, side, side, 3});
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

Tensor random_labels(int64_t batch, uint64_t seed) {
  const Tensor t = Tensor::empty({batch, side, side}, DType::u8);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, classes - 1));
  return t;
}

// One step as a closure that rotates through a few batches. They lie on the device: what is timed is the
// network.
std::function<double(int64_t)> own_step(const NetCase& net, bool training, const BenchOptions& bench) {
  const layers::BuildDeviceGuard build_on(bench.device);
  nets::ModelOptions options;
  options.name = net.model;
  options.backbone = net.backbone;
  options.base_width = net.base_width;
  options.num_classes = classes;
  std::shared_ptr<layers::SegmentationModel> model = nets::make_model(options, 1);
  train::Config config;
  config.math = bench.math;
  train::use_math(config, *model);
  model->train(training);
  std::vector<Tensor> images, labels;
  for (uint64_t i = 0; i < 4; ++i) {
    images.push_back(model->input_of(random_images(net.batch, i)));
    labels.push_back(random_labels(net.batch, i).to(bench.device));
  }
  if (!training) {
    return [model, images, device = bench.device](int64_t round) {
      return seconds_on(device, [&] {
        const NoGradGuard no_grad;
        layers::full_resolution_logits(
            model->forward(Variable(images[static_cast<size_t>(round) % images.size()])));
      });
    };
  }
  train::OptimizerOptions sgd;
  sgd.lr = 1e-3;
  auto optimizer = std::make_shared<train::Optimizer>(sgd, model->parameters(), nullptr,
                                                      /*bf16_copies=*/bench.math == "bf16");
  return [model, images, labels, optimizer, device = bench.device](int64_t round) {
    const size_t i = static_cast<size_t>(round) % images.size();
    return seconds_on(device, [&] {
      const Variable loss = layers::segmentation_loss(model->forward(Variable(images[i])), labels[i], {});
      backward(loss, Tensor::scalar(1, loss.dtype()));  // known here: no device is asked for it
      optimizer->step(1e-3);
    });
  };
}

Json measure(const NetCase& net, bool training, const BenchOptions& options) {
  const std::string mode = training ? "train" : "infer";
  std::vector<std::function<double(int64_t)>> contenders = {own_step(net, training, options)};
  std::unique_ptr<TorchPeer> peer;
  std::string why;
  if (options.peers) peer = TorchPeer::start(net.network, mode, net.batch, side, why);
  if (peer) contenders.push_back([&](int64_t) { return peer->step(); });
  const auto seconds = interleave(contenders, options.rounds());
  const Timing own = summarize(seconds[0]);
  Json j = {{"network", net.network}, {"mode", mode},     {"batch", net.batch}, {"size", side},
            {"median_s", own.median}, {"low_s", own.low}, {"high_s", own.high}};
  std::FILE* out = options.report.table();
  fmt::print(out, "{:<15} {:<6} batch {}  {:>9.1f} ms ({:.1f} - {:.1f})", net.network, mode, net.batch,
             1e3 * own.median, 1e3 * own.low, 1e3 * own.high);
  if (peer) {
    const Timing other = summarize(seconds[1]);
    std::vector<double> ratios;
    for (size_t k = 0; k < seconds[0].size(); ++k) ratios.push_back(seconds[1][k] / seconds[0][k]);
    const double ratio = quantile(ratios, 0.5);
    j["peer"] = peer->version();
    j["peer_median_s"] = other.median;
    j["peer_over_own"] = ratio;
    j["peer_over_own_quartiles"] = {quantile(ratios, 0.25), quantile(ratios, 0.75)};
    fmt::print(out, "  {} {:>9.1f} ms ({:.1f} - {:.1f})  atrous is {:.2f}x as fast ({:.2f} - {:.2f})",
               peer->version(), 1e3 * other.median, 1e3 * other.low, 1e3 * other.high, ratio,
               quantile(ratios, 0.25), quantile(ratios, 0.75));
  } else if (options.peers) {
    j["peer"] = nullptr;
    fmt::print(out, "  no peer: {}", why);
  }
  fmt::print(out, "\n");
  std::fflush(out);
  return j;
}

}  // namespace

void bench_nets(const BenchOptions& options) {
  std::regex filter;
  try {
    filter = std::regex(options.filter);
  } catch (const std::regex_error& e) {
    fail(ErrorKind::usage, "[--filter] must be a regular expression. Got \"{}\": {}.", options.filter,
         e.what());
  }
  const bool on_cpu = options.device == Device::cpu;
  ATROUS_CHECK(on_cpu || !options.peers, ErrorKind::usage,
               "[--peers] PyTorch runs on the CPU here. Got --device {}. Leave --peers out; "
               "scripts/gpu_check.sh compares on a GPU.",
               name_of(options.device));
  ATROUS_CHECK(!on_cpu || options.math == "f32", ErrorKind::usage,
               "[--math] the CPU computes in f32. Got {}. Choose a --device, or leave --math out.",
               options.math);
  const std::string machine = on_cpu ? fmt::format("{} threads, {}", num_threads(), name_of(cpu_isa()))
                                     : device_properties(options.device).name;
  fmt::print(options.report.table(),
             "{}, {}; {}x{}x3 in, {} classes; median (quartiles) of {} interleaved repeats\n", machine,
             options.math, side, side, classes, options.rounds());
  Json j = {{"device", name_of(options.device)},
            {"device_name", on_cpu ? "" : device_properties(options.device).name},
            {"math", options.math},
            {"threads", num_threads()},
            {"isa", name_of(cpu_isa())},
            {"repeats", options.rounds()},
            {"nets", Json::array()}};
  for (const NetCase& net : nets) {
    if (net.on_gpu_only && on_cpu) continue;
    for (bool training : {false, true}) {
      const std::string name =
          fmt::format("{} {} batch {}", net.network, training ? "train" : "infer", net.batch);
      if (std::regex_search(name, filter)) j["nets"].push_back(measure(net, training, options));
    }
  }
  ATROUS_CHECK(!j["nets"].empty(), ErrorKind::usage,
               "[--filter] must match a case such as \"unet32 train batch 4\". Got \"{}\".", options.filter);
  options.report.write_json(j.dump(2));
}

}  // namespace atrous::cli
