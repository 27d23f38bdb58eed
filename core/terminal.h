// Output on stdout and stderr.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace atrous {

// True if the stream is a terminal that can redraw a line (TERM is not "dumb").
bool is_terminal(std::FILE* stream);

// A line of progress at the bottom of the terminal. What is written afterwards takes its place.
void show_bar(std::string_view text) noexcept;
void clear_bar() noexcept;

// Writes the text in one call, so that lines of several processes do not mix. A stream that is closed or full
// is no error here: a message that cannot be written must not end a command, and the program checks at its
// end whether all of stdout was written. (fmt::print throws.)
void write_text(std::FILE* out, std::string_view text) noexcept;

template <class... Args>
void print_to(std::FILE* out, fmt::format_string<Args...> format, Args&&... args) {
  write_text(out, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace atrous
