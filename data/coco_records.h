// Reads a COCO file as a stream and hands out its records one by one. Internal to data/.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "data/coco_json.h"
#include "data/faults.h"

namespace atrous::data::internal {

using Json = nlohmann::json;

// Holds one record at a time. The records of an annotation file are the members of lists of its one object
// (`sections`), those of a results file the members of its one list, or of the list "annotations" of an
// object that also says which images and categories its results are of.
class RecordReader : public nlohmann::json_sax<Json> {
 public:
  using OnRecord = std::function<void(const Json& record, const std::string& where)>;

  // A record that is no object is a fault; so may be what on_record does.
  RecordReader(const std::string& path, const CocoLimits& limits, std::map<std::string, OnRecord> sections,
               const Faults& faults = Faults());
  RecordReader(const std::string& path, const CocoLimits& limits, OnRecord on_result, OnRecord on_image,
               OnRecord on_category);

  // Error(data) for what is no such file.
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
  // What stands in the place of a list of records, or of a record.
  void check_is_outside();
  bool open(Json container);
  Json* add(Json v);
  bool close();

  std::string path_;
  CocoLimits limits_;
  std::map<std::string, OnRecord> sections_;
  Faults faults_;
  OnRecord on_record_;  // of the list that is being read; empty in what is skipped
  bool is_results_ = false, needs_categories_ = true;
  std::unordered_set<std::string> seen_;
  std::string section_, key_;
  int64_t depth_ = 0, number_ = 0, values_ = 0;
  bool in_list_ = false;
  Json record_;
  std::vector<Json*> open_;  // containers of the record that are not closed yet, the record first
};

}  // namespace atrous::data::internal
