// Files that are there whole or not at all, whatever happens while they are written.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace atrous {

// Writes to `path`.tmp in the same folder, syncs it to the disk, renames it to `path` and syncs the folder:
// after a crash or a power cut at any moment, `path` holds either what it held before or all of the new
// content. If `keep` is given, the old file replaces that one first, just as whole; `path` exists all the
// while (but on file systems without hard links). Only one process may write a path at a time (a run holds a
// lock on its folder).
//
// A pipe or a device (/dev/stdout) is written to directly, never replaced.
//
// `expected_bytes` (0: unknown) is compared with the free space first. Error(io) with the system's reason;
// then `path` is untouched and the temporary file is gone.
void write_file_atomically(const std::string& path, const std::function<void(std::ostream&)>& write,
                           uint64_t expected_bytes = 0, const std::string& keep = "");
void write_file_atomically(const std::string& path, const std::string& content);

}  // namespace atrous
