// Groups on all threads; a box is compared with runs of those kept so far, several at once.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/box_overlaps.h"
#include "kernels/common/sort_key.h"
#include "kernels/nms/nms_impl.h"

namespace atrous::kernels {
namespace {

// Boxes of all groups by falling score, each group's next to each other.
struct Groups {
  std::vector<int32_t> order;  // of all boxes that take part
  std::vector<int32_t> ranks;  // positions in `order`, group after group
  std::vector<int64_t> begin;  // of each group in `ranks`

  Groups(const NmsProblem& p, const NmsInput& in) : begin(static_cast<size_t>(p.options.groups) + 1) {
    const NmsMembers members(p, in);
    std::vector<uint64_t> keys;
    for (int64_t i = 0; i < p.boxes; ++i) {
      if (members.has(i)) keys.push_back(sort_key(in.scores.data<float>()[i], static_cast<uint32_t>(i)));
    }
    std::sort(keys.begin(), keys.end());
    for (uint64_t key : keys) {
      order.push_back(static_cast<int32_t>(index_of(key)));
      ++begin[static_cast<size_t>(members.group(order.back())) + 1];
    }
    for (size_t g = 1; g < begin.size(); ++g) begin[g] += begin[g - 1];
    std::vector<int64_t> next = begin;
    ranks.resize(order.size());
    for (size_t rank = 0; rank < order.size(); ++rank) {
      const auto group = static_cast<size_t>(members.group(order[rank]));
      ranks[static_cast<size_t>(next[group]++)] = static_cast<int32_t>(rank);
    }
  }
};

}  // namespace

void nms_runs(const NmsProblem& p, const NmsInput& in, const NmsResult& out) {
  const Groups groups(p, in);
  const float threshold = rounded_down(p.options.iou_threshold);
  std::vector<uint8_t> kept(groups.order.size());  // by rank
  parallel_for(p.options.groups, 1, [&](int64_t first, int64_t last) {
    std::vector<BoxRun> runs;
    for (auto g = static_cast<size_t>(first); g < static_cast<size_t>(last); ++g) {
      runs.clear();
      int64_t count = 0;
      // No group can have more than the capacity among the best of all.
      for (int64_t i = groups.begin[g]; i < groups.begin[g + 1] && count < p.capacity(); ++i) {
        const auto rank = static_cast<size_t>(groups.ranks[static_cast<size_t>(i)]);
        const Box box = box_at(in.boxes.data<float>(), groups.order[rank]);
        if (std::any_of(runs.begin(), runs.end(),
                        [&](const BoxRun& run) { return overlaps_any(box, run, threshold); }))
          continue;
        if (runs.empty() || runs.back().count == BoxRun::most) runs.emplace_back();
        runs.back().push_back(box);
        kept[rank] = 1;
        ++count;
      }
    }
  });
  auto* indices = out.indices.data<int32_t>();
  int64_t count = 0;
  for (size_t rank = 0; rank < kept.size() && count < p.capacity(); ++rank) {
    if (kept[rank]) indices[count++] = groups.order[rank];
  }
  *out.count.data<int32_t>() = static_cast<int32_t>(count);
  std::fill(indices + count, indices + p.capacity(), -1);
}

}  // namespace atrous::kernels
