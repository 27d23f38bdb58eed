// Scores as every file and `--json` holds them.
#pragma once

#include "core/json_value.h"
#include "eval/crf_options.h"
#include "eval/metrics.h"

namespace atrous::eval {

// The metrics (eval/semantic_metrics.h; the boundary metrics if they were computed), classes_in_mean,
// per_class[]. Undefined scores (the IoU of an absent class, all means without a scored pixel) are null.
JsonValue scores_to_json(const SemanticScores& scores);
// [label][prediction]
JsonValue confusion_to_json(const ConfusionMatrix& confusion);

// iterations, gaussian_weight, ..., normalization, spatial, and all of them as one `text` for --crf.
JsonValue crf_to_json(const layers::DenseCrfOptions& options);

// The inverse: reads the members that scores_to_json writes; missing members keep their defaults.
SemanticScores scores_from_json(const JsonValue& json);
// No classes if `json` is not a square matrix of counts.
ConfusionMatrix confusion_from_json(const JsonValue& json);

}  // namespace atrous::eval
