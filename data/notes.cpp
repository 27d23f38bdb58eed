#include "data/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "core/terminal.h"

namespace atrous::data {
namespace {

struct Kind {
  Note note;
  std::unordered_set<std::string> files;
};

struct Register {
  std::mutex mutex;
  std::vector<Kind> kinds;
};

Register& all() {
  static Register notes;
  return notes;
}

}  // namespace

std::string Note::line() const {
  return fmt::format("note: {}{}: {}", first_file, files > 1 ? fmt::format(" and {} more", files - 1) : "",
                     what);
}

void note(const std::string& what, const std::string& file) {
  Register& seen = all();
  std::lock_guard lock(seen.mutex);
  auto kind =
      std::find_if(seen.kinds.begin(), seen.kinds.end(), [&](const Kind& k) { return k.note.what == what; });
  if (kind == seen.kinds.end()) {
    print_to(stderr, "note: {}: {}\n", file, what);
    kind = seen.kinds.insert(seen.kinds.end(), Kind{{what, file, 0}, {}});
  }
  if (kind->files.insert(file).second) ++kind->note.files;
}

std::vector<Note> notes() {
  std::lock_guard lock(all().mutex);
  std::vector<Note> out;
  for (const Kind& kind : all().kinds) out.push_back(kind.note);
  return out;
}

void print_note_counts() {
  std::lock_guard lock(all().mutex);
  for (const Kind& kind : all().kinds) {
    if (kind.note.files > 1) print_to(stderr, "note: {} files in all: {}\n", kind.note.files, kind.note.what);
  }
  all().kinds.clear();
}

}  // namespace atrous::data
