// Harmless assumptions and omissions of file readers: printed once per kind, then counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atrous::data {

struct Note {
  std::string what;        // "the end marker (EOI) is missing; all pixels are there"
  std::string first_file;  // where it occurred first
  int64_t files = 0;       // in how many files

  std::string line() const;  // "note: a.jpg and 2 more: the end marker ..."
};

// Thread-safe. The first file of a kind is printed on stderr at once; others, and the same file again, are
// only counted (each file once).
void note(const std::string& what, const std::string& file);
// All kinds so far, in the order in which they came.
std::vector<Note> notes();
// A line on stderr for each kind that more than one file had: how many. Then all is cleared.
void print_note_counts();

}  // namespace atrous::data
