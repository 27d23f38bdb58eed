// RoIAlign as the formulas in roi_align.h read: sample by sample.
#include "kernels/common/visit.h"
#include "kernels/roi_align/roi_align_impl.h"
#include "kernels/roi_align/roi_align_math.h"

namespace atrous::kernels::roi_align_impl {
namespace {

// Calls f(output pixel, input pixel, weight) for everything that the regions of map `level` read.
template <class F>
void for_each_read(const RoiAlignProblem& p, const Tensor& rois, const Tensor& levels, int64_t level, F f) {
  const RoiAlignProblem::Map& map = p.maps[static_cast<size_t>(level)];
  for (int64_t r = 0; r < p.rois; ++r) {
    const float* roi = rois.data<float>() + 5 * r;
    const int64_t image = roi_image(roi[0], p.images);
    if (image < 0 || (levels.defined() && levels.data<int32_t>()[r] != level)) continue;
    const RoiAxis rows = roi_axis(roi[2], roi[4], map.scale, p.aligned, p.out_height, p.sampling_ratio);
    const RoiAxis columns = roi_axis(roi[1], roi[3], map.scale, p.aligned, p.out_width, p.sampling_ratio);
    const double count = static_cast<double>(rows.samples) * columns.samples;
    for (int64_t bin = 0; bin < p.out_height * p.out_width; ++bin) {
      const int64_t down = bin / p.out_width, across = bin % p.out_width;
      const RoiSamples is = roi_samples_inside(rows, down, map.height);
      const RoiSamples js = roi_samples_inside(columns, across, map.width);
      for (int32_t i = is.begin; i < is.end; ++i) {
        const RoiTap v = roi_tap(roi_sample(rows, down, i), map.height);
        for (int32_t j = js.begin; j < js.end; ++j) {
          const RoiTap u = roi_tap(roi_sample(columns, across, j), map.width);
          if (v.low < 0 || u.low < 0) continue;
          const auto read = [&](int64_t row, int64_t column, double weight) {
            const int64_t pixel = (image * map.height + row) * map.width + column;
            if (weight != 0) f(r * p.out_height * p.out_width + bin, pixel, weight / count);
          };
          const double y = v.weight, x = u.weight;
          read(v.low, u.low, (1 - y) * (1 - x));
          read(v.low, u.high, (1 - y) * x);
          read(v.high, u.low, y * (1 - x));
          read(v.high, u.high, y * x);
        }
      }
    }
  }
}

}  // namespace

void forward_ref(const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                 const Tensor& levels, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::vector<double> sums(static_cast<size_t>(y.numel()));
    for (size_t level = 0; level < maps.size(); ++level) {
      const Tensor& x = maps[level];
      for_each_read(p, rois, levels, static_cast<int64_t>(level),
                    [&](int64_t out, int64_t pixel, double weight) {
                      const T* from = x.data<T>() + pixel * x.pixel_stride();
                      double* to = sums.data() + out * p.channels;
                      for (int64_t c = 0; c < p.channels; ++c) to[c] += weight * static_cast<double>(from[c]);
                    });
    }
    for (int64_t i = 0; i < y.numel(); ++i) y.data<T>()[i] = static_cast<T>(sums[static_cast<size_t>(i)]);
  });
}

void backward_ref(const RoiAlignProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& levels,
                  const int64_t& level, const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::vector<double> sums(static_cast<size_t>(dx.numel()));
    for_each_read(p, rois, levels, level, [&](int64_t out, int64_t pixel, double weight) {
      const T* from = dy.data<T>() + out * dy.pixel_stride();
      double* to = sums.data() + pixel * p.channels;
      for (int64_t c = 0; c < p.channels; ++c) to[c] += weight * static_cast<double>(from[c]);
    });
    for (int64_t i = 0; i < dx.numel(); ++i) dx.data<T>()[i] = static_cast<T>(sums[static_cast<size_t>(i)]);
  });
}

}  // namespace atrous::kernels::roi_align_impl
