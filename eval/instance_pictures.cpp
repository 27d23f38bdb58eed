#include "eval/instance_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

#include "eval/bitmap_font.h"

namespace atrous::eval {
namespace {

using Rgb = std::array<uint8_t, 3>;

constexpr Rgb crowd_grey = {150, 150, 150};
constexpr double opacity = 0.45;
constexpr int64_t wanted_side = 640;  // longer side of a picture whose names can be read

// Steps of the golden ratio around the colour circle: near numbers get far colours.
Rgb color_of(int64_t number) {
  const double hue = std::fmod(0.618033988749895 * static_cast<double>(number), 1.0) * 6;
  const double value = number % 2 == 0 ? 1.0 : 0.8;
  Rgb out{};
  for (size_t c = 0; c < 3; ++c) {
    const double k = std::fmod(5.0 - 2.0 * static_cast<double>(c) + hue, 6.0);
    out[c] = static_cast<uint8_t>(255 * value * (1 - 0.85 * std::clamp(std::min(k, 4 - k), 0.0, 1.0)));
  }
  return out;
}

Rgb text_color(const Rgb& background) {
  const int luma = 299 * background[0] + 587 * background[1] + 114 * background[2];
  return luma > 140000 ? Rgb{0, 0, 0} : Rgb{255, 255, 255};
}

// Rectangle in pixels, [left, right) x [top, bottom).
struct Area {
  int64_t left, top, right, bottom;
  bool overlaps(const Area& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
};

class Canvas {
 public:
  Canvas(const Tensor& image, int64_t factor)
      : factor_(factor), height_(image.dim(0) * factor), width_(image.dim(1) * factor) {
    picture_ = Tensor::empty({height_, width_, 3}, DType::u8);
    const Tensor source = image.contiguous_copy_if_needed();
    const int64_t channels = source.dim(2);
    for (int64_t y = 0; y < height_; ++y) {
      for (int64_t x = 0; x < width_; ++x) {
        const uint8_t* from = source.data<uint8_t>() + (y / factor * source.dim(1) + x / factor) * channels;
        for (int64_t c = 0; c < 3; ++c) at(y, x)[c] = from[channels < 3 ? 0 : c];
      }
    }
  }

  const Tensor& picture() const { return picture_; }

  void tint(const Mask& mask, const Rgb& color) {
    for (int64_t y = 0; y < mask.height * factor_; ++y) {
      for (int64_t x = 0; x < mask.width * factor_; ++x) {
        if (!covered(mask, y, x)) continue;
        const bool is_edge = !covered(mask, y - 1, x) || !covered(mask, y + 1, x) ||
                             !covered(mask, y, x - 1) || !covered(mask, y, x + 1);
        blend(mask.y0 * factor_ + y, mask.x0 * factor_ + x, color, is_edge ? 1.0 : opacity);
      }
    }
  }

  // The outline of a box, one pixel wide.
  void outline(const Area& a, const Rgb& color) {
    for (int64_t x = a.left; x < a.right; ++x) {
      blend(a.top, x, color, 1);
      blend(a.bottom - 1, x, color, 1);
    }
    for (int64_t y = a.top; y < a.bottom; ++y) {
      blend(y, a.left, color, 1);
      blend(y, a.right - 1, color, 1);
    }
  }

  void fill(const Area& a, const Rgb& color) {
    for (int64_t y = a.top; y < a.bottom; ++y) {
      for (int64_t x = a.left; x < a.right; ++x) blend(y, x, color, 1);
    }
  }

  bool holds(const Area& a) const {
    return a.left >= 0 && a.top >= 0 && a.right <= width_ && a.bottom <= height_;
  }

  // A box may lie anywhere: what is outside of the picture ends a pixel beyond it.
  Area box(const float* b) const {
    const auto scaled = [&](float v, int64_t extent) {
      const float at = v * static_cast<float>(factor_), end = static_cast<float>(extent + 1);
      return static_cast<int64_t>(std::lround(at > -1 ? std::min(at, end) : -1.0f));  // NaN: -1
    };
    const Area a{scaled(b[0], width_), scaled(b[1], height_), scaled(b[2], width_), scaled(b[3], height_)};
    return {a.left, a.top, std::max(a.right, a.left + 1), std::max(a.bottom, a.top + 1)};
  }

 private:
  uint8_t* at(int64_t y, int64_t x) const { return picture_.data<uint8_t>() + (y * width_ + x) * 3; }

  bool covered(const Mask& mask, int64_t y, int64_t x) const {
    if (y < 0 || x < 0 || y >= mask.height * factor_ || x >= mask.width * factor_) return false;
    return mask.pixels[static_cast<size_t>(y / factor_ * mask.width + x / factor_)] != 0;
  }

  void blend(int64_t y, int64_t x, const Rgb& color, double share) {
    if (y < 0 || x < 0 || y >= height_ || x >= width_) return;
    uint8_t* p = at(y, x);
    for (size_t c = 0; c < 3; ++c) p[c] = static_cast<uint8_t>(p[c] + share * (color[c] - p[c]));
  }

  int64_t factor_, height_, width_;
  Tensor picture_;
};

// Above the box, inside it at its top, below it: the first place inside the picture that no tag has taken.
void tag(Canvas& canvas, const Area& box, const std::string& text, const Rgb& color,
         std::vector<Area>& taken) {
  constexpr int64_t margin = 1;
  const int64_t width = text_width(text, 1) + 2 * margin, height = glyph_height + 2 * margin;
  for (const int64_t top : {box.top - height, box.top, box.bottom}) {
    for (const int64_t left : {box.left, box.right - width}) {
      const Area place{left, top, left + width, top + height};
      const auto in_the_way = [&](const Area& a) { return a.overlaps(place); };
      if (!canvas.holds(place) || std::any_of(taken.begin(), taken.end(), in_the_way)) continue;
      canvas.fill(place, color);
      draw_text(canvas.picture(), top + margin, left + margin, text, 1, text_color(color));
      taken.push_back(place);
      return;
    }
  }
}

}  // namespace

Tensor draw_instances(const Tensor& image, const Instances& objects,
                      const std::vector<data::ClassInfo>& classes, std::span<const float> scores) {
  ATROUS_CHECK(image.rank() == 3 && image.dtype() == DType::u8 && image.dim(0) == objects.height &&
                   image.dim(1) == objects.width,
               ErrorKind::usage,
               "[draw_instances] image u8 [H, W, C] and objects belong together. Got {} and {} x {}.",
               image.describe(), objects.width, objects.height);
  ATROUS_CHECK(scores.empty() || static_cast<int64_t>(scores.size()) == objects.size(), ErrorKind::usage,
               "[draw_instances] there is a score per object. Got {} for {}.", scores.size(), objects.size());
  Canvas canvas(image, std::max<int64_t>(1, wanted_side / std::max(image.dim(0), image.dim(1))));
  std::vector<int64_t> order(static_cast<size_t>(objects.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto area = [&](int64_t i) {
    const float* b = objects.box(i);
    const float product = (b[2] - b[0]) * (b[3] - b[1]);
    return std::isnan(product) ? 0.0f : product;
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return area(a) > area(b); });
  const auto is_crowd = [&](int64_t i) {
    return !objects.crowd.empty() && objects.crowd[static_cast<size_t>(i)];
  };
  const auto color = [&](int64_t i) { return is_crowd(i) ? crowd_grey : color_of(i); };
  for (const int64_t i : order) {
    if (!objects.masks.empty()) canvas.tint(objects.masks[static_cast<size_t>(i)], color(i));
  }
  for (const int64_t i : order) canvas.outline(canvas.box(objects.box(i)), color(i));
  std::vector<Area> taken;
  for (const int64_t i : order) {
    const auto label = static_cast<size_t>(objects.labels[static_cast<size_t>(i)]);
    std::string text = label < classes.size() ? classes[label].name : fmt::format("class{}", label);
    if (is_crowd(i)) text += " crowd";
    if (!scores.empty()) text += fmt::format(" {:.2f}", scores[static_cast<size_t>(i)]);
    tag(canvas, canvas.box(objects.box(i)), text, color(i), taken);
  }
  return canvas.picture();
}

}  // namespace atrous::eval
