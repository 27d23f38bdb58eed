// Text and JSON of the findings of check.cpp.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "data/check_internal.h"

namespace atrous::data {
namespace {

using Json = nlohmann::ordered_json;

using internal::list_counts;

std::string split_table(const SplitReport& s, const std::vector<ClassInfo>& classes) {
  const int64_t labelled = s.histogram.total - s.histogram.ignored;
  std::string out = fmt::format("\n{}: {}; sizes {}; labels {}\n", s.split, counted(s.images, "image"),
                                list_counts(s.sizes), list_counts(s.label_formats));
  if (s.histogram.total == 0) return out;
  const std::vector<double> weights =
      labelled ? median_frequency_weights(s.histogram) : std::vector<double>(classes.size(), 1.0);
  size_t name_width = 7;
  for (const ClassInfo& c : classes) name_width = std::max(name_width, c.name.size());
  out += fmt::format("  {:>3}  {:<{}}  {:>14}  {:>7}  {:>7}  {:>13}\n", "id", "class", name_width, "pixels",
                     "share", "images", "median weight");
  for (size_t k = 0; k < classes.size(); ++k) {
    const int64_t pixels = s.histogram.pixels[k];
    out += fmt::format("  {:>3}  {:<{}}  {:>14}  {:>6.2f}%  {:>7}  {:>13}\n", k, classes[k].name, name_width,
                       pixels, internal::percent(pixels, labelled), s.histogram.images[k],
                       pixels ? fmt::format("{:.4f}", weights[k]) : "-");
  }
  out += fmt::format("  {:>3}  {:<{}}  {:>14}  {:>6.2f}%  (of all pixels)\n", "-", "ignored", name_width,
                     s.histogram.ignored, internal::percent(s.histogram.ignored, s.histogram.total));
  return out;
}

}  // namespace

int64_t CheckReport::errors() const {
  return std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.is_error; });
}

std::string CheckReport::table() const {
  std::string out = fmt::format("data set: {} in {}\n", dataset, root);
  if (!label_map.empty()) out += fmt::format("label map: {}\n", label_map);
  for (const std::string& note : notes) out += note + "\n";
  for (const SplitReport& s : splits) out += split_table(s, classes);
  return out + internal::findings_table(findings);
}

std::string CheckReport::json() const {
  Json json{{"dataset", dataset},       {"root", root},   {"label_map", label_map},
            {"classes", Json::array()}, {"notes", notes}, {"splits", Json::array()}};
  for (const ClassInfo& c : classes) json["classes"].push_back({{"name", c.name}, {"color", c.color}});
  for (const SplitReport& s : splits) {
    Json item{{"split", s.split},
              {"images", s.images},
              {"unreadable", s.unreadable},
              {"sizes", s.sizes},
              {"label_formats", s.label_formats},
              {"class_pixels", s.histogram.pixels},
              {"class_images", s.histogram.images},
              {"ignored_pixels", s.histogram.ignored},
              {"pixels", s.histogram.total},
              {"single_class_labels", s.single_class_labels}};
    if (s.histogram.total > s.histogram.ignored)
      item["median_frequency_weights"] = median_frequency_weights(s.histogram);
    for (const auto& [value, count] : s.values) item["file_values"][std::to_string(value)] = count;
    json["splits"].push_back(std::move(item));
  }
  json["errors"] = Json::array();
  json["warnings"] = Json::array();
  for (const Finding& f : findings) json[f.is_error ? "errors" : "warnings"].push_back(f.message);
  // File names may hold any bytes; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace atrous::data
