// Matches categories of COCO files by name. Internal to data/ and to commands that score
// results.
#pragma once

#include <string>
#include <vector>

#include "data/class_match.h"
#include "data/coco_json.h"

namespace atrous::data {

// Renames categories by the map: those of one name become one, with the id of the one
// that had the name before, and ignored ones are removed with their annotations. Returns lines for
// people. `what` says whose categories these are.
std::vector<std::string> apply_class_map(CocoAnnotations& all, const ClassMap& map, const std::string& what);

// Stores the index in `annotations.categories` for the ids that results have: of the same name if the file
// has `categories`, otherwise of the same id. Results of a category that is not annotated get -1. `map` is as
// for read_coco_results().
std::vector<std::string> resolve_categories(std::vector<CocoResult>& results,
                                            const std::vector<CocoCategory>& categories,
                                            const CocoAnnotations& annotations, const std::string& path,
                                            const ClassMap* map);

}  // namespace atrous::data
