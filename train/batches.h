// Sources of training batches.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/safetensors.h"
#include "data/loader.h"
#include "train/config.h"

namespace atrous::train {

// Training and validation set of a config; both null for data.dataset = "tensors".
struct DataSets {
  std::unique_ptr<data::Dataset> train;
  std::unique_ptr<data::Dataset> val;
  std::vector<data::ClassInfo> classes;
  std::vector<std::string> notes;  // lines of text
};
// `stored`: the classes of a checkpoint that is resumed, or null (class_source.h).
DataSets open_datasets(const Config& config, const data::ClassList* stored);

// Batches number first_batch, first_batch + 1, ... of a run: from a loader, or given ones from a file. Given
// batches are for comparing with other frameworks: `images` f32 [steps,N,C,H,W], normalised, and `labels` u8
// or i64 [steps,N,H,W].
class BatchSource {
 public:
  // `set` is null for given batches, of which `needed` must be in the file.
  BatchSource(const Config& config, const data::Dataset* set, int64_t first_batch, int64_t needed);
  data::Batch next();
  // Seconds that next() has waited for data so far.
  double wait_seconds() const;

 private:
  data::Batch given();

  std::optional<data::Loader> loader_;
  TensorFile file_;
  int64_t batch_;
};

}  // namespace atrous::train
