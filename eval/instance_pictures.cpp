#include "eval/instance_pictures.h"

#include <fmt/format.h>

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
constexpr Rgb error_red = {225, 20, 30}, white = {255, 255, 255};
constexpr double opacity = 0.45;
constexpr int64_t wanted_side = 640;  // longer side of a picture whose names can be read

// Steps of the golden ratio around the colour circle: near numbers get far colours. Red is for errors.
Rgb color_of(int64_t number) {
  const double turn = std::fmod(0.618033988749895 * static_cast<double>(number), 1.0);
  const double hue = 0.45 + 5.1 * turn;
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
      : factor_(factor),
        height_(image.dim(0) * factor),
        width_(image.dim(1) * factor),
        line_(std::max<int64_t>(1, (std::max(height_, width_) + 200) / wanted_side)),
        owner_(static_cast<size_t>(height_ * width_), -1) {
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
  // Width of a line, and scale of the letters, that can be seen when the picture is shown as wide as a page.
  int64_t line() const { return line_; }

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

  // The outline of a box, `line` pixels wide on its inner side. Pixel k along each side has color_at(k).
  template <class ColorAt>
  void outline(const Area& a, ColorAt&& color_at) {
    const Area seen{std::max<int64_t>(a.left, -1), std::max<int64_t>(a.top, -1),
                    std::min(a.right, width_ + 1), std::min(a.bottom, height_ + 1)};
    for (int64_t k = 0; k < line_; ++k) {
      for (int64_t x = seen.left; x < seen.right; ++x) {
        if (a.top + k < a.bottom) blend(a.top + k, x, color_at(x), 1);
        if (a.bottom - 1 - k >= a.top) blend(a.bottom - 1 - k, x, color_at(x), 1);
      }
      for (int64_t y = seen.top; y < seen.bottom; ++y) {
        if (a.left + k < a.right) blend(y, a.left + k, color_at(y), 1);
        if (a.right - 1 - k >= a.left) blend(y, a.right - 1 - k, color_at(y), 1);
      }
    }
  }

  // Records which object each pixel belongs to: by its mask, or else its box.
  void claim(int64_t object, const Area& box, const Mask* mask) {
    const Area a = mask ? Area{mask->x0 * factor_, mask->y0 * factor_, (mask->x0 + mask->width) * factor_,
                               (mask->y0 + mask->height) * factor_}
                        : box;
    for (int64_t y = std::max<int64_t>(a.top, 0); y < std::min(a.bottom, height_); ++y) {
      for (int64_t x = std::max<int64_t>(a.left, 0); x < std::min(a.right, width_); ++x) {
        if (!mask || covered(*mask, y - a.top, x - a.left))
          owner_[static_cast<size_t>(y * width_ + x)] = static_cast<int32_t>(object);
      }
    }
  }

  // Pixels under the tag that belong to other objects; those of the tag's object count half, so that a tag
  // prefers to lie outside.
  double hidden(const Area& a, int64_t object) const {
    double pixels = 0;
    for (int64_t y = a.top; y < a.bottom; ++y) {
      for (int64_t x = a.left; x < a.right; ++x) {
        const int32_t owner = owner_[static_cast<size_t>(y * width_ + x)];
        pixels += owner < 0 ? 0 : owner == object ? 0.5 : 1;
      }
    }
    return pixels;
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

  int64_t factor_, height_, width_, line_;
  std::vector<int32_t> owner_;  // of each pixel, the object on top; -1: none
  Tensor picture_;
};

// Where a tag hides least, if that is little enough: pixels of other objects, of which a crowded picture has
// many, are worth more than a name.
bool tag(Canvas& canvas, int64_t object, const Area& box, const std::string& text, const Rgb& color,
         std::vector<Area>& taken) {
  constexpr double most_hidden = 0.4;  // of the tag
  const int64_t font = canvas.line(), margin = font;
  const int64_t width = text_width(text, font) + 2 * margin, height = glyph_height * font + 2 * margin;
  Area best{};
  double least = most_hidden * static_cast<double>(width * height);
  bool found = false;
  const auto consider = [&](int64_t top, int64_t left, bool inside) {
    const Area place{left, top, left + width, top + height};
    // Inside, a tag must leave most of the object to be seen.
    if (inside && 3 * height > box.bottom - box.top) return;
    if (inside && width > box.right - box.left) return;
    const auto in_the_way = [&](const Area& a) { return a.overlaps(place); };
    if (!canvas.holds(place) || std::any_of(taken.begin(), taken.end(), in_the_way)) return;
    // In a large object, a tag inside hides hardly anything.
    const double hides = canvas.hidden(place, object) * (inside ? 0.5 : 1);
    if (hides >= least) return;
    least = hides;
    best = place;
    found = true;
  };
  for (const int64_t left : {box.left, box.right - width, (box.left + box.right - width) / 2}) {
    consider(box.top - height, left, false);
    consider(box.bottom, left, false);
  }
  for (const int64_t top : {box.top, box.bottom - height}) {
    consider(top, box.right, false);
    consider(top, box.left - width, false);
  }
  consider(box.top, box.left, true);
  if (!found) return false;
  canvas.fill(best, color);
  draw_text(canvas.picture(), best.top + margin, best.left + margin, text, font, text_color(color));
  taken.push_back(best);
  return true;
}

// If all objects are of one class its name is no information.
std::string tag_text(const Instances& objects, int64_t i, const std::vector<data::ClassInfo>& classes,
                     std::span<const float> scores, bool crowd) {
  const auto label = static_cast<size_t>(objects.labels[static_cast<size_t>(i)]);
  std::vector<std::string> words;
  if (label >= classes.size()) {
    words.push_back(fmt::format("class{}", label));
  } else if (classes.size() > 2) {
    words.push_back(classes[label].name);
  }
  if (crowd) words.emplace_back("crowd");
  if (!scores.empty()) words.push_back(fmt::format("{:.2f}", scores[static_cast<size_t>(i)]));
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

Tensor draw_instances(const Tensor& image, const Instances& objects,
                      const std::vector<data::ClassInfo>& classes, std::span<const float> scores,
                      const InstanceNotes& notes) {
  ATROUS_CHECK(image.rank() == 3 && image.dtype() == DType::u8 && image.dim(0) == objects.height &&
                   image.dim(1) == objects.width,
               ErrorKind::usage,
               "[draw_instances] image u8 [H, W, C] and objects belong together. Got {} and {} x {}.",
               image.describe(), objects.width, objects.height);
  ATROUS_CHECK(scores.empty() || static_cast<int64_t>(scores.size()) == objects.size(), ErrorKind::usage,
               "[draw_instances] there is a score per object. Got {} for {}.", scores.size(), objects.size());
  const auto count = static_cast<size_t>(objects.size());
  ATROUS_CHECK((notes.colors.empty() || notes.colors.size() == count) &&
                   (notes.errors.empty() || notes.errors.size() == count),
               ErrorKind::usage, "[draw_instances] there are notes on every object. Got {} and {} for {}.",
               notes.colors.size(), notes.errors.size(), count);
  Canvas canvas(image, std::max<int64_t>(1, wanted_side / std::max(image.dim(0), image.dim(1))));
  std::vector<int64_t> order(count);
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
  const auto color = [&](int64_t i) {
    return is_crowd(i) ? crowd_grey
                       : color_of(notes.colors.empty() ? i : notes.colors[static_cast<size_t>(i)]);
  };
  const auto error = [&](int64_t i) {
    return notes.errors.empty() ? std::string() : notes.errors[static_cast<size_t>(i)];
  };
  for (const int64_t i : order) {
    const Mask* mask = objects.masks.empty() ? nullptr : &objects.masks[static_cast<size_t>(i)];
    if (mask) canvas.tint(*mask, color(i));
    canvas.claim(i, canvas.box(objects.box(i)), mask);
  }
  for (const int64_t i : order) {
    const bool wrong = !error(i).empty();
    canvas.outline(canvas.box(objects.box(i)), [&](int64_t along) {
      if (!wrong) return color(i);
      return along / (4 * canvas.line()) % 2 ? white : error_red;
    });
  }
  // Errors are what a reader looks for: their tags choose first.
  std::stable_partition(order.begin(), order.end(), [&](int64_t i) { return !error(i).empty(); });
  std::vector<Area> taken;
  for (const int64_t i : order) {
    const std::string text = tag_text(objects, i, classes, scores, is_crowd(i));
    const Rgb plate = error(i).empty() ? color(i) : error_red;
    const std::string full = error(i).empty() ? text : text + (text.empty() ? "" : " ") + error(i);
    const Area box = canvas.box(objects.box(i));
    if (!full.empty() && !tag(canvas, i, box, full, plate, taken) && !error(i).empty())
      tag(canvas, i, box, error(i), plate, taken);
  }
  return canvas.picture();
}

}  // namespace atrous::eval
