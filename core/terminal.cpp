#include "core/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace atrous {

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) && !(term && !std::strcmp(term, "dumb"));
}

}  // namespace atrous
