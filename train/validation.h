// Validation during training: scores, pictures, and what the run makes of them.
#pragma once

#include <optional>

#include "eval/evaluate.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"
#include "train/run_log.h"

namespace atrous::train {

// Scores the model on `set`, writes sample pictures and a line in the log, updates state.best and, if this is
// the best so far, best.json. Returns whether it is the best; empty if a signal came in between, which
// changes nothing.
std::optional<bool> validate(const Config& config, layers::SegmentationModel& model, const data::Dataset& set,
                             const std::vector<data::ClassInfo>& classes, RunState& state,
                             const RunFolder& folder, RunLog& log);

// Warnings about results that are probably a mistake: a class without a labelled pixel, predictions of one
// class only.
std::vector<std::string> suspicions(const eval::SemanticScores& scores);

}  // namespace atrous::train
