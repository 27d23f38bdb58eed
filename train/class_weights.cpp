#include "train/class_weights.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "core/parallel.h"

namespace atrous::train {
namespace {

std::vector<std::vector<int64_t>> count_pixels(const data::Dataset& dataset, int64_t num_classes) {
  std::vector<std::vector<int64_t>> counts(static_cast<size_t>(dataset.size()));
  parallel_for(dataset.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Tensor label = dataset.load_label(i).contiguous_copy_if_needed();
      std::vector<int64_t> histogram(256);
      const uint8_t* values = label.data<uint8_t>();
      for (int64_t p = 0; p < label.numel(); ++p) ++histogram[values[p]];
      histogram.resize(static_cast<size_t>(num_classes));
      counts[static_cast<size_t>(i)] = std::move(histogram);
    }
  });
  return counts;
}

}  // namespace

std::vector<double> median_frequency_weights(const std::vector<std::vector<int64_t>>& counts) {
  const size_t classes = counts.empty() ? 0 : counts[0].size();
  std::vector<int64_t> pixels(classes), where_present(classes);
  for (const std::vector<int64_t>& image : counts) {
    int64_t all = 0;
    for (int64_t n : image) all += n;
    for (size_t c = 0; c < classes; ++c) {
      pixels[c] += image[c];
      if (image[c] > 0) where_present[c] += all;
    }
  }
  std::vector<double> frequency(classes), present;
  for (size_t c = 0; c < classes; ++c) {
    if (pixels[c] == 0) continue;
    frequency[c] = static_cast<double>(pixels[c]) / static_cast<double>(where_present[c]);
    present.push_back(frequency[c]);
  }
  std::vector<double> weights(classes, 1.0);
  if (present.empty()) return weights;
  std::sort(present.begin(), present.end());
  const size_t half = present.size() / 2;
  const double median = present.size() % 2 ? present[half] : (present[half - 1] + present[half]) / 2;
  for (size_t c = 0; c < classes; ++c) {
    if (pixels[c] > 0) weights[c] = median / frequency[c];
  }
  return weights;
}

std::vector<double> class_weights(const std::string& setting, const data::Dataset* dataset,
                                  int64_t num_classes) {
  if (setting == "none") return {};
  if (setting == "median_frequency" || setting == "sqrt_median_frequency") {
    ATROUS_CHECK(dataset, ErrorKind::config,
                 "[config] train.class_weights = \"{}\" needs a data set with labels to count. Got given "
                 "tensors. Write the weights as "
                 "numbers.",
                 setting);
    std::vector<double> weights = median_frequency_weights(count_pixels(*dataset, num_classes));
    if (setting == "sqrt_median_frequency") {
      for (double& w : weights) w = std::sqrt(w);
    }
    return weights;
  }
  std::vector<double> weights;
  std::istringstream stream(setting);
  for (std::string word; std::getline(stream, word, ',');) {
    double value = 0;
    const char* begin = word.data() + (word.empty() ? 0 : word.find_first_not_of(' ') % (word.size() + 1));
    const auto [end, error] = std::from_chars(begin, word.data() + word.size(), value);
    ATROUS_CHECK(
        error == std::errc() && end == word.data() + word.size() && std::isfinite(value) && value >= 0,
        ErrorKind::config,
        "[config] train.class_weights must be none, median_frequency, sqrt_median_frequency or numbers >= 0. "
        "Got \"{}\". Correct "
        "the value.",
        setting);
    weights.push_back(value);
  }
  ATROUS_CHECK(static_cast<int64_t>(weights.size()) == num_classes, ErrorKind::config,
               "[config] train.class_weights must have one number per class. Got {} for {} classes. Correct "
               "the value.",
               weights.size(), num_classes);
  return weights;
}

}  // namespace atrous::train
