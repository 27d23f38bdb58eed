// A limit on the memory of all masks of one COCO file. Internal to data/.
#pragma once

#include <atomic>
#include <string>

#include "core/error.h"
#include "data/coco_json.h"

namespace atrous::data::internal {

// The remaining budget; shared by the threads that make the masks. Error(data) when it is used up.
class CocoBudget {
 public:
  CocoBudget(const CocoLimits& limits, const std::string& path)
      : limits_(limits), path_(path), runs_(limits.max_runs), crossings_(limits.max_crossings) {}
  void pass(int64_t crossings) {
    spend(crossings_, crossings, limits_.max_crossings, "crossings of edges and pixel columns");
  }
  Rle keep(Rle mask) {
    spend(runs_, static_cast<int64_t>(mask.counts.size()), limits_.max_runs, "runs");
    return mask;
  }

 private:
  void spend(std::atomic<int64_t>& left, int64_t amount, int64_t limit, const char* what) {
    ATROUS_CHECK((left -= amount) >= 0, ErrorKind::data,
                 "[{}] the masks of a file may have at most {} {}. They have more. Split the file.", path_,
                 limit, what);
  }
  const CocoLimits& limits_;
  const std::string& path_;
  std::atomic<int64_t> runs_, crossings_;
};

}  // namespace atrous::data::internal
