// Class weights of the loss, so that frequent classes do not dominate rare ones.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/statistics.h"

namespace atrous::train {

// `setting`: "none" (empty result), "median_frequency", "sqrt_median_frequency" (its square root: milder), or
// "1,2.5,..." one per class. The first two of these call `histogram`, which counts the labels of the set;
// empty: there are none. Error(config).
std::vector<double> class_weights(const std::string& setting,
                                  const std::function<data::LabelHistogram()>& histogram,
                                  int64_t num_classes);

}  // namespace atrous::train
