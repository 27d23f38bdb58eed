// Weights of other programs, loaded by name as start values of a network.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/model.h"
#include "layers/state_dict.h"
#include "nets/model_options.h"

namespace atrous::nets {

struct ImportOptions {
  const char* where = "model.weights";  // for messages
  bool backbone_only = false;           // the head keeps its values, whatever the file holds
};

struct ImportReport {
  layers::LoadReport load;
  std::vector<std::pair<std::string, std::string>> renamed;  // name in the file, name in the network
  std::vector<std::string> notes;                            // TensorFile::notes

  std::string str() const;  // a few lines of text
};

// Loads what fits, by name and shape, of a weights file (core/weights_file.h), given by its path or by name
// (nets/published_weights.h); the rest keeps its values, and
// the first convolution may be folded to other input channels. Understood are the network's own names,
// wrapped
// ("module.") or not; names of earlier versions (current_name); and those of another network whose features
// are this one's backbone: a classification network ("layer1.0.conv1.weight", "features.0.weight"), a
// segmentation network ("backbone.", "encoder."). Error(checkpoint) if nothing fits, or a tensor of the
// network is in the file in a form that is not read (TensorFile::unread); Error(diverged) with their names if
// weights are NaN or Inf.
ImportReport import_weights(const layers::Model& model, const std::string& path,
                            const ImportOptions& options);

// Gives the tensors of a file the names of the network, as import_weights does.
void use_current_names(TensorFile& file, const layers::Model& model);

// The same network, initialised from the seed alone.
ModelOptions without_start_weights(ModelOptions options);

// The kind of network that a file is for, as far as its names and shapes show: "backbone resnet18,
// width_multiplier 0.5, the heads of a Mask R-CNN". For messages; empty if it looks like none of atrous.
std::string recognised(const TensorFile& file);

// The current form of a name of an earlier version; other names as they are.
std::string current_name(const std::string& name);

}  // namespace atrous::nets
