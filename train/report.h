// report.html: a run on one page that opens anywhere, without network or other files.
#pragma once

#include <string>

namespace atrous::train {

// Made from the files of the run alone (config.json, metrics.jsonl, best.json, samples/*.png), so it can be
// made again at any time. What is missing is left out. Error(io).
void write_report(const std::string& run_folder);

}  // namespace atrous::train
