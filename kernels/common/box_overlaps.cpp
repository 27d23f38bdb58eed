#include "kernels/common/box_overlaps.h"

#include <algorithm>

#include "core/cpu.h"

namespace atrous::kernels {

void BoxRun::load(const float* boxes, int64_t begin, int64_t n) {
  count = 0;
  for (int64_t i = 0; i < n; ++i) push_back(box_at(boxes, begin + i));
}

void BoxRun::push_back(const Box& b) {
  x1[count] = b.x1;
  y1[count] = b.y1;
  x2[count] = b.x2;
  y2[count] = b.y2;
  area[count++] = area_of(b);
}

ATROUS_MULTIVERSION void overlaps(const Box& box, const BoxRun& run, float* __restrict iou) {
  const float area = area_of(box);
  for (int64_t i = 0; i < run.count; ++i) iou[i] = iou_of(box, area, run[i], run.area[i]);
}

ATROUS_MULTIVERSION bool overlaps_any(const Box& box, const BoxRun& run, float threshold) {
  constexpr int64_t step = 64;  // between two checks of the answer
  const float area = area_of(box);
  for (int64_t begin = 0; begin < run.count; begin += step) {
    const int64_t end = std::min(begin + step, run.count);
    int32_t found = 0;
    for (int64_t i = begin; i < end; ++i) found |= iou_of(box, area, run[i], run.area[i]) > threshold;
    if (found) return true;
  }
  return false;
}

}  // namespace atrous::kernels
