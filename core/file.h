// Reading files as a whole.
#pragma once

#include <optional>
#include <string>

namespace atrous {

// The content; nothing if there is no such file. Error(io) if it is there and cannot be read to its end.
std::optional<std::string> read_file_if_present(const std::string& path);

}  // namespace atrous
