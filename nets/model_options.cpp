#include "nets/model_options.h"

#include <fmt/format.h>

namespace atrous::nets {

std::string describe(const ModelOptions& options) {
  std::string text = options.name;
  if (!options.backbone.empty()) text += ", " + options.backbone;
  if (options.width_multiplier != 1) text += fmt::format(", width {:g}", options.width_multiplier);
  if (options.crf_as_rnn) text += ", with CRF as RNN";
  return text;
}

}  // namespace atrous::nets
