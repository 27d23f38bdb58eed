#include "data/statistics.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"

namespace atrous::data {

void LabelHistogram::add(const Tensor& label) {
  std::array<int64_t, 256> counts{};
  const Tensor dense = label.contiguous_copy_if_needed();
  const uint8_t* values = dense.data<uint8_t>();
  for (int64_t i = 0; i < dense.numel(); ++i) ++counts[values[i]];
  int64_t labelled = 0;
  for (size_t v = 0; v < counts.size(); ++v) {
    if (counts[v] == 0 || v == ignore_label) continue;
    ATROUS_CHECK(v < pixels.size(), ErrorKind::data, "[statistics] labels are below {} or {}. Got {}.",
                 pixels.size(), ignore_label, v);
    labelled += counts[v];
  }
  for (size_t k = 0; k < pixels.size(); ++k) {
    if (counts[k] == 0) continue;
    pixels[k] += counts[k];
    images[k] += 1;
    labelled_pixels[k] += labelled;
  }
  ignored += counts[ignore_label];
  total += dense.numel();
}

LabelHistogram label_histogram(const Dataset& dataset) {
  const int64_t n = dataset.size();
  // Integers: the order of addition does not matter, but each image has its own slot so that threads share
  // nothing.
  std::vector<LabelHistogram> parts(static_cast<size_t>(n), LabelHistogram(dataset.num_classes()));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Tensor label = dataset.load_label(i);
      if (label.defined()) parts[static_cast<size_t>(i)].add(label);
    }
  });
  LabelHistogram sum(dataset.num_classes());
  for (const LabelHistogram& part : parts) {
    for (size_t k = 0; k < sum.pixels.size(); ++k) {
      sum.pixels[k] += part.pixels[k];
      sum.images[k] += part.images[k];
      sum.labelled_pixels[k] += part.labelled_pixels[k];
    }
    sum.ignored += part.ignored;
    sum.total += part.total;
  }
  return sum;
}

std::vector<double> median_frequency_weights(const LabelHistogram& histogram) {
  const size_t classes = histogram.pixels.size();
  std::vector<double> frequency(classes, 0.0), present;
  for (size_t k = 0; k < classes; ++k) {
    if (histogram.pixels[k] == 0) continue;
    frequency[k] =
        static_cast<double>(histogram.pixels[k]) / static_cast<double>(histogram.labelled_pixels[k]);
    present.push_back(frequency[k]);
  }
  ATROUS_CHECK(!present.empty(), ErrorKind::data,
               "[statistics] class weights need labelled pixels. Got none. Check the labels with `atrous "
               "data check`.");
  std::sort(present.begin(), present.end());
  const size_t half = present.size() / 2;
  const double median = present.size() % 2 ? present[half] : (present[half - 1] + present[half]) / 2;
  std::vector<double> weights(classes, 1.0);
  for (size_t k = 0; k < classes; ++k) {
    if (frequency[k] > 0) weights[k] = median / frequency[k];
  }
  return weights;
}

}  // namespace atrous::data
