#include "cli/network_facts.h"

#include <fmt/format.h>

namespace atrous::cli {

eval::Facts facts_of(const nets::ModelOptions& model) {
  eval::Facts facts = {{"network", model.name}};
  if (!model.backbone.empty()) facts.emplace_back("backbone", model.backbone);
  if (model.width_multiplier != 1) facts.emplace_back("width", fmt::format("{:g}", model.width_multiplier));
  if (const auto& crf = model.crf_as_rnn)
    facts.emplace_back("CRF as RNN", fmt::format("{} iterations, {} weights", crf->iterations, crf->weights));
  return facts;
}

}  // namespace atrous::cli
