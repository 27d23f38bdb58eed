// `atrous eval --report DIR` of a detection model.
//
//   DIR/report.html    everything on one page, pictures shrunk; needs no other file
//   DIR/scores.json    what --json writes
//   DIR/worst/NN_<id>_objects.png    annotations and detections; NN = 01 has the most errors
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/evaluate_instances.h"
#include "eval/report/page.h"

namespace atrous::eval {

struct InstanceImageScore {
  std::string id, image_path;
  int64_t objects = 0, found = 0, not_found = 0, wrong = 0;  // found: detections, the wrong ones among them
  int64_t errors() const { return not_found + wrong; }
};

struct InstanceScoresReport {
  std::string network;  // nets::describe
  InstanceEvaluation result;
  std::vector<InstanceImageScore> images;
  double min_score = 0;  // minimum score of detections that count as found in an image
  // What was scored and how: {"network", "maskrcnn_resnet50_fpn"}. The keys are also those of the JSON.
  Facts facts;
};

// Keeps pictures of the images with the most errors.
class WorstInstances {
 public:
  struct Image {
    InstanceImageScore score;
    Tensor picture;
  };
  explicit WorstInstances(size_t count) : count_(count) {}
  // The picture is only made if it is kept.
  void add(const InstanceImageScore& score, const std::function<Tensor()>& picture);
  const std::vector<Image>& images() const { return kept_; }  // the most errors first

 private:
  size_t count_;
  std::vector<Image> kept_;
};

std::string scores_json(const InstanceScoresReport& report);

// `folder` exists. Pictures that an earlier report left in its `worst` are removed. Error(io).
void write_instance_report(const std::string& folder, const InstanceScoresReport& report,
                           const std::vector<WorstInstances::Image>& worst);

}  // namespace atrous::eval
