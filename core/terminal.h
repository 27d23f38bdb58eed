// Whether somebody watches.
#pragma once

#include <cstdio>

namespace atrous {

// True if the stream is a terminal that can redraw a line (TERM is not "dumb").
bool is_terminal(std::FILE* stream);

}  // namespace atrous
