// JSON as data, and the log of a run, which may end in half a line.
#include "core/atomic_file.h"
#include "harness.h"
#include "train/json_value.h"
#include "train/run_log.h"

using namespace atrous;
using train::JsonValue;

FUZZ_HARNESS(json, bytes) {
  const std::string text = fuzz::text_of(bytes);
  fuzz::accepts({ErrorKind::config}, [&] {
    const JsonValue value = train::parse_json(text, "x");
    for (const int indent : {-1, 0, 2}) {
      const JsonValue again = train::parse_json(train::to_text(value, indent), "y");
      fuzz::require(train::to_text(again) == train::to_text(value), "a value is read as it was written");
    }
  });
  fuzz::accepts({}, [&] {
    std::string written;
    const std::vector<JsonValue> lines = train::read_metrics(fuzz::file_with(bytes));
    for (const JsonValue& line : lines) written += train::to_text(line, -1) + "\n";
    const std::vector<JsonValue> again = train::read_metrics(fuzz::file_with(fuzz::bytes_of(written)));
    fuzz::require(again.size() == lines.size(), "a line of the log is a line");
    for (size_t i = 0; i < lines.size(); ++i)
      fuzz::require(train::to_text(again[i]) == train::to_text(lines[i]), "a line is read as it was written");
  });
}
