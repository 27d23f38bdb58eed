// Mask targets sample by sample.
#include "kernels/mask_targets/mask_targets_impl.h"
#include "kernels/roi_align/roi_align_math.h"

namespace atrous::kernels::mask_targets_impl {

void forward_ref(const MaskTargetsProblem& p, const Tensor& masks, const Tensor& rois, const Tensor& y) {
  for (int64_t out = 0; out < y.numel(); ++out) {
    const float* roi = rois.data<float>() + 5 * (out / (p.size * p.size));
    const int64_t mask = roi_image(roi[0], p.masks);
    const int64_t down = out / p.size % p.size, across = out % p.size;
    const RoiAxis rows = roi_axis(roi[2], roi[4], 1, false, p.size, 0);
    const RoiAxis columns = roi_axis(roi[1], roi[3], 1, false, p.size, 0);
    double sum = 0;
    const RoiSamples is = roi_samples_inside(rows, down, p.height);
    const RoiSamples js = roi_samples_inside(columns, across, p.width);
    for (int32_t i = is.begin; i < is.end && mask >= 0; ++i) {
      const RoiTap v = roi_tap(roi_sample(rows, down, i), p.height);
      for (int32_t j = js.begin; j < js.end; ++j) {
        const RoiTap u = roi_tap(roi_sample(columns, across, j), p.width);
        if (v.low < 0 || u.low < 0) continue;
        const auto row = [&](int64_t h) {
          const uint8_t* pixels = masks.data<uint8_t>() + (mask * p.height + h) * p.width;
          return (1 - static_cast<double>(u.weight)) * pixels[u.low] + u.weight * pixels[u.high];
        };
        sum += (1 - static_cast<double>(v.weight)) * row(v.low) + v.weight * row(v.high);
      }
    }
    const double count = static_cast<double>(rows.samples) * columns.samples;
    y.data<float>()[out] = static_cast<float>(count > 0 ? sum / count : 0.0);
  }
}

}  // namespace atrous::kernels::mask_targets_impl
