// The build: for `--version`, `doctor` and bug reports.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace atrous::cli {

std::string version();     // "0.1.0"
std::string git_hash();    // of the source tree at configure time; empty outside a repository
std::string build_type();  // "Release"
std::string sanitizers();  // value of -fsanitize=, usually empty
std::string compiler();    // "GCC 12.2.0"
// Name and version of each library: the version that runs if the library reports it, else the one compiled
// against.
std::vector<std::pair<std::string, std::string>> libraries();
// "atrous 0.1.0 (4db85e3)"
std::string version_line();

}  // namespace atrous::cli
