// Weights of a module, in files: PyTorch's names, PyTorch's layout.
//
// A filter is [K,R,S,C] in memory and [K,C,R,S] in files (transposed convolutions: [in,R,S,out] and
// [in,out,R,S]); every rank-4 tensor is permuted that way, all others are the same. So a PyTorch state_dict
// saved as safetensors loads here, and files saved here load in PyTorch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.h"
#include "layers/module.h"

namespace atrous::layers {

// [a,b,c,d] -> [a,d,b,c] for rank 4, a view otherwise (a copy, if `t` is on a device). On the CPU.
Tensor to_file_layout(const Tensor& t);
// [a,b,c,d] -> [a,c,d,b] for rank 4, a view otherwise. `t` is on the CPU.
Tensor from_file_layout(const Tensor& t);

// Copies of parameters and buffers on the CPU, in state_dict order, in file layout.
NamedTensors state_dict(const Module& module);

struct LoadOptions {
  // true: Error(checkpoint) unless names and shapes agree completely. false: loads what matches, the rest
  // keeps its values (transfer learning: another class count leaves the head as initialised).
  bool strict = true;
  // Partial loading only: the first convolution (the first parameter of rank 4), where it has other input
  // channels than the file ([K,C,R,S] against [K,C',R,S]), gets the file's filters folded: channel c takes
  // the file's channel c mod C', times C'/C, so that activations keep their scale.
  bool fold_input_channels = false;
};

struct MisShaped {
  std::string name;
  Shape in_file;   // file layout
  Shape in_model;  // file layout
};

struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> folded;      // loaded with folded input channels
  std::vector<std::string> missing;     // in the model, not in the file
  std::vector<std::string> unexpected;  // in the file, not in the model
  std::vector<MisShaped> misshaped;
  // Of the missing: those that the file holds in a form that is not read, with the reason.
  std::vector<std::pair<std::string, std::string>> unreadable;
  std::string stripped_prefix;  // that all names in the file had ("module.")

  bool complete() const {
    return folded.empty() && missing.empty() && unexpected.empty() && misshaped.empty();
  }
  enum class Outcome { loaded, refused };
  // A few lines of text: counts, and the names of all that was not simply loaded (the first dozen of each
  // kind; all with another shape, if something was loaded).
  std::string str(Outcome outcome = Outcome::loaded) const;
};

// The wrapper prefixes, one after another, that every name in the file has and none in the module
// ("module.model."); "" if there are none.
std::string wrapper_prefix(const TensorFile& file, const Module& module);

// The reasons why the file does not fit the module exactly; nothing is loaded. complete() if it fits.
LoadReport compare_state_dict(const Module& module, const TensorFile& file);

// Accepts names with common wrapper prefixes ("module.", "model.", "net.", "network.", "_orig_mod.";
// PyTorch's DataParallel, Lightning, compile; also one in another). num_batches_tracked may be missing (files
// from before PyTorch 0.4.1), and may be there where the model's batch norm is frozen and has none. Tensors
// are converted to the model's dtype.
LoadReport load_state_dict(const Module& module, const TensorFile& file, const LoadOptions& options = {});

}  // namespace atrous::layers
