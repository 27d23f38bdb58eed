// Reads a COCO file as a stream and passes on its records one by one. Internal to data/.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/coco_json.h"
#include "data/faults.h"

namespace atrous::data::internal {

using Json = nlohmann::json;
using OnRecord = std::function<void(const Json& record, const std::string& where)>;

// The records of an annotation file: the members of lists of its one object (`sections`). Error(data) for any
// other text; a record that is not an object is a fault, and OnRecord may find further faults.
void read_records(const std::string& path, const CocoLimits& limits, std::map<std::string, OnRecord> sections,
                  const Faults& faults = Faults());

// Those of a results file: the members of its one list, or of the list "annotations" of an object that also
// defines the images and categories of its results.
void read_result_records(const std::string& path, const CocoLimits& limits, OnRecord on_result,
                         OnRecord on_image, OnRecord on_category);

}  // namespace atrous::data::internal
