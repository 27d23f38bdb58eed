#include "core/terminal.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace atrous {

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) && !(term && !std::strcmp(term, "dumb"));
}

namespace {

std::atomic<bool> bar_shown{false};
constexpr std::string_view start_of_line = "\r\033[K";

void write(std::FILE* out, std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), out);
}

}  // namespace

void show_bar(std::string_view text) noexcept {
  write(stderr, start_of_line);
  write(stderr, text);
  std::fflush(stderr);
  bar_shown = true;
}

void clear_bar() noexcept {
  if (bar_shown.exchange(false)) write(stderr, start_of_line);
}

void write_text(std::FILE* out, std::string_view text) noexcept {
  if (bar_shown && (out == stderr || is_terminal(out))) clear_bar();
  write(out, text);
}

}  // namespace atrous
