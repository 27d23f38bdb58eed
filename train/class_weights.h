// Class weights of the loss, against rare classes being drowned by frequent ones.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace atrous::train {

// freq_c = pixels of class c / pixels of the images in which c occurs; weight_c = median(freq) / freq_c
// (Eigen & Fergus, arXiv 1411.4734, section 6.3.2; ignored pixels count nowhere). A class that never occurs
// gets 1: no pixel uses it. `counts[i][c]`: pixels of class c in image i.
std::vector<double> median_frequency_weights(const std::vector<std::vector<int64_t>>& counts);

// `setting`: "none" (empty result), "median_frequency", "sqrt_median_frequency" (its square root: milder), or
// "1,2.5,..." one per class. The first two of these read every label of the set. Error(config).
std::vector<double> class_weights(const std::string& setting, const data::Dataset* dataset,
                                  int64_t num_classes);

}  // namespace atrous::train
