#include "eval/pictures.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "eval/bitmap_font.h"

namespace atrous::eval {
namespace {

using Rgb = std::array<uint8_t, 3>;

constexpr Rgb white = {255, 255, 255};
constexpr Rgb black = {0, 0, 0};
constexpr Rgb grey = {90, 90, 90};

uint8_t* pixel(const Tensor& picture, int64_t y, int64_t x) {
  return picture.data<uint8_t>() + (y * picture.dim(1) + x) * 3;
}

void fill_rectangle(const Tensor& picture, int64_t top, int64_t left, int64_t height, int64_t width,
                    const Rgb& color) {
  for (int64_t y = top; y < std::min(top + height, picture.dim(0)); ++y) {
    for (int64_t x = left; x < std::min(left + width, picture.dim(1)); ++x)
      std::copy_n(color.data(), 3, pixel(picture, y, x));
  }
}

struct LegendItem {
  Rgb color;
  std::string text;
};

std::vector<LegendItem> legend_items(const Tensor& labels, const std::vector<data::ClassInfo>& classes,
                                     const Palette& palette) {
  std::array<int64_t, 256> counts{};
  for (int64_t i = 0; i < labels.numel(); ++i) ++counts[labels.data<uint8_t>()[i]];
  std::vector<size_t> order;
  for (size_t c = 0; c < 256; ++c) {
    if (counts[c] > 0) order.push_back(c);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return counts[a] > counts[b]; });
  std::vector<LegendItem> items;
  for (size_t c : order) {
    const double percent = 100.0 * static_cast<double>(counts[c]) / static_cast<double>(labels.numel());
    const std::string name = c < classes.size()        ? classes[c].name
                             : c == data::ignore_label ? "ignored"
                                                       : fmt::format("class{}", c);
    items.push_back(
        {palette[c], fmt::format("{} {}", name, percent < 1 ? "<1%" : fmt::format("{:.0f}%", percent))});
  }
  return items;
}

}  // namespace

Palette voc_palette() {
  Palette palette(256);
  for (size_t i = 0; i < 256; ++i) {
    for (size_t bit = 0; bit < 8; ++bit) {
      if (i >> bit & 1) palette[i][bit % 3] = static_cast<uint8_t>(palette[i][bit % 3] | 128u >> (bit / 3));
    }
  }
  return palette;
}

Palette palette_of(const std::vector<data::ClassInfo>& classes) {
  Palette palette = voc_palette();
  const bool given =
      std::any_of(classes.begin(), classes.end(), [](const auto& c) { return c.color != black; });
  if (!given) return palette;
  for (size_t i = 0; i < std::min<size_t>(classes.size(), 255); ++i) palette[i] = classes[i].color;
  return palette;
}

Tensor overlay(const Tensor& image, const Tensor& labels, const Palette& palette, double opacity) {
  ATROUS_CHECK(image.rank() == 3 && labels.rank() == 2 && image.dim(0) == labels.dim(0) &&
                   image.dim(1) == labels.dim(1),
               ErrorKind::usage,
               "[overlay] image [H, W, C] and labels [H, W] must have one size. Got {} and {}.",
               image.shape().str(), labels.shape().str());
  const int64_t h = image.dim(0), w = image.dim(1), c = image.dim(2);
  const uint8_t* label = labels.data<uint8_t>();
  const Tensor result = Tensor::empty({h, w, 3}, DType::u8);
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const int64_t i = y * w + x;
      const uint8_t k = label[i];
      const bool rim = (x + 1 < w && label[i + 1] != k) || (y + 1 < h && label[i + w] != k);
      // Black stands for background in most palettes: it would only darken the photograph.
      const bool tinted = k != data::ignore_label && palette[k] != black;
      const double alpha = !tinted ? 0 : rim ? 1 : opacity;
      for (int64_t ch = 0; ch < 3; ++ch) {
        const double from = image.data<uint8_t>()[i * c + (c < 3 ? 0 : ch)];
        const double to = palette[k][static_cast<size_t>(ch)];
        pixel(result, y, x)[ch] = static_cast<uint8_t>(std::lround(from + alpha * (to - from)));
      }
    }
  }
  return result;
}

Tensor with_legend(const Tensor& picture, const Tensor& labels, const std::vector<data::ClassInfo>& classes,
                   const Palette& palette) {
  const int64_t h = picture.dim(0), w = picture.dim(1);
  const int64_t scale = std::max<int64_t>(1, w / 480);
  const int64_t line = (glyph_height + 5) * scale, swatch = glyph_height * scale, gap = 4 * scale;
  const std::vector<LegendItem> items = legend_items(labels, classes, palette);
  // Where each item goes: left to right, on the next line when the width is used up.
  std::vector<std::pair<int64_t, int64_t>> places;  // top, left
  int64_t top = h + gap, left = gap;
  for (const LegendItem& item : items) {
    const int64_t width = swatch + gap + text_width(item.text, scale) + 2 * gap;
    if (left > gap && left + width > w) {
      left = gap;
      top += line;
    }
    places.emplace_back(top, left);
    left += width;
  }
  const Tensor result = Tensor::full({top + line, w, 3}, 255, DType::u8);
  std::copy_n(picture.contiguous_copy_if_needed().data<uint8_t>(), picture.numel(), result.data<uint8_t>());
  for (size_t i = 0; i < items.size(); ++i) {
    const auto [y, x] = places[i];
    fill_rectangle(result, y, x, swatch, swatch, grey);
    fill_rectangle(result, y + scale, x + scale, swatch - 2 * scale, swatch - 2 * scale, items[i].color);
    draw_text(result, y, x + swatch + gap, items[i].text, scale, black);
  }
  return result;
}

Tensor side_by_side(const std::vector<Tensor>& pictures) {
  constexpr int64_t gap = 4;
  int64_t h = 0, w = -gap;
  for (const Tensor& p : pictures) {
    h = std::max(h, p.dim(0));
    w += p.dim(1) + gap;
  }
  const Tensor result = Tensor::full({h, std::max<int64_t>(w, 0), 3}, 255, DType::u8);
  int64_t left = 0;
  for (const Tensor& p : pictures) {
    for (int64_t y = 0; y < p.dim(0); ++y) std::copy_n(pixel(p, y, 0), p.dim(1) * 3, pixel(result, y, left));
    left += p.dim(1) + gap;
  }
  return result;
}

Tensor error_map(const Tensor& image, const Tensor& label, const Tensor& prediction) {
  ATROUS_CHECK(
      image.rank() == 3 && label.shape() == prediction.shape() &&
          label.shape() == Shape({image.dim(0), image.dim(1)}),
      ErrorKind::usage,
      "[error_map] image [H, W, C], label and prediction [H, W] must have one size. Got {}, {} and {}.",
      image.shape().str(), label.shape().str(), prediction.shape().str());
  const int64_t h = image.dim(0), w = image.dim(1), c = image.dim(2);
  const Tensor result = Tensor::empty({h, w, 3}, DType::u8);
  for (int64_t i = 0; i < h * w; ++i) {
    const uint8_t* in = image.data<uint8_t>() + i * c;
    const double brightness = c < 3 ? in[0] : 0.299 * in[0] + 0.587 * in[1] + 0.114 * in[2];
    const uint8_t gt = label.data<uint8_t>()[i];
    // Right: pale, so that errors stand out of any photograph. Wrong: red. Ignored: dark blue.
    Rgb tint = white;
    double opacity = 0.7;
    if (gt == data::ignore_label) {
      tint = {30, 40, 80};
    } else if (gt != prediction.data<uint8_t>()[i]) {
      tint = {222, 20, 30};
      opacity = 0.8;
    }
    for (size_t ch = 0; ch < 3; ++ch) {
      result.data<uint8_t>()[i * 3 + static_cast<int64_t>(ch)] =
          static_cast<uint8_t>(std::lround(brightness + opacity * (tint[ch] - brightness)));
    }
  }
  return result;
}

Tensor shrunk(const Tensor& picture, int64_t max_width) {
  const int64_t h = picture.dim(0), w = picture.dim(1), channels = picture.dim(2);
  const int64_t step = (w + max_width - 1) / max_width;
  if (step <= 1) return picture;
  const int64_t height = (h + step - 1) / step, width = (w + step - 1) / step;
  const Tensor result = Tensor::empty({height, width, channels}, DType::u8);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t bottom = std::min(h, (y + 1) * step), right = std::min(w, (x + 1) * step);
      for (int64_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (int64_t v = y * step; v < bottom; ++v) {
          for (int64_t u = x * step; u < right; ++u)
            sum += picture.data<uint8_t>()[(v * w + u) * channels + c];
        }
        const int64_t count = (bottom - y * step) * (right - x * step);
        result.data<uint8_t>()[(y * width + x) * channels + c] =
            static_cast<uint8_t>((sum + count / 2) / count);
      }
    }
  }
  return result;
}

Tensor with_heading(const Tensor& picture, const std::string& heading) {
  constexpr int64_t margin = 4;
  const int64_t h = picture.dim(0), w = picture.dim(1);
  const int64_t scale = w >= 480 && text_width(heading, 2) + 2 * margin <= w ? 2 : 1;
  const int64_t line = glyph_height * scale + 2 * margin;
  // A small picture gets a margin rather than half a word.
  const int64_t width = std::max(w, text_width(heading, scale) + 2 * margin);
  const Tensor result = Tensor::full({line + h, width, 3}, 255, DType::u8);
  draw_text(result, margin, margin, heading, scale, {0, 0, 0});
  for (int64_t y = 0; y < h; ++y)
    std::copy_n(picture.data<uint8_t>() + y * w * 3, w * 3, result.data<uint8_t>() + (line + y) * width * 3);
  return result;
}

Tensor as_picture(const Tensor& image) {
  return overlay(image, Tensor::full({image.dim(0), image.dim(1)}, data::ignore_label, DType::u8),
                 voc_palette());
}

}  // namespace atrous::eval
