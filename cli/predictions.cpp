#include "cli/predictions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/file.h"

namespace atrous::cli {
namespace {

using nlohmann::ordered_json;

// In one line. Paths need not be UTF-8, as JSON must be: invalid bytes become U+FFFD.
std::string text_of(const ordered_json& j) {
  return j.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// Records of a list, one per line.
class Records {
 public:
  explicit Records(std::ostream& out) : out_(out) {}
  void add(const ordered_json& record) {
    out_ << (first_ ? "\n" : ",\n") << text_of(record);
    first_ = false;
  }

 private:
  std::ostream& out_;
  bool first_ = true;
};

ordered_json read_part(const std::string& path) {
  ordered_json part =
      ordered_json::parse(read_file_if_present(path).value_or(""), nullptr, /*allow_exceptions=*/false);
  const auto list = [&](const char* key) { return part.contains(key) && part[key].is_array(); };
  ATROUS_CHECK(
      part.is_object() && list("images") && list("categories") && list("annotations") &&
          part["images"].size() == 1,
      ErrorKind::data,
      "[predict {}] the file must hold what was found in one image. Got something else. Remove it, or "
      "predict without --resume.",
      path);
  return part;
}

}  // namespace

void write_predictions(const std::string& path, const std::string& image_path, const Tensor& image,
                       const layers::Detections& found, const std::vector<data::Rle>& masks,
                       const std::vector<data::ClassInfo>& classes) {
  write_file_atomically(path, [&](std::ostream& out) {
    const ordered_json frame = {
        {"id", 1}, {"file_name", image_path}, {"width", image.dim(1)}, {"height", image.dim(0)}};
    out << "{\"images\":[" << text_of(frame) << "],\n\"categories\":[";
    Records categories(out);
    for (size_t label = 1; label < classes.size(); ++label)
      categories.add({{"id", label}, {"name", classes[label].name}});
    out << "\n],\n\"annotations\":[";
    Records annotations(out);
    for (int64_t i = 0; i < found.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      const float* b = found.boxes.data<float>() + 4 * i;
      const double x = b[0], y = b[1], width = b[2] - x, height = b[3] - y;
      ordered_json a = {{"id", i + 1},
                        {"image_id", 1},
                        {"category_id", found.labels[at]},
                        {"score", static_cast<double>(found.scores[at])},
                        {"bbox", {x, y, width, height}},
                        {"area", width * height},
                        {"iscrowd", 0}};
      if (!masks.empty()) {
        a["area"] = data::rle_area(masks[at]);
        a["segmentation"] = {{"size", {masks[at].height, masks[at].width}},
                             {"counts", data::rle_to_string(masks[at])}};
      }
      annotations.add(a);
    }
    out << "\n]}\n";
  });
}

void join_predictions(const std::string& path, const std::vector<std::string>& parts) {
  write_file_atomically(path, [&](std::ostream& out) {
    // Two passes over the parts: images come before annotations, and not all annotations fit in memory.
    out << "{\"images\":[";
    Records images(out);
    ordered_json categories = ordered_json::array();
    for (size_t i = 0; i < parts.size(); ++i) {
      ordered_json part = read_part(parts[i]);
      part["images"][0]["id"] = i + 1;
      images.add(part["images"][0]);
      ATROUS_CHECK(
          i == 0 || part["categories"] == categories, ErrorKind::data,
          "[predict {}] all images must be predicted with the same classes. This file has other classes than "
          "{}. Predict without --resume, or into another folder.",
          parts[i], parts[0]);
      categories = std::move(part["categories"]);
    }
    out << "\n],\n\"categories\":" << text_of(categories) << ",\n\"annotations\":[";
    Records annotations(out);
    int64_t id = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      ordered_json part = read_part(parts[i]);
      for (ordered_json& a : part["annotations"]) {
        a["id"] = ++id;
        a["image_id"] = i + 1;
        annotations.add(a);
      }
    }
    out << "\n]}\n";
  });
}

}  // namespace atrous::cli
