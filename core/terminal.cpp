#include "core/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace atrous {

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) && !(term && !std::strcmp(term, "dumb"));
}

void write_text(std::FILE* out, std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), out);
}

}  // namespace atrous
