// Class weights of the loss, so that frequent classes do not dominate rare ones.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace atrous::train {

// `setting`: "none" (empty result), "median_frequency", "sqrt_median_frequency" (its square root: milder), or
// "1,2.5,..." one per class. The first two of these read every label of the set. Error(config).
std::vector<double> class_weights(const std::string& setting, const data::Dataset* dataset,
                                  int64_t num_classes);

}  // namespace atrous::train
