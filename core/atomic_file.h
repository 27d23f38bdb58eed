// Atomic file writes: a file is there whole or not at all, whatever happens during the write and however many
// processes write it.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace atrous {

// Writes to a temporary file in the same folder, syncs it to the disk, renames it to `path` and syncs the
// folder: after a crash or a power cut at any moment, `path` holds either what it held before or all of the
// new content. If `keep` is given, the old file is renamed to that path first, also atomically; `path` exists
// throughout (except on file systems without hard links). Temporary names are unique to a process, so
// of several processes that write one path the last to finish wins, with a whole file. The first write into a
// folder removes what killed processes left there (remove_leftovers).
//
// A pipe or a device is written to directly, never replaced. So is an open file that is named by its number
// (/dev/stdout, /dev/fd/3): where it stands, behind what stdout holds; nothing in it is overwritten.
//
// `expected_bytes` (0: unknown) is compared with the free space first. Error(io) with the system's reason;
// then `path` is untouched and the temporary file is gone.
void write_file_atomically(const std::string& path, const std::function<void(std::ostream&)>& write,
                           uint64_t expected_bytes = 0, const std::string& keep = "");
void write_file_atomically(const std::string& path, const std::string& content);

// Removes the temporary files that killed processes left in the folder. Those of running processes stay: a
// writer holds a lock on its file, which the system drops when the process ends. Those of other hosts, whose
// locks may not be seen here, stay for a day.
void remove_leftovers(const std::string& folder) noexcept;

// The number of the open file that the path names (1 for /dev/stdout), or -1.
int open_file_named(const std::string& path);

// 0 if files can be created in the folder, else the errno that says why not.
int why_not_writable(const std::string& folder);

// A file without a name in the folder, open for reading and writing, that is gone when it is closed; -1 and
// errno if there can be none.
int open_unnamed_file(const std::string& folder);

}  // namespace atrous
