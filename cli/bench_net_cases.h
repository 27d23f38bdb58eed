// The networks of `atrous bench nets`, ready to run with random inputs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cli/bench.h"
#include "layers/model.h"

namespace atrous::cli {

enum class Modes { both, inference, training };
enum class Where { everywhere, cpu, gpu };

struct NetCase {
  const char* network;  // as benchmarks/torch_nets.py calls it
  const char* model;
  const char* backbone;
  int64_t base_width = 64;
  int64_t batch = 1;
  int64_t height = 256, width = 256;
  int64_t classes = 21;
  Modes modes = Modes::both;
  Where where = Where::everywhere;

  bool runs(bool training, Device device) const;
  // "unet32 train batch 4", which --filter matches.
  std::string name(bool training) const;
};

std::span<const NetCase> net_cases();

// A network and a few batches, all on the device, so that only the network is timed.
struct OwnNet {
  std::shared_ptr<layers::Model> model;
  std::function<double(int64_t round)> step;  // seconds; the round chooses the batch
  // Writes weights and batches for a peer. Empty if the work of a step does not depend on values: that of
  // detectors depends on what they find, so both sides must use the same images and weights.
  std::function<void(const std::string& path)> save;

  int64_t parameters() const;  // elements
};

OwnNet own_net(const NetCase& net, bool training, const BenchOptions& options);

}  // namespace atrous::cli
