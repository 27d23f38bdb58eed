// Options that many commands share: where results go (a table on stdout, and `--json FILE|-` for scripts),
// `--device`, and sizes.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/names.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace atrous::cli {

class Report {
 public:
  // Adds `--json FILE|-` to a command. The Report must outlive the parsing.
  void add_option(CLI::App& command);
  // Where the table goes: stdout, or stderr when `--json -` claims stdout for itself.
  std::FILE* table() const { return json_ == "-" ? stderr : stdout; }
  bool wants_json() const { return !json_.empty(); }
  // Writes the text to the file of `--json`; does nothing without it. A file appears whole or not at all.
  // Error(io).
  void write_json(const std::string& text) const;

 private:
  std::string json_;
};

// True if the stream is a terminal (core/terminal.h) and colours are allowed (no NO_COLOR).
bool is_colour_terminal(std::FILE* stream);

// A flag that takes one of `names`; `set` gets it.
CLI::Option* add_choice(CLI::App& command, const char* flag, const std::vector<std::string>& names,
                        const std::function<void(const std::string&)>& set, const std::string& help);
// A flag that takes a name of an enum (core/names.h), or of those in `names`. `value` must outlive the
// parsing.
template <NamedEnum E>
CLI::Option* add_choice(CLI::App& command, const char* flag, E& value, const std::string& help,
                        const std::vector<std::string>& names = all_names<E>()) {
  return add_choice(
      command, flag, names, [&value](const std::string& name) { value = *find_named<E>(name); }, help);
}
template <NamedEnum E>
CLI::Option* add_choice(CLI::App& command, const char* flag, std::optional<E>& value,
                        const std::string& help) {
  return add_choice(
      command, flag, all_names<E>(), [&value](const std::string& name) { value = find_named<E>(name); },
      help);
}

// `--device`, on every command that runs a network. chosen_device: Error(usage) if there is no such device,
// with the reason.
void add_device_option(CLI::App& command, std::string& device);
Device chosen_device(const std::string& name);

// Error(usage) if a command would replace its input, a weights file (core/weights_file.h), by its output.
void check_other_file(const char* command, const std::string& input, const std::string& output);

// "480x640" -> height, width. Error(usage) names the option.
struct Size {
  long height = 0;
  long width = 0;
};
Size parse_size(const std::string& text, const char* option);

}  // namespace atrous::cli
