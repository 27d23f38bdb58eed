// The two halves of `atrous bench`, and the opponents.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/common_flags.h"
#include "core/tensor.h"
#include "tests/kernels/op_case.h"
#include "train/config.h"

namespace atrous::cli {

struct BenchOptions {
  std::string filter;  // regular expression
  bool peers = false;
  bool all = false;     // every implementation, not only the one that dispatch chooses
  int64_t repeats = 0;  // 0: see rounds()
  Device device = Device::cpu;
  DType dtype = DType::f32;                     // kernels only: of the activations
  train::MathMode math = train::MathMode::f32;  // as the config key; kernels: on the CPU, f32 or bf16
  bool profile = false;                         // nets only: profile of a step, op by op
  Report report;

  // More rounds would not make the times of a simulator more accurate.
  int64_t rounds() const { return repeats > 0 ? repeats : device == Device::sim ? 1 : 30; }
};

void bench_kernels(const BenchOptions& options);
void bench_nets(const BenchOptions& options);

// The same problem in oneDNN, on the same inputs; empty if oneDNN is not built in or the case is not an f32
// convolution. Weights are packed ahead of the call (ours packs within it).
std::optional<std::function<void()>> onednn_peer(const cases::OpCase& op_case,
                                                 const std::vector<Tensor>& inputs);
// "oneDNN 2.6.3", or empty if not built in.
std::string onednn_name();

// benchmarks/torch_nets.py in a separate process, running one step per request.
class TorchPeer {
 public:
  // `arguments` of the script, except --threads, which is set here. Fails (empty result of start) without a
  // Python with torch, or if that lacks what the network needs; `why` then gives the reason.
  static std::unique_ptr<TorchPeer> start(const std::vector<std::string>& arguments, std::string& why);
  ~TorchPeer();
  TorchPeer(const TorchPeer&) = delete;
  TorchPeer& operator=(const TorchPeer&) = delete;
  const std::string& version() const { return version_; }
  // Elements of all parameters, to check that it is the same network.
  int64_t parameters() const { return parameters_; }
  // Seconds that one step took, by the child's own clock.
  double step();
  // Peak resident memory minus that before the network was built, in bytes; -1 if unknown.
  int64_t memory();

 private:
  TorchPeer() = default;
  std::string read_line();
  std::string ask(const std::string& request);
  int pid_ = -1;
  int to_child_ = -1;
  int from_child_ = -1;
  int64_t parameters_ = 0;
  std::string version_, buffer_;
};

}  // namespace atrous::cli
