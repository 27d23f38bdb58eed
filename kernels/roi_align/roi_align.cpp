#include "kernels/roi_align/roi_align.h"

#include <algorithm>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/common/roi_arguments.h"
#include "kernels/roi_align/roi_align_impl.h"

namespace atrous::kernels {
namespace roi_align_impl {
namespace {

constexpr auto few_maps = [](const RoiAlignProblem& p) -> const char* {
  return p.maps.size() > most_maps ? "at most 8 maps" : f32_or_bf16(p);
};
constexpr auto few_samples = [](const RoiAlignProblem& p) -> const char* {
  if (p.sampling_ratio == 0) return "a fixed number of samples only";
  if (std::max(p.out_height, p.out_width) * p.sampling_ratio > most_tabulated)
    return "at most 128 samples along an axis";
  if (p.channels > most_tabulated_channels) return "at most 65536 channels";
  return few_maps(p);
};
constexpr auto few_bins = [](const RoiAlignProblem& p) -> const char* {
  return std::max(p.out_height, p.out_width) > most_tiled_bins ? "at most 32x32 bins" : f32_or_bf16(p);
};

constexpr Entry<RoiAlignProblem, ForwardFn> forward{
    "roi_align.forward",
    {
        ATROUS_ON_GPU("tabulated", few_samples, forward_tabulated),
        ATROUS_ON_GPU("vectorised", few_maps, forward_vectorised),
        ATROUS_ON_GPU("naive", few_maps, forward_naive),
        {"taps", Device::cpu, f32_only, forward_taps},
        {"ref", Device::cpu, f32_or_f64, forward_ref},
    },
    reach_whole};
constexpr Entry<RoiAlignProblem, BackwardFn> backward{
    "roi_align.backward",
    {
        ATROUS_ON_GPU("tiled", few_bins, backward_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, backward_naive),
        {"stripes", Device::cpu, f32_only, backward_stripes},
        {"ref", Device::cpu, f32_or_f64, backward_ref},
    }};

void check_levels(const char* where, const Tensor& rois, const Tensor& levels, size_t maps) {
  if (!levels.defined()) {
    ATROUS_CHECK(maps == 1, ErrorKind::usage,
                 "[{}] levels must say which map each region reads. Got none for {} maps. Pass i32 [{}].",
                 where, maps, rois.dim(0));
    return;
  }
  ATROUS_CHECK(levels.dtype() == DType::i32 && levels.shape() == Shape{rois.dim(0)}, ErrorKind::usage,
               "[{}] levels must be i32 [{}], one per region. Got {}.", where, rois.dim(0),
               levels.describe());
}

}  // namespace
}  // namespace roi_align_impl

using namespace roi_align_impl;

std::string RoiAlignProblem::str() const {
  std::string s =
      fmt::format("r{} {}x{} {} n{} c{}", rois, out_height, out_width,
                  sampling_ratio ? fmt::format("s{}", sampling_ratio) : "adaptive", images, channels);
  for (const Map& m : maps) s += fmt::format(" {}x{}/{:g}", m.height, m.width, 1 / m.scale);
  return s + (aligned ? " aligned " : " ") + name_of(dtype);
}

RoiAlignProblem roi_align_problem(const std::vector<Shape>& maps, DType dtype, int64_t rois,
                                  const RoiAlignOptions& o) {
  const char* where = "roi_align";
  ATROUS_CHECK(!maps.empty() && maps.size() == o.scales.size(), ErrorKind::usage,
               "[{}] there must be a map or more, and a scale for each. Got {} maps, {} scales.", where,
               maps.size(), o.scales.size());
  ATROUS_CHECK(o.out_height >= 1 && o.out_width >= 1 && o.sampling_ratio <= 64, ErrorKind::usage,
               "[{}] the output needs a bin or more along each axis, a bin at most 64 samples. Got {}x{} "
               "bins, sampling_ratio {}.",
               where, o.out_height, o.out_width, o.sampling_ratio);
  RoiAlignProblem p{.rois = rois,
                    .out_height = o.out_height,
                    .out_width = o.out_width,
                    .sampling_ratio = std::max<int64_t>(0, o.sampling_ratio),
                    .aligned = o.aligned,
                    .maps = {},
                    .dtype = dtype};
  for (size_t l = 0; l < maps.size(); ++l) {
    const Shape& s = maps[l];
    check_roi_map(where, s, dtype, o.scales[l]);
    ATROUS_CHECK(s[0] == maps[0][0] && s[3] == maps[0][3], ErrorKind::usage,
                 "[{}] maps must have the same number of images and channels. Got {} and {}.", where,
                 maps[0].str(), s.str());
    p.maps.push_back({s[1], s[2], static_cast<float>(o.scales[l])});
  }
  p.images = maps[0][0];
  p.channels = maps[0][3];
  return p;
}

Tensor roi_align_forward(const std::vector<Tensor>& maps, const Tensor& rois, const Tensor& levels,
                         const RoiAlignOptions& options) {
  const char* where = "roi_align";
  check_rois(where, rois);
  check_levels(where, rois, levels, maps.size());
  std::vector<Shape> shapes;
  for (const Tensor& map : maps) {
    ATROUS_CHECK(map.dtype() == maps[0].dtype(), ErrorKind::usage,
                 "[{}] maps must have one type. Got {} and {}.", where, maps[0].describe(), map.describe());
    shapes.push_back(map.shape());
  }
  const DType dtype = maps.empty() ? DType::f32 : maps[0].dtype();
  const RoiAlignProblem p = roi_align_problem(shapes, dtype, rois.dim(0), options);
  const Tensor y = Tensor::empty(p.output_shape(), dtype, rois.device());
  forward(p, maps, rois.contiguous_copy_if_needed(), levels, writes(y));
  return y;
}

Tensor roi_align_backward(const Tensor& dy, const Tensor& rois, const Tensor& levels,
                          const std::vector<Shape>& maps, int64_t level, const RoiAlignOptions& options) {
  const char* where = "roi_align backward";
  check_rois(where, rois);
  check_levels(where, rois, levels, maps.size());
  const RoiAlignProblem p = roi_align_problem(maps, dy.dtype(), rois.dim(0), options);
  check_tensor(where, "output gradient", dy, p.output_shape(), dy.dtype(), p);
  ATROUS_CHECK(level >= 0 && level < static_cast<int64_t>(maps.size()), ErrorKind::usage,
               "[{}] the gradient is that of one of {} maps. Got number {}.", where, maps.size(), level);
  const Tensor dx = Tensor::empty(maps[static_cast<size_t>(level)], dy.dtype(), dy.device());
  backward(p, dy, rois.contiguous_copy_if_needed(), levels, level, writes(dx));
  return dx;
}

EntryList roi_align_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
