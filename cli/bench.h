// The two halves of `atrous bench`, and the opponents.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "core/tensor.h"
#include "tests/kernels/op_case.h"

namespace atrous::cli {

struct BenchOptions {
  std::string filter;  // regular expression
  bool peers = false;
  bool all = false;     // every implementation, not only the one that dispatch chooses
  int64_t repeats = 0;  // 0: see rounds()
  Device device = Device::cpu;
  DType dtype = DType::f32;  // kernels only: of the activations
  std::string math = "f32";  // nets only: as the config key
  Report report;

  // The times of a simulator say nothing that more rounds would make more certain.
  int64_t rounds() const { return repeats > 0 ? repeats : device == Device::sim ? 1 : 30; }
};

void bench_kernels(const BenchOptions& options);
void bench_nets(const BenchOptions& options);

// The same problem in oneDNN, on the same inputs; empty if oneDNN is not built in or the case is no f32
// convolution. Weights are packed ahead of the call (ours packs within it).
std::optional<std::function<void()>> onednn_peer(const cases::OpCase& op_case,
                                                 const std::vector<Tensor>& inputs);
// "oneDNN 2.6.3", or empty if not built in.
std::string onednn_name();

// benchmarks/torch_nets.py in a process of its own, running one step per request.
class TorchPeer {
 public:
  // Fails (empty result of start) if there is no Python with torch; `why` then says so.
  static std::unique_ptr<TorchPeer> start(const std::string& network, const std::string& mode, int64_t batch,
                                          int64_t size, std::string& why);
  ~TorchPeer();
  TorchPeer(const TorchPeer&) = delete;
  TorchPeer& operator=(const TorchPeer&) = delete;
  const std::string& version() const { return version_; }
  // Seconds that one step took, by the child's own clock.
  double step();

 private:
  TorchPeer() = default;
  std::string read_line();
  int pid_ = -1;
  int to_child_ = -1;
  int from_child_ = -1;
  std::string version_, buffer_;
};

}  // namespace atrous::cli
