#include "data/coco_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "core/error.h"

namespace atrous::data::internal {
namespace {

// Holds one record at a time.
class RecordReader : public nlohmann::json_sax<Json> {
 public:
  RecordReader(const std::string& path, const CocoLimits& limits, std::map<std::string, OnRecord> sections,
               const Faults& faults);
  RecordReader(const std::string& path, const CocoLimits& limits, OnRecord on_result, OnRecord on_image,
               OnRecord on_category);

  // Error(data) for text that is not such a file.
  void read();

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override { return value(v); }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override { return value(std::move(v)); }
  bool binary(binary_t&) override { return true; }  // JSON text has none
  bool start_object(size_t) override;
  bool start_array(size_t) override;
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override;
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& problem) override;

 private:
  // Depth at which records begin.
  int64_t record_depth() const { return is_results_ ? 1 : 2; }
  std::string where() const;
  bool deeper();
  bool value(Json v);
  // For a value that stands where a list of records or a record belongs: refuses it.
  void check_is_outside();
  bool open(Json container);
  Json* add(Json v);
  bool close();

  std::string path_;
  CocoLimits limits_;
  std::map<std::string, OnRecord> sections_;
  Faults faults_;
  OnRecord on_record_;  // of the list that is being read; empty in skipped parts
  bool is_results_ = false, needs_categories_ = true;
  std::unordered_set<std::string> seen_;
  std::string section_, key_;
  int64_t depth_ = 0, number_ = 0, values_ = 0;
  bool in_list_ = false;
  Json record_;
  std::vector<Json*> open_;  // containers of the record that are not closed yet, the record first
};

RecordReader::RecordReader(const std::string& path, const CocoLimits& limits,
                           std::map<std::string, OnRecord> sections, const Faults& faults)
    : path_(path), limits_(limits), sections_(std::move(sections)), faults_(faults) {}
RecordReader::RecordReader(const std::string& path, const CocoLimits& limits, OnRecord on_result,
                           OnRecord on_image, OnRecord on_category)
    : RecordReader(path, limits,
                   {{"annotations", on_result},
                    {"images", std::move(on_image)},
                    {"categories", std::move(on_category)}},
                   Faults()) {
  on_record_ = std::move(on_result);
  is_results_ = true;
  needs_categories_ = false;
}

void RecordReader::read() {
  std::error_code error;
  ATROUS_CHECK(std::filesystem::is_regular_file(path_, error), ErrorKind::data,
               "[{}] must be a JSON file. File not found.", path_);
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path_, error));
  ATROUS_CHECK(!error && bytes <= limits_.max_file_bytes, ErrorKind::data,
               "[{}] a file may have at most {} bytes. Got {}. Split it.", path_, limits_.max_file_bytes,
               bytes);
  std::ifstream file(path_, std::ios::binary);
  ATROUS_CHECK(file.good(), ErrorKind::data, "[{}] the file cannot be opened.", path_);
  Json::sax_parse(file, this);
  for (const auto& [name, unused] : sections_) {
    if (name == "categories" && !needs_categories_) continue;
    ATROUS_CHECK(is_results_ || seen_.count(name), ErrorKind::data,
                 "[{}] an annotation file must have the lists \"images\", \"annotations\" and "
                 "\"categories\", an object of results the first two. There is no \"{}\".",
                 path_, name);
  }
}

bool RecordReader::start_object(size_t) {
  if (depth_ == 0 && is_results_) {
    is_results_ = false;
    on_record_ = nullptr;
  }
  return open(Json::object());
}

bool RecordReader::start_array(size_t) {
  if (depth_ == 0) {
    ATROUS_CHECK(is_results_, ErrorKind::data,
                 "[{}] an annotation file must be an object with \"images\", \"annotations\" and "
                 "\"categories\". Got a list. Is it a results file?",
                 path_);
  }
  const bool begins_list = depth_ == record_depth() - 1 && on_record_;
  if (!begins_list) return open(Json::array());
  in_list_ = true;
  number_ = 0;
  return deeper();
}

bool RecordReader::key(string_t& name) {
  if (depth_ == 1 && !is_results_) {
    section_ = name;
    const auto found = sections_.find(name);
    on_record_ = found == sections_.end() ? nullptr : found->second;
    if (on_record_) {
      ATROUS_CHECK(seen_.insert(name).second, ErrorKind::data, "[{}] duplicate key \"{}\".", path_, name);
    }
  }
  key_ = name;
  return true;
}

bool RecordReader::parse_error(size_t position, const std::string&,
                               const nlohmann::detail::exception& problem) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."; the last token is
  // quoted in it, however long.
  std::string text = problem.what();
  text = text.substr(std::min(text.size(), text.find("] ") + 2), 200);
  fail(ErrorKind::data, "[{}] the file must be JSON. At byte {}: {}. Was it written or copied to its end?",
       path_, position, text);
}

std::string RecordReader::where() const {
  return is_results_ ? fmt::format("{}: result {}", path_, number_)
                     : fmt::format("{}: {}[{}]", path_, section_, number_);
}

bool RecordReader::deeper() {
  ATROUS_CHECK(
      ++depth_ <= limits_.max_depth, ErrorKind::data,
      "[{}] lists and objects may be nested at most {} deep. They are deeper. It is not a COCO file.", path_,
      limits_.max_depth);
  return true;
}

bool RecordReader::value(Json v) {
  if (!open_.empty()) {
    add(std::move(v));
    return true;
  }
  ATROUS_CHECK(depth_ > 0, ErrorKind::data, "[{}] must be an annotation or results file. Got a single value.",
               path_);
  check_is_outside();
  return true;
}

void RecordReader::check_is_outside() {
  if (!on_record_) return;
  if (depth_ == record_depth() && in_list_) {
    faults_.attempt([&] { fail(ErrorKind::data, "[{}] a record must be an object {{...}}.", where()); });
    ++number_;
  }
  ATROUS_CHECK(depth_ != record_depth() - 1, ErrorKind::data, "[{}] \"{}\" must be a list.", path_, section_);
}

bool RecordReader::open(Json container) {
  if (!open_.empty()) {
    open_.push_back(add(std::move(container)));
  } else if (in_list_ && depth_ == record_depth() && container.is_object()) {
    record_ = std::move(container);
    values_ = 0;
    open_.push_back(&record_);
  } else if (depth_ > 0) {
    check_is_outside();
  }
  return deeper();
}

Json* RecordReader::add(Json v) {
  ATROUS_CHECK(++values_ <= limits_.max_values_per_record, ErrorKind::data,
               "[{}] a record may hold at most {} values. It holds more.", where(),
               limits_.max_values_per_record);
  Json& parent = *open_.back();
  if (parent.is_array()) {
    parent.push_back(std::move(v));
    return &parent.back();
  }
  return &(parent[key_] = std::move(v));
}

bool RecordReader::close() {
  --depth_;
  if (!open_.empty()) {
    open_.pop_back();
    if (open_.empty()) {
      on_record_(record_, where());
      ++number_;
    }
  } else if (in_list_ && depth_ == record_depth() - 1) {
    in_list_ = false;
  }
  return true;
}

}  // namespace

void read_records(const std::string& path, const CocoLimits& limits, std::map<std::string, OnRecord> sections,
                  const Faults& faults) {
  RecordReader(path, limits, std::move(sections), faults).read();
}

void read_result_records(const std::string& path, const CocoLimits& limits, OnRecord on_result,
                         OnRecord on_image, OnRecord on_category) {
  RecordReader(path, limits, std::move(on_result), std::move(on_image), std::move(on_category)).read();
}

}  // namespace atrous::data::internal
