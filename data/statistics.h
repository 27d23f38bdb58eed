// Class statistics of a data set, and the class weights that follow from them.
#pragma once

#include "data/dataset.h"

namespace atrous::data {

struct LabelHistogram {
  std::vector<int64_t> pixels;           // per class
  std::vector<int64_t> images;           // with at least one pixel of the class
  std::vector<int64_t> labelled_pixels;  // not ignored, summed over the images that contain the class
  int64_t ignored = 0;
  int64_t total = 0;  // all pixels, ignored ones included

  // Adds one label map: u8 [H, W]. Error(data) for a value that is neither a class nor ignore_label.
  void add(const Tensor& label);
  explicit LabelHistogram(int64_t num_classes = 0)
      : pixels(static_cast<size_t>(num_classes)), images(pixels), labelled_pixels(pixels) {}
};

// Reads every label of the set, on all threads.
LabelHistogram label_histogram(const Dataset& dataset);

// Median frequency balancing (Eigen & Fergus, ICCV 2015, section 6.4): freq(c) = pixels of c / labelled
// pixels of the images that contain c; weight(c) = median(freq) / freq(c), the median over the classes that
// occur. Ignored pixels are not counted. A class without pixels gets weight 1, which no training pixel ever
// uses.
std::vector<double> median_frequency_weights(const LabelHistogram& histogram);

}  // namespace atrous::data
