// `eval` and `predict` for detection models.
#pragma once

#include <string>
#include <vector>

#include "cli/common_flags.h"
#include "data/coco_json.h"
#include "layers/detection_model.h"
#include "train/checkpoint.h"

namespace atrous::cli {

using LoadedDetector = train::Loaded<layers::DetectionModel>;

struct InstanceEvaluationOptions {
  std::string split;
  std::string results;        // folder for the detections, in COCO format; empty: none
  std::string report_folder;  // empty: none
  size_t worst = 0;           // images that the report shows
};

// Scores the detector on the split of its data set; prints, and writes the JSON and the files of the options.
void evaluate_instances(const LoadedDetector& loaded, const InstanceEvaluationOptions& options,
                        const Report& report);

// Finds objects in one image and writes
//   labels    class of the object with the highest score at each pixel, 0 none: PNG with palette, of 16 bits
//   for more
//             than 256 classes; not for models without masks
//   overlay   the image with masks, boxes, names and scores of detections of at least eval.min_score
//   objects   all detections, in the form of predictions.json, of this image alone. Written last.
struct PredictionFiles {
  std::string image, labels, overlay, objects;
};
void predict_instances(const LoadedDetector& loaded, const PredictionFiles& files);

}  // namespace atrous::cli
