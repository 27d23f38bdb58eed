// report.html: a run on one page that opens anywhere, without network or other files.
#pragma once

#include <string>
#include <vector>

#include "core/json_value.h"

namespace atrous::eval {

// Made from config.json, best.json and samples/*.png in the folder of the run, and from `lines` of its
// metrics.jsonl; missing files are left out. `network`: the title. Error(io).
void write_run_report(const std::string& run_folder, const std::string& network,
                      const std::vector<JsonValue>& lines);

}  // namespace atrous::eval
