// Boxes and masks are warped with the picture, by the same map (warp.h), so that all stay aligned.
#include <algorithm>
#include <array>
#include <cmath>

#include "data/augment_internal.h"
#include "data/instances.h"
#include "data/warp.h"

namespace atrous::data {
namespace {

using internal::Affine;
using internal::Warp;

struct Rect {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  bool empty() const { return !(x2 > x1 && y2 > y1); }
};

Rect intersection(const Rect& a, const Rect& b) {
  return {std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2), std::min(a.y2, b.y2)};
}

// More than rounding error.
bool differ(const Rect& a, const Rect& b) {
  constexpr double eps = 1e-3;
  return std::abs(a.x1 - b.x1) > eps || std::abs(a.y1 - b.y1) > eps || std::abs(a.x2 - b.x2) > eps ||
         std::abs(a.y2 - b.y2) > eps;
}

// The bounding rectangle of a mapped rectangle.
Rect mapped(const Rect& r, const Affine& m) {
  Rect out{1e300, 1e300, -1e300, -1e300};
  for (const auto& [x, y] : {std::array{r.x1, r.y1}, {r.x2, r.y1}, {r.x1, r.y2}, {r.x2, r.y2}}) {
    const auto [u, v] = m(x, y);
    out = {std::min(out.x1, u), std::min(out.y1, v), std::max(out.x2, u), std::max(out.y2, v)};
  }
  return out;
}

// The map keeps upright rectangles upright.
bool keeps_upright(const Warp& warp) {
  const Affine& m = warp.map;
  return warp.grid == 0 && ((m.b == 0 && m.d == 0) || (m.a == 0 && m.e == 0));
}

// The largest distance by which the elastic part moves a pixel: its cubic weights add up to at most 1.25 per
// axis in absolute value.
double elastic_reach(const Warp& warp) {
  double reach = 0;
  for (const auto* shifts : {&warp.dx, &warp.dy}) {
    for (const double s : *shifts) reach = std::max(reach, 1.25 * 1.25 * std::abs(s));
  }
  return reach;
}

// The mask under the warp: each output pixel takes that of its nearest source pixel, as label maps do.
Mask moved(const Mask& mask, const Warp& warp, const Affine& to_output, double reach) {
  const auto edge = [](int64_t v) { return static_cast<double>(v); };
  const Rect r = mapped(
      {edge(mask.x0), edge(mask.y0), edge(mask.x0 + mask.width), edge(mask.y0 + mask.height)}, to_output);
  const auto low = [&](double v, int64_t end) {
    return static_cast<int64_t>(std::clamp(std::floor(v - reach) - 1, 0.0, edge(end)));
  };
  const auto high = [&](double v, int64_t end) {
    return static_cast<int64_t>(std::clamp(std::ceil(v + reach) + 1, 0.0, edge(end)));
  };
  const int64_t left = low(r.x1, warp.width), right = high(r.x2, warp.width), top = low(r.y1, warp.height),
                bottom = high(r.y2, warp.height);
  Mask out{.x0 = left, .y0 = top, .width = right - left, .height = bottom - top};
  if (mask.pixels.empty() || out.width <= 0 || out.height <= 0) return {};
  out.pixels.resize(static_cast<size_t>(out.width * out.height));
  std::vector<float> xs(static_cast<size_t>(out.width)), ys(xs);
  uint8_t* pixel = out.pixels.data();
  for (int64_t y = top; y < bottom; ++y) {
    internal::source_row(warp, y, left, right, xs.data(), ys.data());
    for (size_t x = 0; x < xs.size(); ++x, ++pixel) {
      const auto sx = static_cast<int64_t>(std::floor(xs[x] + 0.5f)) - mask.x0,
                 sy = static_cast<int64_t>(std::floor(ys[x] + 0.5f)) - mask.y0;
      const bool inside = sx >= 0 && sx < mask.width && sy >= 0 && sy < mask.height;
      *pixel = inside ? mask.pixels[static_cast<size_t>(sy * mask.width + sx)] : uint8_t{0};
    }
  }
  return out.cropped();
}

Rect bounds_of(const Mask& mask) {
  const auto [x1, y1, x2, y2] = mask.bounds();
  return {static_cast<double>(x1), static_cast<double>(y1), static_cast<double>(x2), static_cast<double>(y2)};
}

void set_box(Instances& objects, int64_t i, const Rect& box) {
  const double values[] = {box.x1, box.y1, box.x2, box.y2};
  for (int64_t k = 0; k < 4; ++k) objects.box(i)[k] = static_cast<float>(values[k]);
}

Rect box_of(const Instances& objects, int64_t i) {
  const float* b = objects.box(i);
  return {b[0], b[1], b[2], b[3]};
}

Instances moved(const Instances& objects, const Warp& warp) {
  const Affine to_output = warp.map.inverse();
  const bool upright = keeps_upright(warp);
  const double reach = elastic_reach(warp);
  const Rect frame{0, 0, static_cast<double>(warp.width), static_cast<double>(warp.height)};
  Instances out = objects;
  out.height = warp.height;
  out.width = warp.width;
  out.boxes = Tensor::empty({objects.size(), 4});
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < objects.size(); ++i) {
    const Rect whole = mapped(box_of(objects, i), to_output);
    Rect box = intersection(whole, frame);
    if (!objects.masks.empty()) {
      Mask& mask = out.masks[static_cast<size_t>(i)];
      mask = moved(objects.masks[static_cast<size_t>(i)], warp, to_output, reach);
      if (mask.pixels.empty()) continue;
      const Rect fitted = bounds_of(mask);
      const bool is_cut = differ(box, whole);
      if (!upright) {
        box = fitted;
      } else if (is_cut) {
        // Annotated boxes may be a little smaller than their masks; pixels that neither covers are removed.
        const Rect both = intersection(box, fitted);
        box = both.empty() ? fitted : both;
      }
      out.areas[static_cast<size_t>(i)] = static_cast<double>(mask.area());
    } else {
      out.areas[static_cast<size_t>(i)] = (box.x2 - box.x1) * (box.y2 - box.y1);
    }
    if (box.empty()) continue;
    set_box(out, i, box);
    kept.push_back(i);
  }
  return select(out, kept);
}

bool changes_nothing(const Warp& warp, int64_t height, int64_t width) {
  const Affine& m = warp.map;
  return warp.grid == 0 && warp.height == height && warp.width == width && m.a == 1 && m.b == 0 && m.c == 0 &&
         m.d == 0 && m.e == 1 && m.f == 0;
}

}  // namespace

Instances training_targets(const Instances& annotated) {
  const Rect frame{0, 0, static_cast<double>(annotated.width), static_cast<double>(annotated.height)};
  Instances clipped = annotated;
  clipped.boxes = Tensor::empty({annotated.size(), 4});
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < annotated.size(); ++i) {
    set_box(clipped, i, intersection(box_of(annotated, i), frame));
    if (annotated.crowd[static_cast<size_t>(i)]) continue;
    if (!box_of(clipped, i).empty()) kept.push_back(i);
  }
  return select(clipped, kept);
}

InstanceSample augment(const InstanceSample& sample, const AugmentOptions& options, Rng& rng) {
  ATROUS_CHECK(
      options.border != Border::reflect, ErrorKind::config,
      "[augment.border] images with objects need `zero`: mirrored objects would have no annotation. Got "
      "`reflect`. Set augment.border=zero.");
  Warp warp;
  const Sample picture{.id = sample.id, .image_path = sample.image_path, .image = sample.image};
  InstanceSample out = sample;
  out.image = internal::augment(picture, options, rng, warp).image;
  if (!changes_nothing(warp, sample.image.dim(0), sample.image.dim(1)))
    out.instances = moved(sample.instances, warp);
  return out;
}

InstanceSample resize_sample(const InstanceSample& sample, int64_t height, int64_t width) {
  const int64_t old_height = sample.image.dim(0), old_width = sample.image.dim(1);
  InstanceSample out = sample;
  out.image = resize_sample(Sample{.id = sample.id, .image_path = sample.image_path, .image = sample.image},
                            height, width, false)
                  .image;
  if (height == 0 || (height == old_height && width == old_width)) return out;
  Warp warp;
  warp.height = height;
  warp.width = width;
  warp.map.a = static_cast<double>(old_width) / static_cast<double>(width);
  warp.map.e = static_cast<double>(old_height) / static_cast<double>(height);
  out.instances = moved(sample.instances, warp);
  return out;
}

}  // namespace atrous::data
