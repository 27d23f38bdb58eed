// Files of weights, whatever their format: safetensors and those of torch.save (core/pytorch_file.h). The
// first bytes of a file decide, not its name.
#pragma once

#include <string>
#include <vector>

#include "core/safetensors.h"

namespace atrous {

// "model.pth#ema" is the dictionary "ema" of the file "model.pth" (core/state_dicts.h). A file of that whole
// name is just that file.
struct WeightsPath {
  std::string file;
  std::string name;
};
WeightsPath split_weights_path(const std::string& path);

// All tensors of the file, or of one of its dictionaries. Error(io) if it cannot be read, Error(checkpoint)
// if it breaks a rule of its format or is of none that is read.
TensorFile read_weights(const std::string& path);

// What a file holds, without its data.
struct WeightsList {
  std::string path;
  std::string container;           // "safetensors", "PyTorch (zip)", "PyTorch (legacy)"
  uint64_t bytes = 0;              // of the file
  std::string name;                // of the dictionary, as `read_weights` chooses it
  std::vector<std::string> names;  // of all dictionaries
  Metadata metadata;
  std::vector<StoredTensor> tensors;
  std::vector<std::string> notes;
};
WeightsList list_weights(const std::string& path);

}  // namespace atrous
