// RoIAlign in f32 on the CPU, vectorised over channels.
//
// forward: one task per few regions. A bin is a weighted sum of pixels, four at a time.
// backward: one task per stripe of rows of the map, which goes through the regions that touch it, in order.
// So every element is written by one thread, and the order of its sum depends on the regions alone.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/roi_align/roi_align_impl.h"
#include "kernels/roi_align/roi_taps.h"

namespace atrous::kernels::roi_align_impl {
namespace {

struct Source {
  const float* at;
  float weight;
};

// y = sum of the sources.
ATROUS_MULTIVERSION void weighted_sum(const Source* s, size_t count, int64_t n, float* __restrict y) {
  size_t i = count % 4;
  if (i == 0) {
    for (int64_t k = 0; k < n; ++k) y[k] = 0;
  } else {
    for (int64_t k = 0; k < n; ++k) y[k] = s[0].weight * s[0].at[k];
    for (size_t t = 1; t < i; ++t) {
      const float* a = s[t].at;
      const float w = s[t].weight;
      for (int64_t k = 0; k < n; ++k) y[k] += w * a[k];
    }
  }
  for (; i < count; i += 4) {
    const float *a = s[i].at, *b = s[i + 1].at, *c = s[i + 2].at, *d = s[i + 3].at;
    const float p = s[i].weight, q = s[i + 1].weight, r = s[i + 2].weight, t = s[i + 3].weight;
    for (int64_t k = 0; k < n; ++k) y[k] += (p * a[k] + q * b[k]) + (r * c[k] + t * d[k]);
  }
}

// Adds a bin's gradient, weighted, to the pixels of a row that the bin reads.
ATROUS_MULTIVERSION void spread(const float* __restrict dy, int64_t n, float row_weight,
                                const RoiReader* readers, size_t count, float* row, int64_t stride) {
  for (size_t t = 0; t < count; ++t) {
    float* __restrict dx = row + readers[t].at * stride;
    const float w = row_weight * readers[t].weight;
    for (int64_t k = 0; k < n; ++k) dx[k] += w * dy[k];
  }
}

void taps_of(const RoiAlignProblem& p, const RoiAlignProblem::Map& map, const float* roi, RoiTaps& taps) {
  taps.rows.compute(roi_axis(roi[2], roi[4], map.scale, p.aligned, p.out_height, p.sampling_ratio),
                    p.out_height, map.height);
  taps.columns.compute(roi_axis(roi[1], roi[3], map.scale, p.aligned, p.out_width, p.sampling_ratio),
                       p.out_width, map.width);
}

// Image and level of a region; image -1 if there is none.
struct Place {
  int64_t image, level;
};
Place place_of(const RoiAlignProblem& p, const Tensor& rois, const Tensor& levels, int64_t r) {
  const int64_t level = levels.defined() ? levels.data<int32_t>()[r] : 0;
  const bool exists = level >= 0 && level < static_cast<int64_t>(p.maps.size());
  return {exists ? roi_image(rois.data<float>()[5 * r], p.images) : -1, level};
}

}  // namespace

void forward_taps(const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                  const Tensor& levels, const Tensor& y) {
  const int64_t c = p.channels;
  parallel_for(p.rois, 4, [&](int64_t begin, int64_t end) {
    RoiTaps taps;
    std::vector<Source> sources;
    for (int64_t r = begin; r < end; ++r) {
      float* out = y.data<float>() + r * p.out_height * p.out_width * c;
      const auto [image, level] = place_of(p, rois, levels, r);
      if (image < 0) {
        std::fill_n(out, p.out_height * p.out_width * c, 0.0f);
        continue;
      }
      const RoiAlignProblem::Map& map = p.maps[static_cast<size_t>(level)];
      const Tensor& x = maps[static_cast<size_t>(level)];
      const float* pixels = x.data<float>() + image * map.height * map.width * x.pixel_stride();
      taps_of(p, map, rois.data<float>() + 5 * r, taps);
      const auto &rows = taps.rows, &columns = taps.columns;
      for (size_t down = 0; down + 1 < rows.begin.size(); ++down) {
        for (size_t across = 0; across + 1 < columns.begin.size(); ++across, out += c) {
          sources.clear();
          for (size_t i = rows.begin[down]; i < rows.begin[down + 1]; ++i) {
            const float* row = pixels + rows.taps[i].at * map.width * x.pixel_stride();
            for (size_t j = columns.begin[across]; j < columns.begin[across + 1]; ++j) {
              sources.push_back({row + columns.taps[j].at * x.pixel_stride(),
                                 rows.taps[i].weight * columns.taps[j].weight});
            }
          }
          weighted_sum(sources.data(), sources.size(), c, out);
        }
      }
    }
  });
}

void backward_stripes(const RoiAlignProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& levels,
                      const int64_t& level, const Tensor& dx) {
  const RoiAlignProblem::Map& map = p.maps[static_cast<size_t>(level)];
  std::vector<int64_t> own;  // the regions of this map
  for (int64_t r = 0; r < p.rois; ++r) {
    const Place at = place_of(p, rois, levels, r);
    if (at.image >= 0 && at.level == level) own.push_back(r);
  }
  std::vector<RoiTaps> taps(own.size());
  parallel_for(static_cast<int64_t>(own.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      taps_of(p, map, rois.data<float>() + 5 * own[at], taps[at]);
    }
  });
  // A stripe stays in a core's cache while its regions are added.
  const int64_t row_length = map.width * p.channels;
  const int64_t height =
      std::clamp<int64_t>((int64_t{1} << 17) / std::max<int64_t>(1, row_length), 1, map.height);
  const int64_t stripes = (map.height + height - 1) / height;
  std::vector<std::vector<int32_t>> touching(static_cast<size_t>(p.images * stripes));
  for (size_t i = 0; i < own.size(); ++i) {
    const int64_t image = roi_image(rois.data<float>()[5 * own[i]], p.images);
    if (taps[i].columns.last < 0) continue;
    for (int64_t s = taps[i].rows.first / height; s <= taps[i].rows.last / height; ++s)
      touching[static_cast<size_t>(image * stripes + s)].push_back(static_cast<int32_t>(i));
  }
  parallel_for(p.images * stripes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t stripe = begin; stripe < end; ++stripe) {
      const int64_t top = stripe % stripes * height, bottom = std::min(top + height, map.height);
      float* image = dx.data<float>() + stripe / stripes * map.height * row_length;
      std::fill(image + top * row_length, image + bottom * row_length, 0.0f);
      for (const int32_t i : touching[static_cast<size_t>(stripe)]) {
        const auto &rows = taps[static_cast<size_t>(i)].rows, &columns = taps[static_cast<size_t>(i)].columns;
        const int64_t first_bin = own[static_cast<size_t>(i)] * p.out_height * p.out_width;
        for (int64_t down = 0; down < p.out_height; ++down) {
          for (size_t t = rows.begin[static_cast<size_t>(down)];
               t < rows.begin[static_cast<size_t>(down) + 1]; ++t) {
            const auto [row, weight] = rows.taps[t];
            if (row < top || row >= bottom) continue;
            for (int64_t across = 0; across < p.out_width; ++across) {
              const size_t from = columns.begin[static_cast<size_t>(across)];
              spread(dy.data<float>() + (first_bin + down * p.out_width + across) * dy.pixel_stride(),
                     p.channels, weight, columns.taps.data() + from,
                     columns.begin[static_cast<size_t>(across) + 1] - from, image + row * row_length,
                     p.channels);
            }
          }
        }
      }
    }
  });
}

}  // namespace atrous::kernels::roi_align_impl
