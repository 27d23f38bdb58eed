// The text of list files, written on any system and by any editor.
//
// A line holds fields separated by blanks or tabs. A field that contains blanks is written in double quotes;
// a double quote inside such a field is written twice. Empty lines, a byte order mark of UTF-8 and the line
// ends of Windows are ignored. Other encodings are refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atrous::data {

struct ListLine {
  int64_t number = 0;  // in the file, from 1
  std::string text;
  std::vector<std::string> fields;  // at least one
};

// Error(data) names file, line and what to do. With `faults`, errors of single lines are added to
// them and the line left out.
std::vector<ListLine> read_list_lines(const std::string& path, std::vector<std::string>* faults = nullptr);

}  // namespace atrous::data
