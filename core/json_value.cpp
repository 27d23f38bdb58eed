#include "core/json_value.h"

#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace atrous {
namespace {

constexpr size_t max_text_bytes = size_t{4} << 20;
constexpr size_t max_depth = 32;

// Counts lines as the parser reads. A key ends at its quote, so the count at that moment is the line of the
// key; numbers are read one character too far, which is why values carry the line of their key.
struct LineCountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  int* line;

  reference operator*() const { return *at; }
  LineCountingIterator& operator++() {
    if (*at == '\n') ++*line;
    ++at;
    return *this;
  }
  friend bool operator==(const LineCountingIterator& a, const LineCountingIterator& b) {
    return a.at == b.at;
  }
};

// Builds the tree from the parser's events. nlohmann's own tree would keep the last of two equal keys in
// silence.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(const std::string& origin, const int* line, JsonValue* root)
      : origin_(origin), line_(line), root_(root) {}

  bool null() override { return add(JsonValue{}); }
  bool boolean(bool value) override { return add(JsonValue::of(value)); }
  bool number_integer(number_integer_t value) override { return add(JsonValue::of(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    ATROUS_CHECK(value <= static_cast<uint64_t>(INT64_MAX), ErrorKind::config,
                 "[config] {}: whole numbers must fit in 64 bits with sign. Got {}. Use a smaller number.",
                 here(), value);
    return add(JsonValue::of(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    ATROUS_CHECK(std::isfinite(value), ErrorKind::config,
                 "[config] {}: numbers must be finite. Got {}. Use a number that a double can hold.", here(),
                 text);
    return add(JsonValue::of(double{value}));
  }
  bool string(string_t& value) override { return add(JsonValue::of(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(JsonValue::Kind::object); }
  bool key(string_t& name) override {
    ATROUS_CHECK(
        !stack_.back()->find(name), ErrorKind::config,
        "[config] {}: each key may be given once. Got \"{}\" again (first at {}). Remove one of them.",
        here(), name, stack_.back()->find(name)->where);
    key_ = name;
    key_where_ = here();
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(JsonValue::Kind::array); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string& token, const nlohmann::json::exception& error) override {
    std::string reason = error.what();
    if (const size_t colon = reason.find(": "); colon != std::string::npos) reason = reason.substr(colon + 2);
    if (reason.find("out of range") != std::string::npos ||
        reason.find("number overflow") != std::string::npos) {
      fail(ErrorKind::config,
           "[config] {}: numbers must be finite. Got {}. Use a number that a double can hold.", here(),
           token);
    }
    fail(ErrorKind::config, "[config] {}: the file must be valid JSON. Got {}. Correct the text there.",
         here(), reason);
  }

 private:
  std::string here() const { return origin_ + ":" + std::to_string(*line_); }
  JsonValue* place(JsonValue value) {
    if (stack_.empty()) {
      value.where = here();
      *root_ = std::move(value);
      return root_;
    }
    JsonValue& parent = *stack_.back();
    value.where = parent.kind == JsonValue::Kind::array ? parent.where : key_where_;
    if (parent.kind == JsonValue::Kind::array) return &parent.array.emplace_back(std::move(value));
    return &parent.object.emplace_back(key_, std::move(value)).second;
  }
  bool add(JsonValue value) {
    place(std::move(value));
    return true;
  }
  bool open(JsonValue::Kind kind) {
    ATROUS_CHECK(stack_.size() < max_depth, ErrorKind::config,
                 "[config] {}: objects and lists may be nested {} deep. Got more. Flatten the file.", here(),
                 max_depth);
    JsonValue value;
    value.kind = kind;
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  const std::string& origin_;
  const int* line_;
  JsonValue* root_;
  std::vector<JsonValue*> stack_;  // a parent does not grow while its child is open, so these stay valid
  std::string key_;
  std::string key_where_;
};

void write(const JsonValue& value, int indent, int depth, std::string& out) {
  const auto newline = [&](int d) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(d) * static_cast<size_t>(indent), ' ');
  };
  switch (value.kind) {
    case JsonValue::Kind::null: out += "null"; return;
    case JsonValue::Kind::boolean: out += value.boolean ? "true" : "false"; return;
    case JsonValue::Kind::integer: out += std::to_string(value.integer); return;
    // JSON has no word for NaN and Inf; metrics of a broken run hold them nevertheless.
    case JsonValue::Kind::number: out += nlohmann::json(value.number).dump(); return;
    case JsonValue::Kind::string:
      out += nlohmann::json(value.string).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      return;
    case JsonValue::Kind::array: {
      bool nested = false;
      for (const JsonValue& element : value.array) nested |= element.kind == JsonValue::Kind::object;
      out += "[";
      for (size_t i = 0; i < value.array.size(); ++i) {
        if (i) out += indent < 0 || nested ? "," : ", ";
        if (nested) newline(depth + 1);
        write(value.array[i], indent, depth + 1, out);
      }
      if (nested) newline(depth);
      out += "]";
      return;
    }
    case JsonValue::Kind::object: {
      out += "{";
      bool first = true;
      for (const auto& [key, member] : value.object) {
        if (!first) out += ",";
        first = false;
        newline(depth + 1);
        out += nlohmann::json(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        out += indent < 0 ? ":" : ": ";
        write(member, indent, depth + 1, out);
      }
      if (!value.object.empty()) newline(depth);
      out += "}";
      return;
    }
  }
}

}  // namespace

JsonValue JsonValue::of(bool value) {
  JsonValue v;
  v.kind = Kind::boolean;
  v.boolean = value;
  return v;
}

JsonValue JsonValue::of(int64_t value) {
  JsonValue v;
  v.kind = Kind::integer;
  v.integer = value;
  v.number = static_cast<double>(value);
  return v;
}

JsonValue JsonValue::of(double value) {
  JsonValue v;
  v.kind = Kind::number;
  v.number = value;
  return v;
}

JsonValue JsonValue::of(const std::string& value) {
  JsonValue v;
  v.kind = Kind::string;
  v.string = value;
  return v;
}

JsonValue JsonValue::make_object() {
  JsonValue v;
  v.kind = Kind::object;
  return v;
}

const JsonValue* JsonValue::find(const std::string& key) const {
  for (const auto& [name, member] : object) {
    if (name == key) return &member;
  }
  return nullptr;
}

JsonValue& JsonValue::operator[](const std::string& key) {
  for (auto& [name, member] : object) {
    if (name == key) return member;
  }
  return object.emplace_back(key, JsonValue{}).second;
}

std::string JsonValue::describe() const {
  switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean ? "true" : "false";
    case Kind::integer: return std::to_string(integer);
    case Kind::number: return to_text(*this, -1);
    case Kind::string: return "the string " + to_text(*this, -1);
    case Kind::array: return "a list of " + std::to_string(array.size());
    case Kind::object: return "an object";
  }
  return "?";
}

JsonValue parse_json(const std::string& text, const std::string& origin) {
  ATROUS_CHECK(text.size() <= max_text_bytes, ErrorKind::config,
               "[config] {}: a config may have {} bytes. Got {}. This is probably not a config file.", origin,
               max_text_bytes, text.size());
  int line = 1;
  JsonValue root;
  Builder builder(origin, &line, &root);
  const LineCountingIterator begin{text.data(), &line};
  const LineCountingIterator end{text.data() + text.size(), &line};
  nlohmann::json::sax_parse(begin, end, &builder);
  return root;
}

std::string to_text(const JsonValue& value, int indent) {
  std::string out;
  write(value, indent, 0, out);
  return out;
}

}  // namespace atrous
