#include "train/class_weights.h"

#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <sstream>

#include "data/statistics.h"
#include "train/config.h"

namespace atrous::train {
std::vector<double> class_weights(const std::string& setting,
                                  const std::function<data::LabelHistogram()>& histogram,
                                  int64_t num_classes) {
  const std::optional<ClassWeighting> rule = find_named<ClassWeighting>(setting);
  if (rule == ClassWeighting::none) return {};
  if (rule) {
    ATROUS_CHECK(histogram, ErrorKind::config,
                 "[config] train.class_weights = \"{}\" needs a data set with labels to count. Got given "
                 "tensors. Write the weights as numbers.",
                 setting);
    std::vector<double> weights = data::median_frequency_weights(histogram());
    if (rule == ClassWeighting::sqrt_median_frequency) {
      for (double& w : weights) w = std::sqrt(w);
    }
    return weights;
  }
  std::vector<double> weights;
  std::istringstream stream(setting);
  stream.exceptions(std::ios::badbit);  // no memory for a word is not the end of the list
  for (std::string word; std::getline(stream, word, ',');) {
    double value = 0;
    const char* begin = word.data() + (word.empty() ? 0 : word.find_first_not_of(' ') % (word.size() + 1));
    const auto [end, error] = std::from_chars(begin, word.data() + word.size(), value);
    ATROUS_CHECK(
        error == std::errc() && end == word.data() + word.size() && std::isfinite(value) && value >= 0,
        ErrorKind::config,
        "[config] train.class_weights must be {} or numbers >= 0. Got \"{}\". Correct the value.",
        fmt::join(all_names<ClassWeighting>(), ", "), setting);
    weights.push_back(value);
  }
  ATROUS_CHECK(static_cast<int64_t>(weights.size()) == num_classes, ErrorKind::config,
               "[config] train.class_weights must have one number per class. Got {} for {} classes. Correct "
               "the value.",
               weights.size(), num_classes);
  return weights;
}

}  // namespace atrous::train
