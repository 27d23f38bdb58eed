#include "cli/common_flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/terminal.h"
#include "core/weights_file.h"

namespace atrous::cli {
namespace {

std::string system_reason() {
  return std::strerror(errno);
}

// Reported at the start instead of after hours of work. A folder that the command itself will create for
// its results (`out`) need not exist yet.
void check_json_path(const std::string& path, const std::string& out) {
  namespace fs = std::filesystem;
  if (path == "-") return;
  std::error_code unknown;
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : ".";
  const bool will_be_made =
      !out.empty() && !fs::exists(folder, unknown) &&
      fs::path(path).lexically_normal().string().starts_with(fs::path(out).lexically_normal().string());
  if (will_be_made) return;
  const bool special =
      fs::exists(path, unknown) && !fs::is_regular_file(path, unknown);  // /dev/stdout, a pipe
  const bool is_folder = fs::is_directory(path, unknown);
  const bool writable = ::access(special ? path.c_str() : folder.c_str(), W_OK) == 0;
  const std::string reason = is_folder ? "it is a folder" : system_reason();
  ATROUS_CHECK(writable && !is_folder, ErrorKind::io,
               "[--json] the file must be writable. Got \"{}\": {}. Choose another place.", path, reason);
}

}  // namespace

void Report::add_option(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--json",
          [this, &command](const std::string& path) {
            std::string will_be_made;
            for (const char* name : {"--out", "--report"}) {
              const CLI::Option* folder = command.get_option_no_throw(name);
              if (folder && folder->count() > 0) will_be_made = folder->results().front();
            }
            check_json_path(path, will_be_made);
            json_ = open_file_named(path) == STDOUT_FILENO ? "-" : path;
          },
          "Also write the results as JSON to FILE, or to stdout (-)")
      ->type_name("FILE|-");
}

void Report::write_json(const std::string& content) const {
  if (json_.empty()) return;
  const std::string text = content.ends_with('\n') ? content : content + "\n";
  if (json_ == "-") {
    return write_text(stdout, text);
  }
  write_file_atomically(json_, text);
}

bool is_colour_terminal(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(stream) && !(no_color && *no_color);
}

CLI::Option* add_choice(CLI::App& command, const char* flag, const std::vector<std::string>& names,
                        const std::function<void(const std::string&)>& set, const std::string& help) {
  return command.add_option_function<std::string>(flag, set, help)->check(CLI::IsMember(names));
}

void add_device_option(CLI::App& command, std::string& device) {
  command
      .add_option(
          "--device", device,
          "Where to run: cpu, cuda (an NVIDIA GPU) or sim (CUDA kernels simulated on the host, slowly)")
      ->type_name("DEVICE")
      ->capture_default_str();
}

Device chosen_device(const std::string& name) {
  for (Device device : {Device::cpu, Device::cuda, Device::sim}) {
    if (name != name_of(device)) continue;
    const char* reason = why_unavailable(device);
    ATROUS_CHECK(!reason, ErrorKind::usage,
                 "[--device] {} cannot be used: {}. Use --device cpu, or sim (slow).", name, reason);
    return device;
  }
  fail(ErrorKind::usage, "[--device] the devices are cpu, cuda and sim. Got \"{}\". Use one of them.", name);
}

void check_other_file(const char* command, const std::string& input, const std::string& output) {
  std::error_code ignored;
  ATROUS_CHECK(!std::filesystem::equivalent(split_weights_path(input).file, output, ignored),
               ErrorKind::usage,
               "[{}] the output must not replace the input. Got \"{}\" for both. Choose another --output.",
               command, input);
}

Size parse_size(const std::string& text, const char* option) {
  Size size;
  const size_t x = text.find('x');
  bool ok = x != std::string::npos;
  if (ok) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    const auto h = std::from_chars(begin, begin + x, size.height);
    const auto w = std::from_chars(begin + x + 1, end, size.width);
    ok = h.ec == std::errc() && h.ptr == begin + x && w.ec == std::errc() && w.ptr == end &&
         size.height > 0 && size.width > 0;
  }
  ATROUS_CHECK(ok, ErrorKind::usage, "[{}] wants HEIGHTxWIDTH in pixels. Got \"{}\". Write e.g. 360x480.",
               option, text);
  return size;
}

}  // namespace atrous::cli
