#include "kernels/anchors/anchors.h"

#include <algorithm>
#include <cmath>

#include "kernels/anchors/anchors_impl.h"
#include "kernels/common/entry.h"

namespace atrous::kernels {
namespace {

constexpr Entry<AnchorProblem, AnchorFn> grid{"anchors.grid",
                                              {
                                                  ATROUS_ON_GPU("naive", always, anchors_naive),
                                                  {"rows", Device::cpu, always, anchors_rows},
                                                  {"ref", Device::cpu, always, anchors_ref},
                                              }};

void check_positive(const char* name, const std::vector<double>& values) {
  ATROUS_CHECK(!values.empty(), ErrorKind::usage, "[anchors] at least one of the {} is needed. Got none.",
               name);
  for (double v : values) {
    ATROUS_CHECK(std::isfinite(v) && v > 0, ErrorKind::usage,
                 "[anchors] {} must be positive and finite. Got {}.", name, v);
  }
}

}  // namespace

CellAnchors rounded_cell_anchors(const std::vector<double>& sizes, const std::vector<double>& ratios) {
  check_positive("sizes", sizes);
  check_positive("ratios", ratios);
  CellAnchors cell;
  for (double ratio : ratios) {
    const float h_ratio = std::sqrt(static_cast<float>(ratio)), w_ratio = 1 / h_ratio;
    for (double size : sizes) {
      // nearbyint: ties to even, like torch.round
      const float x = std::nearbyint(w_ratio * static_cast<float>(size) / 2);
      const float y = std::nearbyint(h_ratio * static_cast<float>(size) / 2);
      cell.push_back({-x, -y, x, y});
    }
  }
  return cell;
}

CellAnchors exact_cell_anchors(const std::vector<double>& sizes, const std::vector<double>& ratios) {
  check_positive("sizes", sizes);
  check_positive("ratios", ratios);
  CellAnchors cell;
  for (double size : sizes) {
    for (double ratio : ratios) {
      const double width = std::sqrt(size * size / ratio), height = ratio * width;
      const auto x = static_cast<float>(width / 2), y = static_cast<float>(height / 2);
      cell.push_back({-x, -y, x, y});
    }
  }
  return cell;
}

std::string AnchorProblem::str() const {
  return fmt::format("{}x{} stride {}x{} k{}", height, width, stride_y, stride_x, cell.size());
}

Tensor anchors(const AnchorProblem& p, Device device) {
  ATROUS_CHECK(p.height >= 0 && p.width >= 0 && p.stride_y >= 1 && p.stride_x >= 1, ErrorKind::usage,
               "[anchors] extents must not be negative and strides at least 1. Got {}.", p.str());
  const auto k = static_cast<int64_t>(p.cell.size());
  const double count = static_cast<double>(p.height) * static_cast<double>(p.width) * static_cast<double>(k);
  ATROUS_CHECK(count <= 0x7fffffff, ErrorKind::usage,
               "[anchors] a level has at most 2^31 - 1 anchors. Got {}. Use a smaller image.", p.str());
  const Tensor out = Tensor::empty({p.height * p.width * k, 4}, DType::f32, device);
  if (out.numel() > 0) grid(p, writes(out));
  return out;
}

EntryList anchors_entries() {
  return {&grid};
}

}  // namespace atrous::kernels
