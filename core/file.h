// Reading files as a whole.
#pragma once

#include <optional>
#include <string>

namespace atrous {

// The content; nothing if there is no such file. Error(io) if it is there and cannot be read to its end.
std::optional<std::string> read_file_if_present(const std::string& path);

// After a file could not be opened or read: throws std::bad_alloc if the reason is lack of memory (errno),
// which libc needs to open a file. Then the file is not at fault.
void throw_if_no_memory();

}  // namespace atrous
