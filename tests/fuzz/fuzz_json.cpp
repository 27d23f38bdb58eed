// JSON as data, and the log of a run, which may end in half a line.
#include "core/atomic_file.h"
#include "core/json_value.h"
#include "harness.h"
#include "train/run_log.h"

using namespace atrous;

FUZZ_HARNESS(json, bytes) {
  const std::string text = fuzz::text_of(bytes);
  fuzz::accepts({ErrorKind::config}, [&] {
    const JsonValue value = parse_json(text, "x");
    for (const int indent : {-1, 0, 2}) {
      const JsonValue again = parse_json(to_text(value, indent), "y");
      fuzz::require(to_text(again) == to_text(value), "a value is read as it was written");
    }
  });
  fuzz::accepts({}, [&] {
    std::string written;
    const std::vector<JsonValue> lines = train::read_metrics(fuzz::file_with(bytes));
    for (const JsonValue& line : lines) written += to_text(line, -1) + "\n";
    const std::vector<JsonValue> again = train::read_metrics(fuzz::file_with(fuzz::bytes_of(written)));
    fuzz::require(again.size() == lines.size(), "a line of the log is a line");
    for (size_t i = 0; i < lines.size(); ++i)
      fuzz::require(to_text(again[i]) == to_text(lines[i]), "a line is read as it was written");
  });
}
