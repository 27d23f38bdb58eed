// Code shared by both kinds of check. Internal to data/.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/instances.h"
#include "core/tensor.h"
#include "data/check.h"

namespace atrous::data::internal {

// FNV-1a over shape and pixels: the same picture under another name or in another container.
uint64_t hash_pixels(const Tensor& image);

// Images that occur twice. Between train and another split they are an error, unless data.allow_overlap is
// set; otherwise a warning.
class CopyFinder {
 public:
  explicit CopyFinder(bool allow_overlap) : allow_overlap_(allow_overlap) {}
  void add(const std::string& split, const std::string& id, uint64_t hash);
  // One for each pair of splits.
  std::vector<Finding> findings() const;

 private:
  struct Copies {
    std::string split, other;  // the split of the copies, and that in which they were found first
    int64_t count = 0;
    std::vector<std::string> examples = {};
  };
  Finding finding_of(const Copies& copies) const;

  bool allow_overlap_;
  std::unordered_map<uint64_t, std::pair<std::string, std::string>> seen_;
  std::vector<Copies> copies_;
};

// Connected pieces of a mask (8-connectivity).
struct Pieces {
  int64_t count = 0;
  int64_t largest = 0;  // pixels
  int64_t area = 0;     // of all
};
Pieces pieces_of(const Mask& mask);

// "480x360 (120), 640x480 (3), and 7 more"; "none"
std::string list_counts(const std::map<std::string, int64_t>& counts);
double percent(int64_t part, int64_t whole);
// "2 errors, 1 warning", with one line for each. Of many findings that differ only in position, the first ten
// are shown and the others counted.
std::string findings_table(const std::vector<Finding>& findings);

}  // namespace atrous::data::internal
