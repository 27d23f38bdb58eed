// Which dictionary of a PyTorch file holds the weights.
//
// A dict is a dictionary of tensors if more than half of its values are tensors under text keys. Those of a
// file are found through dicts alone, up to four levels deep; the name of one is the keys that lead to it,
// with "/" between them, "" for the whole file. A user may name one (FILE#NAME). Otherwise it is, by the
// first rule that fits exactly one of them:
//
//   1. the only one;
//   2. the only one under a key that tools use for weights (state_dict, model, ema, net, ...; the table is in
//      state_dicts.cpp);
//   3. the whole file.
//
// Error(checkpoint) that lists them, if there are several and no rule fits.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/pickle.h"
#include "core/pytorch_tensors.h"

namespace atrous {

struct StateDict {
  std::string name;                                        // "" or "model/state_dict"
  std::vector<std::string> names;                          // of all dictionaries of tensors in the file
  std::vector<std::pair<std::string, PickleRef>> tensors;  // in the order of the file
  std::vector<std::string> notes;                          // which one it is and what of it is left out
};

// `wanted`: the name that the user gave; empty: by the rules.
StateDict choose_state_dict(const PickleTree& tree, const PyTorchTensors& found, const std::string& wanted,
                            const std::string& origin);

}  // namespace atrous
