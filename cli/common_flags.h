// Options that many commands share: where results go (a table on stdout, and `--json FILE|-` for scripts),
// `--device`, and sizes.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "core/device.h"

namespace CLI {
class App;
}

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

// `--device`, on every command that runs a network. chosen_device: Error(usage) if there is no such device,
// with the reason.
void add_device_option(CLI::App& command, std::string& device);
Device chosen_device(const std::string& name);

// "480x640" -> height, width. Error(usage) names the option.
struct Size {
  long height = 0;
  long width = 0;
};
Size parse_size(const std::string& text, const char* option);

}  // namespace atrous::cli
