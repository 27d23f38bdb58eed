// Mask targets on the CPU: rows and columns are independent, so every row of the mask that a region reads is
// reduced to one number per bin column once, and rows of these are added up. A pixel is read about once,
// whatever the size of the region.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/mask_targets/mask_targets_impl.h"
#include "kernels/roi_align/roi_taps.h"

namespace atrous::kernels::mask_targets_impl {

void forward_separable(const MaskTargetsProblem& p, const Tensor& masks, const Tensor& rois,
                       const Tensor& y) {
  parallel_for(p.rois, 1, [&](int64_t begin, int64_t end) {
    RoiTaps taps;
    std::vector<float> reduced(static_cast<size_t>(p.size));
    const auto &rows = taps.rows, &columns = taps.columns;
    for (int64_t r = begin; r < end; ++r) {
      const float* roi = rois.data<float>() + 5 * r;
      float* out = y.data<float>() + r * p.size * p.size;
      std::fill_n(out, p.size * p.size, 0.0f);
      const int64_t mask = roi_image(roi[0], p.masks);
      if (mask < 0) continue;
      taps.rows.compute(roi_axis(roi[2], roi[4], 1, false, p.size, 0), p.size, p.height);
      taps.columns.compute(roi_axis(roi[1], roi[3], 1, false, p.size, 0), p.size, p.width);
      int32_t held = -1;  // the row that `reduced` is of: bins that are neighbours often share one
      for (size_t down = 0; down < static_cast<size_t>(p.size); ++down, out += p.size) {
        for (size_t t = rows.begin[down]; t < rows.begin[down + 1]; ++t) {
          if (rows.taps[t].at != held) {
            held = rows.taps[t].at;
            const uint8_t* pixels = masks.data<uint8_t>() + (mask * p.height + held) * p.width;
            for (size_t across = 0; across < static_cast<size_t>(p.size); ++across) {
              float sum = 0;
              for (size_t u = columns.begin[across]; u < columns.begin[across + 1]; ++u)
                sum += columns.taps[u].weight * static_cast<float>(pixels[columns.taps[u].at]);
              reduced[across] = sum;
            }
          }
          for (int64_t across = 0; across < p.size; ++across)
            out[across] += rows.taps[t].weight * reduced[static_cast<size_t>(across)];
        }
      }
    }
  });
}

}  // namespace atrous::kernels::mask_targets_impl
