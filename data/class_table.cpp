#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "data/list_dataset.h"

namespace atrous::data {

Color default_color(int64_t k) {
  // The bits of k spread over the channels, most significant first: the colouring of PASCAL VOC.
  Color color{};
  for (int bit = 0; bit < 8; ++bit) {
    for (size_t c = 0; c < 3; ++c) {
      color[c] = static_cast<uint8_t>(color[c] | ((k >> (3 * bit + static_cast<int>(c))) & 1) << (7 - bit));
    }
  }
  return color;
}

ClassTable read_class_table(const std::string& path) {
  const std::vector<uint8_t> bytes = read_file(path, 1 << 20);
  const auto check = [&](bool ok, const std::string& what) {
    ATROUS_CHECK(
        ok, ErrorKind::data,
        "[{}] {}. Expected {{\"classes\": [{{\"id\": 0, \"name\": \"sky\", \"color\": [r, g, b]}}, ...], "
        "\"ignore_index\": 255}}.",
        path, what);
  };
  const auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(json.is_object(), "the class table must be a JSON object");
  check(json.contains("classes") && json["classes"].is_array() && !json["classes"].empty(),
        "`classes` must be a list");
  check(json["classes"].size() <= ignore_label, "there may be at most 255 classes");
  ClassTable table;
  if (const auto ignored = json.find("ignore_index"); ignored != json.end() && !ignored->is_null()) {
    check(ignored->is_number_integer() && *ignored >= 0 && *ignored <= 65535,
          "`ignore_index` must be a label value");
    table.ignore_index = ignored->get<int64_t>();
  }
  int64_t position = 0;
  for (const auto& item : json["classes"]) {
    const int64_t k = position++;
    check(item.is_object() && item.contains("name") && item["name"].is_string(),
          fmt::format("entry {} must have a `name`", k));
    ClassInfo info{item["name"].get<std::string>(), default_color(k)};
    const auto id = item.find("id");
    check(id == item.end() || (id->is_number_integer() && *id >= 0 && *id <= 65535),
          fmt::format("the `id` of `{}` must be a label value", info.name));
    const int64_t value = id == item.end() ? k : id->get<int64_t>();
    check(std::find(table.ids.begin(), table.ids.end(), value) == table.ids.end(),
          fmt::format("duplicate id {}", value));
    if (const auto color = item.find("color"); color != item.end()) {
      check(color->is_array() && color->size() == 3,
            fmt::format("the colour of `{}` must have three numbers", info.name));
      for (size_t c = 0; c < 3; ++c) {
        const auto& part = (*color)[c];
        check(part.is_number_integer() && part >= 0 && part <= 255,
              fmt::format("the colour of `{}` must be within 0 to 255", info.name));
        info.color[c] = part.get<uint8_t>();
      }
    }
    if (value == table.ignore_index) continue;
    table.ids.push_back(value);
    table.classes.push_back(std::move(info));
  }
  check(!table.classes.empty(), "there must be a class that is not ignored");
  return table;
}

void write_class_table(const std::string& path, const ClassTable& table) {
  // (An empty value that becomes an object when it is indexed does not survive a failed allocation.)
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  json["num_classes"] = table.classes.size();
  if (table.ignore_index) json["ignore_index"] = *table.ignore_index;
  json["classes"] = nlohmann::ordered_json::array();
  for (const ClassInfo& info : table.classes) {
    const size_t k = json["classes"].size();
    json["classes"].push_back({{"id", k < table.ids.size() ? table.ids[k] : static_cast<int64_t>(k)},
                               {"name", info.name},
                               {"color", info.color}});
  }
  write_file_atomically(path, json.dump(1) + "\n");
}

}  // namespace atrous::data
