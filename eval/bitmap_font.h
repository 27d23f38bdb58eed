// A small bitmap font for legends: digits, capital letters and some signs, 5 x 7 pixels. Lower case is drawn
// as capitals.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace atrous::eval {

inline constexpr int64_t glyph_width = 5;
inline constexpr int64_t glyph_height = 7;
inline constexpr int64_t glyph_advance = 6;

inline int64_t text_width(const std::string& text, int64_t scale) {
  return text.empty() ? 0 : (static_cast<int64_t>(text.size()) * glyph_advance - 1) * scale;
}

// Draws on u8 [H, W, 3]; what falls outside is clipped. A character the font lacks is drawn as a box.
void draw_text(const Tensor& picture, int64_t top, int64_t left, const std::string& text, int64_t scale,
               const std::array<uint8_t, 3>& color);

}  // namespace atrous::eval
