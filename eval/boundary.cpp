#include "eval/boundary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace atrous::eval {
namespace {

constexpr uint8_t none = 255;

// A label map with a frame of `none` as wide as the tolerance, so that neighbours need no range checks.
struct Map {
  int64_t height, width, frame, stride;
  std::vector<uint8_t> v;
  Map(int64_t h, int64_t w, int64_t f)
      : height(h),
        width(w),
        frame(f),
        stride(w + 2 * f),
        v(static_cast<size_t>((h + 2 * f) * stride), none) {}
  int64_t at(int64_t y, int64_t x) const { return (y + frame) * stride + x + frame; }
};

// Keeps the class of boundary pixels and `none` elsewhere.
Map boundaries(const Map& classes) {
  Map result(classes.height, classes.width, classes.frame);
  const std::array<int64_t, 4> neighbours = {-classes.stride, -1, 1, classes.stride};
  for (int64_t y = 0; y < classes.height; ++y) {
    for (int64_t x = 0; x < classes.width; ++x) {
      const int64_t i = classes.at(y, x);
      const uint8_t c = classes.v[static_cast<size_t>(i)];
      if (c == none) continue;
      for (int64_t offset : neighbours) {
        const uint8_t other = classes.v[static_cast<size_t>(i + offset)];
        if (other != none && other != c) result.v[static_cast<size_t>(i)] = c;
      }
    }
  }
  return result;
}

// Offsets of a disk, nearest first: most searches end after a few steps.
std::vector<int64_t> disk(double radius, int64_t stride) {
  const auto r = static_cast<int64_t>(radius);
  std::vector<std::pair<int64_t, int64_t>> by_distance;  // squared distance, offset
  for (int64_t dy = -r; dy <= r; ++dy) {
    for (int64_t dx = -r; dx <= r; ++dx) {
      const int64_t d2 = dy * dy + dx * dx;
      if (static_cast<double>(d2) <= radius * radius) by_distance.emplace_back(d2, dy * stride + dx);
    }
  }
  std::sort(by_distance.begin(), by_distance.end());
  std::vector<int64_t> offsets;
  for (const auto& [d2, offset] : by_distance) offsets.push_back(offset);
  return offsets;
}

struct Matches {
  std::array<int64_t, 256> total{};    // boundary pixels per class
  std::array<int64_t, 256> matched{};  // those with a boundary pixel of their class in the other map nearby
};

Matches match(const Map& from, const Map& to, const std::vector<int64_t>& offsets) {
  Matches m;
  for (int64_t y = 0; y < from.height; ++y) {
    for (int64_t x = 0; x < from.width; ++x) {
      const int64_t i = from.at(y, x);
      const uint8_t c = from.v[static_cast<size_t>(i)];
      if (c == none) continue;
      ++m.total[c];
      m.matched[c] += std::any_of(offsets.begin(), offsets.end(),
                                  [&](int64_t offset) { return to.v[static_cast<size_t>(i + offset)] == c; });
    }
  }
  return m;
}

double f1(int64_t predicted, int64_t predicted_hits, int64_t labelled, int64_t labelled_hits) {
  if (predicted == 0 && labelled == 0) return 1;
  if (predicted == 0 || labelled == 0) return 0;
  const double p = static_cast<double>(predicted_hits) / static_cast<double>(predicted);
  const double r = static_cast<double>(labelled_hits) / static_cast<double>(labelled);
  return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

}  // namespace

BoundaryF1 boundary_f1(const Tensor& label, const Tensor& prediction, int64_t ignore, double tolerance,
                       const ScoredClasses& classes) {
  ATROUS_CHECK(label.rank() == 2 && label.shape() == prediction.shape() && label.dtype() == DType::u8 &&
                   prediction.dtype() == DType::u8,
               ErrorKind::usage,
               "[boundary_f1] label and prediction must be u8 [H, W] of one size. Got {} and {}.",
               label.describe(), prediction.describe());
  const int64_t h = label.dim(0);
  const int64_t w = label.dim(1);
  const double radius = tolerance * std::hypot(static_cast<double>(h), static_cast<double>(w));
  const int64_t frame = static_cast<int64_t>(radius) + 1;
  Map gt(h, w, frame);
  Map pred(h, w, frame);
  std::array<bool, 256> present_gt{};
  std::array<bool, 256> present_pred{};
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const uint8_t g = label.data<uint8_t>()[y * w + x];
      const uint8_t p = prediction.data<uint8_t>()[y * w + x];
      if (g == ignore) continue;
      gt.v[static_cast<size_t>(gt.at(y, x))] = g;
      pred.v[static_cast<size_t>(pred.at(y, x))] = p;
      present_gt[g] = present_pred[p] = true;
    }
  }
  const Map gt_boundary = boundaries(gt);
  const Map pred_boundary = boundaries(pred);
  const std::vector<int64_t> offsets = disk(radius, gt.stride);
  const Matches recall = match(gt_boundary, pred_boundary, offsets);
  const Matches precision = match(pred_boundary, gt_boundary, offsets);
  BoundaryF1 result;
  double sum = 0;
  int64_t scored = 0;
  for (size_t c = 0; c < none; ++c) {
    if (classes.is_excluded(static_cast<int64_t>(c)) || (!present_gt[c] && !present_pred[c])) continue;
    const bool both = present_gt[c] && present_pred[c];
    result.per_class[c] =
        both ? f1(precision.total[c], precision.matched[c], recall.total[c], recall.matched[c]) : 0;
    sum += *result.per_class[c];
    ++scored;
  }
  if (scored > 0) result.mean = sum / static_cast<double>(scored);
  return result;
}

void BoundaryMean::Sum::add(const std::optional<double>& value) {
  if (!value) return;
  total += *value;
  ++images;
}

std::optional<double> BoundaryMean::Sum::mean() const {
  if (images == 0) return std::nullopt;
  return total / static_cast<double>(images);
}

void BoundaryMean::add(const BoundaryF1& image) {
  all_.add(image.mean);
  for (size_t c = 0; c < classes_.size(); ++c) classes_[c].add(image.per_class[c]);
}

}  // namespace atrous::eval
