#include <algorithm>
#include <numeric>

#include "data/check_internal.h"

namespace atrous::data::internal {

Pieces pieces_of(const Mask& mask) {
  // Runs of the rows, joined with the runs of the row above that they touch.
  struct Run {
    int64_t begin, end;
    size_t parent;
  };
  std::vector<Run> runs;
  const auto root = [&](size_t r) {
    while (runs[r].parent != r) r = runs[r].parent = runs[runs[r].parent].parent;
    return r;
  };
  size_t above = 0, above_end = 0;  // runs of the row before
  for (int64_t y = 0; y < mask.height; ++y) {
    const uint8_t* row = mask.pixels.data() + y * mask.width;
    const size_t first = runs.size();
    for (int64_t x = 0; x < mask.width;) {
      if (!row[x]) {
        ++x;
        continue;
      }
      const int64_t begin = x;
      while (x < mask.width && row[x]) ++x;
      const size_t now = runs.size();
      runs.push_back({begin, x, now});
      while (above < above_end && runs[above].end < begin) ++above;
      // The last one that touches may touch the next run as well.
      for (size_t a = above; a < above_end && runs[a].begin <= x; ++a) runs[root(a)].parent = root(now);
    }
    above = first;
    above_end = runs.size();
  }
  std::vector<int64_t> areas(runs.size());
  for (size_t r = 0; r < runs.size(); ++r) areas[root(r)] += runs[r].end - runs[r].begin;
  Pieces out;
  for (const int64_t area : areas) {
    out.count += area > 0;
    out.largest = std::max(out.largest, area);
    out.area += area;
  }
  return out;
}

}  // namespace atrous::data::internal
