// What both kinds of check share. Internal to data/.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/instances.h"
#include "core/tensor.h"
#include "data/check.h"

namespace atrous::data::internal {

inline constexpr int64_t max_files_named = 10;  // per split; the rest is counted

// FNV-1a over shape and pixels: the same picture under another name or in another container.
uint64_t hash_pixels(const Tensor& image);

// Images that occur twice: between train and val an error, within a split a warning.
class CopyFinder {
 public:
  std::optional<Finding> add(const std::string& split, const std::string& id, uint64_t hash);

 private:
  std::unordered_map<uint64_t, std::pair<std::string, std::string>> seen_;
};

// The parts of a mask that do not touch each other, not even at corners.
struct Pieces {
  int64_t count = 0;
  int64_t largest = 0;  // pixels
  int64_t area = 0;     // of all
};
Pieces pieces_of(const Mask& mask);

// "480x360 (120), 640x480 (3), and 7 more"
std::string list_counts(const std::map<std::string, int64_t>& counts);
double percent(int64_t part, int64_t whole);
// "2 errors, 1 warning" under a line each.
std::string findings_table(const std::vector<Finding>& findings);

}  // namespace atrous::data::internal
