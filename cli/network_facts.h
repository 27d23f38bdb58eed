// The description of a network in reports.
#pragma once

#include "eval/report/page.h"
#include "nets/model_options.h"

namespace atrous::cli {

// "network", and where they are set "backbone", "width" (width_multiplier) and "CRF as RNN" (crf_as_rnn).
eval::Facts facts_of(const nets::ModelOptions& model);

}  // namespace atrous::cli
