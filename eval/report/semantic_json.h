// Scores as every file and `--json` holds them.
#pragma once

#include "core/json_value.h"
#include "eval/crf_options.h"
#include "eval/metrics.h"

namespace atrous::eval {

// The metrics (eval/semantic_metrics.h; those of boundaries if they were computed), classes_in_mean,
// per_class[]. What is undefined (the IoU of an absent class, all means without a scored pixel) is null.
JsonValue scores_to_json(const SemanticScores& scores);
// [label][prediction]
JsonValue confusion_to_json(const ConfusionMatrix& confusion);

// iterations, gaussian_weight, ..., normalization, spatial, and all of it as one `text` for --crf.
JsonValue crf_to_json(const layers::DenseCrfOptions& options);

// Back again: the members that scores_to_json writes; what is missing keeps its default.
SemanticScores scores_from_json(const JsonValue& json);
// No classes if `json` is no square matrix of counts.
ConfusionMatrix confusion_from_json(const JsonValue& json);

}  // namespace atrous::eval
