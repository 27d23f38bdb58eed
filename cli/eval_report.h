// `atrous eval --report DIR`: a page that shows where a network fails, and the pictures in full size.
//
//   DIR/report.html    everything on one page, pictures shrunk; needs no other file
//   DIR/scores.json    what --json writes
//   DIR/confusion.svg
//   DIR/worst/NN_<id>_{image,label,prediction,error}.png    NN = 01 is the worst
//   DIR/crf/...        see cli/crf_report.h
#pragma once

#include <string>
#include <vector>

#include "cli/crf_report.h"
#include "cli/scores.h"
#include "data/dataset.h"

namespace atrous::cli {

// Keeps what is needed for pictures of the images with the lowest mIoU (of the lowest pixel accuracy among
// equals). Images without a scored pixel are none of them.
class WorstImages {
 public:
  struct Image {
    eval::ImageScore score;
    data::Sample sample;
    Tensor prediction;  // u8 [H, W]
  };

  explicit WorstImages(size_t count) : count_(count) {}
  void add(const data::Sample& sample, const Tensor& prediction, const eval::ImageScore& score);
  const std::vector<Image>& images() const { return kept_; }  // the worst first

 private:
  size_t count_;
  std::vector<Image> kept_;
};

// What reports of all networks share: the head of the page, from the network (nets::describe) and the facts
// "weights" and "split"; the table of facts; the folder `worst`, made and without an earlier report's
// pictures; and the names of its files.
std::string report_head(const std::string& network,
                        const std::vector<std::pair<std::string, std::string>>& facts);
std::string facts_table(const std::vector<std::pair<std::string, std::string>>& facts);
void prepare_worst_folder(const std::string& report_folder);
std::string worst_file_name(size_t rank, const std::string& id, const char* kind);
// Removes the pictures of these kinds (NN_<id>_<kind>.png) that an earlier report left in `folder`, if it is
// there.
void remove_pictures(const std::string& folder, const std::vector<std::string>& kinds);

// `folder` exists. Pictures that an earlier report left in its `worst` are removed. Error(io).
void write_eval_report(const std::string& folder, const ScoresReport& report,
                       const std::vector<WorstImages::Image>& worst,
                       const std::vector<ChangedImages::Image>& changed,
                       const std::vector<data::ClassInfo>& classes);

}  // namespace atrous::cli
