// `eval` and `predict` of networks that classify whole images.
#pragma once

#include <string>
#include <vector>

#include "cli/common_flags.h"
#include "cli/inference_flags.h"
#include "train/checkpoint.h"

namespace atrous::cli {

struct ClassEvaluationOptions {
  std::string split;
  std::string report_folder;  // empty: none
  size_t worst = 0;           // images that the report shows
  eval::InferenceOptions inference;
};

// Scores the network on the split of its data set; prints, and writes the JSON and the files of the options.
void evaluate_classes(const train::LoadedModel& loaded, const ClassEvaluationOptions& options,
                      const Report& report);

struct ClassPredictionOptions {
  std::vector<std::string> images;
  std::string out;  // folder for predictions.json and predictions.csv; empty: none
  std::string names_file;
  int64_t top = 5;
  eval::InferenceOptions inference;
  std::string left_out;  // files of folders that were not taken, a JSON list
};

// Prints the most probable classes of each image. Error(data), after all other images, if one was refused.
void predict_classes(train::LoadedModel loaded, const ClassPredictionOptions& options, const Report& report);

}  // namespace atrous::cli
