// Batches, prepared by worker threads ahead of use.
#pragma once

#include <memory>

#include "data/augment.h"
#include "data/dataset.h"

namespace atrous::data {

struct Batch {
  Tensor images;  // f32 [N, H, W, C], normalised
  Tensor labels;  // u8 [N, H, W]
  std::vector<std::string> ids;
  int64_t step = 0;  // global batch number
};

// The sequence of batches is a pure function of (dataset, options, seed): batch number `step` is the same
// whatever the number of workers and wherever reading started, so the position of a run is one number.
class Loader {
 public:
  // Error(memory) if the system gives no threads. Reshuffles each epoch; the last short batch of an epoch
  // is filled up from the next permutation.
  Loader(const Dataset& dataset, const DataOptions& data, const AugmentOptions& augment, uint64_t seed,
         int64_t first_step);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Blocks until the next batch is ready. Rethrows the first error of a worker (with the file's name).
  Batch next();
  // Seconds next() has waited so far.
  double wait_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The value with which the loader fills the outside of an image: the mean, which normalises to zero.
std::vector<double> loader_border_color(const DataOptions& data, int64_t channels);

}  // namespace atrous::data
