// The fields of a record of a COCO file. Internal to data/. Every function is an Error(data) that names the
// record (`where`) and the rule for a value that breaks it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/coco_budget.h"
#include "data/coco_json.h"
#include "data/faults.h"

namespace atrous::data::internal {

using Json = nlohmann::json;

// Null if the record has no such field, or null there.
const Json* find(const Json& record, const char* key);
const Json& need(const Json& record, const char* key, const std::string& where);

// Deviations of a record from the format that do not make it invalid.
struct Oddities {
  bool text_id = false, rle_in_list = false, empty_polygon = false;
  void count(CocoRepairs& repairs) const;
};

double finite(const Json& v, const char* what, const std::string& where);
// Also 42.0, which tools that keep ids in tables of floats write.
int64_t whole(const Json& v, const char* what, const std::string& where);
// A whole number, also written as text: "12".
int64_t id_of(const Json& record, const char* key, const std::string& where, Oddities& odd);
bool flag(const Json& record, const char* key, const std::string& where);
std::string text_or(const Json& record, const char* key, std::string otherwise, const std::string& where);
// False if there is none (or []).
bool read_box(const Json& record, CocoBox& box, const std::string& where);
CocoCategory read_category(const Json& record, const std::string& where, Oddities& odd);
CocoImage read_image(const Json& record, const std::string& where, Oddities& odd);

// A segmentation as the file holds it: polygons, which need the size of their image, or run lengths, which
// have one.
struct Outline {
  std::vector<std::vector<double>> polygons;
  Rle rle;

  bool empty() const { return polygons.empty() && rle.counts.empty(); }
};
// Empty if there is none, or only empty polygons. Each polygon may have a fault; false if one has.
bool read_outline(const Json& record, Outline& outline, const std::string& where, Oddities& odd,
                  const Faults& faults);
// Moves the outline's memory.
Rle outline_mask(Outline& outline, const CocoImage& image, const std::string& where, CocoBudget& budget);

}  // namespace atrous::data::internal
