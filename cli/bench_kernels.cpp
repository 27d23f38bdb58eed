// `atrous bench kernels`: the benchmark cases of tests/kernels at real sizes.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/bench.h"
#include "cli/bench_timing.h"
#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/terminal.h"
#include "kernels/common/implementation.h"

namespace atrous::cli {
namespace {

using Json = nlohmann::ordered_json;

// Enough copies of the inputs that none is in a cache when its turn comes again.
std::vector<std::vector<Tensor>> rotating_inputs(const cases::OpCase& c, const BenchOptions& options) {
  constexpr double past_caches = 128e6;
  std::vector<std::vector<Tensor>> sets;
  double bytes = 0;
  for (uint64_t set = 0; sets.size() < 2 || (bytes < past_caches && sets.size() < 16); ++set) {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      const Tensor t = cases::make_input(c.inputs[i], DType::f32, 0, false, 100 * set + i);
      const bool activation = is_floating(t.dtype()) && !c.inputs[i].parameter;
      inputs.push_back((activation ? t.to(options.dtype) : t).to(options.device));
      bytes += static_cast<double>(inputs.back().bytes());
    }
    sets.push_back(std::move(inputs));
    if (c.inputs.empty()) break;
  }
  return sets;
}

// Largest difference to the reference in double, relative to the largest reference value; empty where that
// would take long.
std::optional<double> error_of(const cases::OpCase& c, const std::vector<Tensor>& inputs) {
  if (c.flops > 4e8 || (c.flops == 0 && c.bytes > 64e6)) return std::nullopt;
  std::vector<Tensor> wide;
  for (const Tensor& input : inputs) {
    const Tensor t = input.to(Device::cpu);
    wide.push_back(is_floating(t.dtype()) ? t.to(DType::f64) : t);
  }
  const std::vector<Tensor> got = c.run(inputs);
  const kernels::ForceImplementation op(c.op, "ref"), entry(c.op + "." + c.entry, "ref");
  const std::vector<Tensor> want = c.run(wide);
  double worst = 0;
  for (size_t t = 0; t < got.size(); ++t) {
    if (!got[t].defined() || !is_floating(got[t].dtype())) continue;
    const Tensor a = got[t].to(Device::cpu).to(DType::f64).contiguous_copy_if_needed();
    const Tensor b = want[t].to(DType::f64).contiguous_copy_if_needed();
    double difference = 0, scale = 0;
    for (int64_t i = 0; i < a.numel(); ++i) {
      difference = std::max(difference, std::abs(a.data<double>()[i] - b.data<double>()[i]));
      scale = std::max(scale, std::abs(b.data<double>()[i]));
    }
    if (scale > 0) worst = std::max(worst, difference / scale);
  }
  return worst;
}

struct Contender {
  std::string name;
  std::function<double(int64_t)> run;
};

// On a device the whole ladder is timed, to compare its rungs. On the CPU, what dispatch chooses for `math`.
std::vector<std::string> names_of(const cases::OpCase& c, const BenchOptions& options) {
  std::vector<std::string> names, rounded;
  for (const auto& it : cases::implementations_of(c, options.device, options.dtype))
    (it.accuracy == kernels::Accuracy::bf16 ? rounded : names).push_back(it.name);
  if (options.math == train::MathMode::bf16) names.insert(names.begin(), rounded.begin(), rounded.end());
  if (options.device == Device::cpu && !options.all && !names.empty()) names.resize(1);
  return names;
}

std::vector<Contender> contenders_of(const cases::OpCase& c, const std::vector<std::vector<Tensor>>& inputs,
                                     const BenchOptions& options) {
  std::vector<Contender> contenders;
  const std::vector<std::string> names = names_of(c, options);
  for (const std::string& name : names) {
    if (name == "ref" && names.size() > 1) continue;  // the reference is not written for speed
    contenders.push_back({name, [&c, &inputs, name, device = options.device](int64_t round) {
                            const kernels::ForceImplementation op(c.op, name),
                                entry(c.op + "." + c.entry, name);
                            const auto& in = inputs[static_cast<size_t>(round) % inputs.size()];
                            std::vector<Tensor> out;
                            const double seconds = seconds_on(device, [&] { out = c.run(in); });
                            return seconds;
                          }});
  }
  if (!options.peers) return contenders;
  std::vector<std::function<void()>> peers;
  for (const auto& in : inputs) {
    if (auto peer = onednn_peer(c, in)) peers.push_back(std::move(*peer));
  }
  if (!peers.empty()) {
    contenders.push_back({"oneDNN", [peers](int64_t round) {
                            return seconds_of(peers[static_cast<size_t>(round) % peers.size()]);
                          }});
  }
  return contenders;
}

Json measure(const cases::OpCase& c, const Peaks& peaks, const BenchOptions& options) {
  const auto inputs = rotating_inputs(c, options);
  const std::vector<Contender> contenders = contenders_of(c, inputs, options);
  std::vector<std::function<double(int64_t)>> runs;
  for (const Contender& contender : contenders) runs.push_back(contender.run);
  const auto seconds = interleave(runs, options.rounds());
  Json j = {{"op", c.op}, {"entry", c.entry}, {"problem", c.descriptor}, {"network", c.network}};
  if (const auto error = error_of(c, inputs[0])) j["error"] = *error;
  std::FILE* out = options.report.table();
  print_to(out, "{}.{} {} [{}]\n", c.op, c.entry, c.descriptor, c.network);
  for (size_t i = 0; i < contenders.size(); ++i) {
    const Timing t = summarize(seconds[i]);
    Json row = {{"name", contenders[i].name}, {"median_s", t.median}, {"low_s", t.low}, {"high_s", t.high}};
    // Beyond the ridge point of the roofline, which lies at 20 FLOPs per byte on GPUs in f32.
    const bool compute =
        peaks.gflops > 0 ? c.flops * peaks.gbytes > c.bytes * peaks.gflops : c.flops > 20 * c.bytes;
    const double rate = (compute ? c.flops : c.bytes) / t.median * 1e-9;
    const double peak = compute ? peaks.gflops : peaks.gbytes;
    row[compute ? "gflops" : "gbytes"] = rate;
    print_to(out, "  {:<20} {:>10.3f} ms  ({:.3f} - {:.3f})  {:>8.1f} {}", contenders[i].name, 1e3 * t.median,
             1e3 * t.low, 1e3 * t.high, rate, compute ? "GFLOP/s" : "GB/s");
    if (peak > 0) {
      row["share_of_peak"] = rate / peak;
      print_to(out, "  {:>4.0f} % of peak", 100 * rate / peak);
    }
    if (i == 0 && j.contains("error")) print_to(out, "  error {:.1e}", j["error"].get<double>());
    if (i > 0) {
      std::vector<double> ratios;
      for (size_t k = 0; k < seconds[0].size(); ++k) ratios.push_back(seconds[i][k] / seconds[0][k]);
      const double ratio = quantile(ratios, 0.5);
      row["time_over_first"] = ratio;
      print_to(out, "  {} is {:.2f}x as fast ({:.2f} - {:.2f})", contenders[0].name, ratio,
               quantile(ratios, 0.25), quantile(ratios, 0.75));
    }
    print_to(out, "\n");
    j["timings"].push_back(row);
  }
  std::fflush(out);
  return j;
}

}  // namespace

void bench_kernels(const BenchOptions& options) {
  std::regex filter;
  try {
    filter = std::regex(options.filter);
  } catch (const std::regex_error& e) {
    fail(ErrorKind::usage, "[--filter] must be a regular expression. Got \"{}\": {}.", options.filter,
         e.what());
  }
  std::vector<cases::OpCase> chosen;
  size_t all = 0;
  for (cases::OpCase& c : cases::all_cases().cases) {
    if (!c.benchmark) continue;
    ++all;
    const std::string name = fmt::format("{}.{} {} {}", c.op, c.entry, c.descriptor, c.network);
    if (std::regex_search(name, filter)) chosen.push_back(std::move(c));
  }
  ATROUS_CHECK(!chosen.empty(), ErrorKind::usage, "[--filter] must match a case. \"{}\" matches none of {}.",
               options.filter, all);
  ATROUS_CHECK(!options.peers || options.device == Device::cpu, ErrorKind::usage,
               "[--peers] oneDNN runs on the CPU. Got --device {}. Leave --peers out.",
               name_of(options.device));
  ATROUS_CHECK(options.device != Device::cpu || options.dtype == DType::f32, ErrorKind::usage,
               "[--dtype] the CPU computes in f32. Got {}. Choose a --device, or leave --dtype out.",
               name_of(options.dtype));
  ATROUS_CHECK(options.device == Device::cpu || options.math == train::MathMode::f32, ErrorKind::usage,
               "[--math] is for the CPU; on a device the whole ladder runs. Got {}. Use --dtype.",
               options.math);
  if (options.device == Device::sim)
    print_to(stderr,
             "note: {} cases at real sizes; the simulator takes minutes for a large one, hours for all "
             "(--filter), and its times say nothing about a GPU\n",
             chosen.size());
  const Peaks peaks = measure_peaks(options.device);
  std::FILE* out = options.report.table();
  if (options.device == Device::cpu) {
    print_to(out, "{} threads, {}; measured peaks: {:.0f} GFLOP/s (f32 FMA), {:.1f} GB/s (copy)\n",
             num_threads(), name_of(cpu_isa()), peaks.gflops, peaks.gbytes);
  } else {
    print_to(out, "{}, {}", device_properties(options.device).name, name_of(options.dtype));
    if (peaks.gbytes > 0) print_to(out, "; measured peak: {:.0f} GB/s (copy)", peaks.gbytes);
    print_to(out, "\n");
  }
  print_to(out, "median (quartiles) of {} interleaved repeats; FLOPs of the direct method\n",
           options.rounds());
  if (options.peers) {
    const std::string peer = onednn_name();
    print_to(out, "peer: {}\n\n",
             peer.empty() ? "none (built without oneDNN)"
                          : peer + " on convolutions, weights packed ahead; ours packs each time");
  }
  Json j = {{"device", name_of(options.device)},
            {"device_name", options.device == Device::cpu ? "" : device_properties(options.device).name},
            {"dtype", name_of(options.dtype)},
            {"math", name_of(options.math)},
            {"threads", num_threads()},
            {"isa", name_of(cpu_isa())},
            {"repeats", options.rounds()},
            {"peak_gflops", peaks.gflops},
            {"peak_gbytes", peaks.gbytes},
            {"peer", options.peers ? onednn_name() : ""},
            {"cases", Json::array()}};
  for (const cases::OpCase& c : chosen) {
    if (names_of(c, options).empty()) {
      print_to(out, "{}.{} {}: no implementation on {} in {}\n", c.op, c.entry, c.descriptor,
               name_of(options.device), name_of(options.dtype));
      continue;
    }
    j["cases"].push_back(measure(c, peaks, options));
  }
  options.report.write_json(j.dump(2));
}

}  // namespace atrous::cli
