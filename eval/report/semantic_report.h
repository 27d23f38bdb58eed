// `atrous eval --report DIR`: a page that shows where a network fails, and the pictures in full size.
//
//   DIR/report.html    everything on one page, pictures shrunk; needs no other file
//   DIR/scores.json    what --json writes
//   DIR/confusion.svg
//   DIR/worst/NN_<id>_{image,label,prediction,error}.png    NN = 01 is the worst
//   DIR/crf/...        see eval/report/crf_report.h
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "eval/report/crf_report.h"
#include "eval/report/semantic_scores.h"

namespace atrous::eval {

// Keeps what the pictures need, for the images with the lowest mIoU (of the lowest pixel accuracy among
// equals). Images without a scored pixel are not kept.
class WorstImages {
 public:
  struct Image {
    ImageScore score;
    data::Sample sample;
    Tensor prediction;  // u8 [H, W]
  };

  explicit WorstImages(size_t count) : count_(count) {}
  void add(const data::Sample& sample, const Tensor& prediction, const ImageScore& score);
  const std::vector<Image>& images() const { return kept_; }  // the worst first

 private:
  size_t count_;
  std::vector<Image> kept_;
};

// `folder` exists. Pictures that an earlier report left in its `worst` are removed. Error(io).
void write_eval_report(const std::string& folder, const ScoresReport& report,
                       const std::vector<WorstImages::Image>& worst,
                       const std::vector<ChangedImages::Image>& changed,
                       const std::vector<data::ClassInfo>& classes);

}  // namespace atrous::eval
