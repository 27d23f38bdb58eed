// The changes that a CRF made, for the page of `eval --report DIR`.
//
//   DIR/crf/NN_<id>_{before,after,change}.png    NN = 01 is the image that it changed the most
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "eval/report/semantic_scores.h"

namespace atrous::eval {

// Keeps what the pictures need, for the images in which the CRF changed the largest share of the scored
// pixels. Images without a change are not kept.
class ChangedImages {
 public:
  struct Image {
    data::Sample sample;
    Tensor before, after;  // u8 [H, W]
    ImageScore score_before, score_after;
    // Pixels: scored, with another class than before, of these right now, of these right before.
    int64_t scored = 0, changed = 0, mended = 0, broken = 0;
    double share() const { return static_cast<double>(changed) / static_cast<double>(scored); }
  };

  explicit ChangedImages(size_t count) : count_(count) {}
  void add(const ScoredImage& image);
  const std::vector<Image>& images() const { return kept_; }  // the most changed first

 private:
  size_t count_;
  std::vector<Image> kept_;
};

// The section of the page: scores before and after, of the set and of each class, and pictures, which are
// also written in full size. Earlier pictures in `folder`/crf are removed. Empty for a report without CRF.
std::string crf_section(const std::string& folder, const ScoresReport& report,
                        const std::vector<ChangedImages::Image>& images,
                        const std::vector<data::ClassInfo>& classes);

}  // namespace atrous::eval
