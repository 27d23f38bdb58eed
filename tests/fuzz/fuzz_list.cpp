// List files: read_list, and the lists of the sets that have them.
#include <algorithm>
#include <set>

#include "data/list_dataset.h"
#include "data/sets/files.h"
#include "harness.h"

using namespace atrous;

namespace {

void require_inside(const std::string& path) {
  fuzz::require(path.empty() || path[0] != '/', "a path is relative to the root");
  fuzz::require(path != ".." && !path.starts_with("../") && path.find("/../") == std::string::npos,
                "a path stays inside the root");
}

// As docs/data.md says: a name that holds blanks stands in double quotes, a double quote in it is written
// twice.
std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

void read_pairs(fuzz::Bytes text, bool label_optional, const std::string& strip_prefix) {
  fuzz::accepts({ErrorKind::data}, [&] {
    const auto entries = data::read_list(fuzz::file_with(text), label_optional, strip_prefix);
    const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
    std::set<std::string> ids;
    std::string written;
    fuzz::require(!entries.empty(), "an accepted list names an image");
    for (const data::ListEntry& e : entries) {
      fuzz::require(!e.image.empty() && (label_optional || !e.label.empty()), "an entry has its files");
      require_inside(e.image);
      require_inside(e.label);
      fuzz::require(ids.insert(e.id).second, "an id occurs once");
      fuzz::require(e.line >= 1 && e.line <= lines, "an entry has the line it stands in");
      written += quoted(e.image);
      if (!e.label.empty()) written.append(" ").append(quoted(e.label));
      written += '\n';
    }
    const auto again = data::read_list(fuzz::file_with(fuzz::bytes_of(written)), label_optional);
    fuzz::require(again.size() == entries.size(), "no entry is lost");
    for (size_t i = 0; i < entries.size(); ++i) {
      fuzz::require(again[i].image == entries[i].image && again[i].label == entries[i].label &&
                        again[i].id == entries[i].id,
                    "quoted names are read as they were written");
    }
  });
}

}  // namespace

// A byte of choices, then the text.
FUZZ_HARNESS(list, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  if (choice & 1) {
    fuzz::accepts({ErrorKind::data}, [&] {
      std::set<std::string> ids;
      for (const data::ListEntry& e : data::files::read_ids(fuzz::file_with(input.left))) {
        fuzz::require(!e.id.empty() && e.id[0] != '.' && e.id.find('/') == std::string::npos,
                      "an id is a plain name");
        fuzz::require(ids.insert(e.id).second, "an id occurs once");
      }
    });
  } else {
    read_pairs(input.left, choice & 2, choice & 4 ? "/SegNet/" : "");
  }
}
