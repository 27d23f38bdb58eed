// JSON as data that remembers where it was written, for messages such as "camvid.json:12: ...".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace atrous {

struct JsonValue {
  enum class Kind { null, boolean, integer, number, string, array, object };

  // Defined below: clang 14 needs it while it completes the pair in `object`.
  JsonValue();

  Kind kind = Kind::null;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;  // also set for integers
  std::string string;
  std::vector<JsonValue> array;
  std::vector<std::pair<std::string, JsonValue>> object;  // in file order, keys unique
  std::string where;  // "file:line" of the key (or of the list that holds this)

  static JsonValue of(bool value);
  static JsonValue of(int64_t value);
  static JsonValue of(double value);
  // An absent optional is null.
  static JsonValue of(const std::optional<double>& value) { return value ? of(*value) : JsonValue{}; }
  static JsonValue of(const std::string& value);
  static JsonValue of(const char* value) { return of(std::string(value)); }
  template <class T>
  static JsonValue of(const std::vector<T>& values) {
    JsonValue v;
    v.kind = Kind::array;
    for (const T& value : values) v.array.push_back(of(value));
    return v;
  }
  static JsonValue make_object();

  bool is_number() const { return kind == Kind::integer || kind == Kind::number; }
  // Member of an object; null if there is none.
  const JsonValue* find(const std::string& key) const;
  // Member of an object, appended if there is none.
  JsonValue& operator[](const std::string& key);
  // What a message calls this, e.g. "the string \"abc\"" or "a list of 3".
  std::string describe() const;
};

inline JsonValue::JsonValue() = default;

// Strict JSON. Refused with Error(config), naming origin and line: syntax errors, a key given twice, numbers
// that no double holds, nesting deeper than 32, texts over 4 MiB. NaN and comments are not JSON.
JsonValue parse_json(const std::string& text, const std::string& origin);

// Objects one key per line, lists of plain values on one line. `indent` < 0: everything on one line.
// Doubles are written with the fewest digits that read back bit-identical.
std::string to_text(const JsonValue& value, int indent = 2);

}  // namespace atrous
