// Scores as every file and `--json` holds them.
#pragma once

#include "eval/crf_options.h"
#include "eval/metrics.h"
#include "train/json_value.h"

namespace atrous::train {

// The metrics (eval/semantic_metrics.h; those of boundaries if they were computed), classes_in_mean,
// per_class[]. What is undefined (the IoU of an absent class, all means without a scored pixel) is null.
JsonValue scores_to_json(const eval::SemanticScores& scores);
// [label][prediction]
JsonValue confusion_to_json(const eval::ConfusionMatrix& confusion);

// iterations, gaussian_weight, ..., normalization, spatial, and all of it as one `text` for --crf.
JsonValue crf_to_json(const layers::DenseCrfOptions& options);

// Back again: the members that scores_to_json writes; what is missing keeps its default.
eval::SemanticScores scores_from_json(const JsonValue& json);
// No classes if `json` is no square matrix of counts.
eval::ConfusionMatrix confusion_from_json(const JsonValue& json);

}  // namespace atrous::train
