// `atrous bench nets`: whole networks, inference and training step, compared with PyTorch's.
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>

#include "cli/bench.h"
#include "cli/bench_net_cases.h"
#include "cli/bench_profile.h"
#include "cli/bench_timing.h"
#include "cli/process_memory.h"
#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/terminal.h"

namespace atrous::cli {
namespace {

using Json = nlohmann::ordered_json;

// Weights and inputs for the peer, kept until it has read them.
class HandOver {
 public:
  explicit HandOver(const OwnNet& own)
      : path_((std::filesystem::temp_directory_path() /
               fmt::format("atrous-bench-{}.safetensors", static_cast<int64_t>(::getpid())))
                  .string()) {
    own.save(path_);
  }
  ~HandOver() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

std::unique_ptr<TorchPeer> start_peer(const NetCase& net, const std::string& mode, train::MathMode math,
                                      const OwnNet& own, std::string& why) {
  std::vector<std::string> arguments;
  for (const auto& [name, value] : {std::pair<const char*, std::string>{"--network", net.network},
                                    {"--mode", mode},
                                    {"--math", name_of(math)},
                                    {"--batch", std::to_string(net.batch)},
                                    {"--height", std::to_string(net.height)},
                                    {"--width", std::to_string(net.width)},
                                    {"--classes", std::to_string(net.classes)}}) {
    arguments.insert(arguments.end(), {name, value});
  }
  std::optional<HandOver> given;
  if (own.save) {
    given.emplace(own);
    arguments.insert(arguments.end(), {"--start", given->path()});
  }
  std::unique_ptr<TorchPeer> peer = TorchPeer::start(arguments, why);
  ATROUS_CHECK(!peer || peer->parameters() == own.parameters(), ErrorKind::internal,
               "[bench] the peer must be the same network. Got {} parameters for {} of {}. Correct "
               "benchmarks/torch_nets.py.",
               peer->parameters(), own.parameters(), net.network);
  return peer;
}

std::string mebibytes(int64_t bytes) {
  return bytes < 0 ? "?" : fmt::format("{:.0f}", static_cast<double>(bytes) / (1 << 20));
}

Json bytes_or_null(int64_t bytes) {
  return bytes < 0 ? Json(nullptr) : Json(bytes);
}

Json profile_json(const std::vector<OpProfile::Row>& rows, double step_seconds) {
  Json ops = Json::array();
  for (const OpProfile::Row& row : rows) {
    ops.push_back({{"op", row.entry},
                   {"implementation", row.implementation},
                   {"problem", row.problem},
                   {"calls", row.calls},
                   {"seconds", row.seconds},
                   {"share", row.seconds / step_seconds},
                   {"gflops", row.flops > 0 ? Json(row.flops / row.seconds * 1e-9) : nullptr}});
  }
  return {{"step_s", step_seconds}, {"outside_s", step_seconds - seconds_in_ops(rows)}, {"ops", ops}};
}

void profile_step(const OwnNet& own, const BenchOptions& options, Json& j) {
  std::vector<OpProfile::Row> rows;
  double seconds = 0;
  {
    const OpProfile profile;
    seconds = own.step(0);
    rows = profile.rows();
  }
  j["profile"] = profile_json(rows, seconds);
  print_profile(options.report.table(), rows, seconds);
}

Json measure(const NetCase& net, bool training, const BenchOptions& options) {
  const std::string mode = training ? "train" : "infer";
  MemoryGrowth memory;
  const OwnNet own = own_net(net, training, options);
  MemoryTraffic warmed_up;
  std::vector<std::function<double(int64_t)>> contenders = {[&](int64_t round) {
    const double seconds = own.step(round);
    if (round == 0) warmed_up = MemoryTraffic::so_far();
    return seconds;
  }};
  std::unique_ptr<TorchPeer> peer;
  std::string why;
  if (options.peers) peer = start_peer(net, mode, options.math, own, why);
  memory.restart();  // memory of what was written for the peer does not count for a step
  if (peer) contenders.push_back([&](int64_t) { return peer->step(); });
  const auto seconds = interleave(contenders, options.rounds());
  const MemoryTraffic traffic = MemoryTraffic::so_far() - warmed_up;
  const int64_t bytes = options.device == Device::cpu ? memory.peak() : -1;
  const Timing t = summarize(seconds[0]);
  Json j = {{"network", net.network},
            {"mode", mode},
            {"batch", net.batch},
            {"size", net.height},
            {"width", net.width},
            {"parameters", own.parameters()},
            {"median_s", t.median},
            {"low_s", t.low},
            {"high_s", t.high},
            {"memory_bytes", bytes_or_null(bytes)},
            {"system_requests", traffic.requests},
            {"page_faults", traffic.page_faults}};
  std::FILE* out = options.report.table();
  print_to(out, "{:<26} {:<5} batch {:<2} {:>9.1f} ms ({:.1f} - {:.1f})", net.network, mode, net.batch,
           1e3 * t.median, 1e3 * t.low, 1e3 * t.high);
  if (bytes >= 0) print_to(out, " {:>5} MiB", mebibytes(bytes));
  if (options.device == Device::cpu && traffic.requests > 0)
    print_to(out, " (requests to the system: {})", traffic.requests);
  if (peer) {
    const Timing other = summarize(seconds[1]);
    std::vector<double> ratios;
    for (size_t k = 0; k < seconds[0].size(); ++k) ratios.push_back(seconds[1][k] / seconds[0][k]);
    const double ratio = quantile(ratios, 0.5);
    const int64_t peer_bytes = peer->memory();
    j["peer"] = peer->version();
    j["peer_median_s"] = other.median;
    j["peer_over_own"] = ratio;
    j["peer_over_own_quartiles"] = {quantile(ratios, 0.25), quantile(ratios, 0.75)};
    j["peer_memory_bytes"] = bytes_or_null(peer_bytes);
    print_to(out, "  {} {:>9.1f} ms ({:.1f} - {:.1f}) {:>5} MiB  atrous is {:.2f}x as fast ({:.2f} - {:.2f})",
             peer->version(), 1e3 * other.median, 1e3 * other.low, 1e3 * other.high, mebibytes(peer_bytes),
             ratio, quantile(ratios, 0.25), quantile(ratios, 0.75));
  } else if (options.peers) {
    j["peer"] = nullptr;
    print_to(out, "  no peer: {}", why);
  }
  print_to(out, "\n");
  if (options.profile) profile_step(own, options, j);
  std::fflush(out);
  return j;
}

void check(const BenchOptions& options) {
  const bool on_cpu = options.device == Device::cpu;
  ATROUS_CHECK(on_cpu || !options.peers, ErrorKind::usage,
               "[--peers] PyTorch runs on the CPU here. Got --device {}. Leave --peers out; "
               "scripts/gpu_check.sh compares on a GPU.",
               name_of(options.device));
  ATROUS_CHECK(
      on_cpu || !options.profile, ErrorKind::usage,
      "[--profile] ops are timed where the host computes them. Got --device {}, which computes while the "
      "host continues. Leave --profile out and use the device's own profiler: ops are named to it.",
      name_of(options.device));
  ATROUS_CHECK(!on_cpu || options.math != train::MathMode::tf32, ErrorKind::usage,
               "[--math] the CPU has f32 and bf16. Got {}. Choose a --device, or another --math.",
               options.math);
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
  check(options);
  const bool on_cpu = options.device == Device::cpu;
  const std::string machine = on_cpu ? fmt::format("{} threads, {}", num_threads(), name_of(cpu_isa()))
                                     : device_properties(options.device).name;
  print_to(options.report.table(), "{}, {}; median (quartiles) of {} interleaved repeats{}\n", machine,
           options.math, options.rounds(), on_cpu ? "; peak memory over that before the network" : "");
  Json j = {{"device", name_of(options.device)},
            {"device_name", on_cpu ? "" : device_properties(options.device).name},
            {"math", name_of(options.math)},
            {"threads", num_threads()},
            {"isa", name_of(cpu_isa())},
            {"repeats", options.rounds()},
            {"nets", Json::array()}};
  for (const NetCase& net : net_cases()) {
    for (bool training : {false, true}) {
      if (net.runs(training, options.device) && std::regex_search(net.name(training), filter))
        j["nets"].push_back(measure(net, training, options));
    }
  }
  ATROUS_CHECK(!j["nets"].empty(), ErrorKind::usage,
               "[--filter] must match a case such as \"unet32 train batch 4\". Got \"{}\".", options.filter);
  options.report.write_json(j.dump(2));
}

}  // namespace atrous::cli
