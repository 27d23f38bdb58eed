// A correlation (conv2d_gpu.h) as a product of matrices, called implicit GEMM: rows m are output pixels,
// counted through images, rows and columns; the reduction runs over taps and input channels. The im2col
// matrix [m, taps*channels] is never stored: GatherRow tells where its row m begins, Tap which element comes
// next.
#pragma once

#include "kernels/conv2d/conv2d_gpu.h"

namespace atrous::kernels {

// An element of a row of the im2col matrix.
struct Tap {
  int h = 0, w = 0;
  int c = 0;
};
ATROUS_HD inline bool next_tap(const Correlation& g, Tap& t) {  // true after the last one
  if (++t.w < g.w.taps) return false;
  t.w = 0;
  if (++t.h < g.h.taps) return false;
  t.h = 0;
  return true;
}
// To the next block of `channels` elements: taps are fastest, because the pixels that they share are then
// still in the L1 cache.
ATROUS_HD inline void next_block(const Correlation& g, Tap& t, int channels) {
  if (next_tap(g, t)) t.c += channels;
}
// `count` elements further along the row, channels fastest: with few channels no part of a block is wasted.
// Past the end of the row t.h is at least taps.
ATROUS_HD inline void skip_elements(const Correlation& g, Tap& t, int count) {
  for (t.c += count; t.c >= g.channels; t.c -= g.channels) {
    if (++t.w == g.w.taps) {
      t.w = 0;
      ++t.h;
    }
  }
}

// A row of the im2col matrix: the input pixel under tap (0, 0).
struct GatherRow {
  int64_t pixel;  // its index, which means something together with a tap that is covered
  int h, w;
};
ATROUS_HD inline GatherRow gather_row(const Correlation& g, int64_t image, int i, int j) {
  const int h = g.h.first + i * g.h.step, w = g.w.first + j * g.w.step;
  return {(image * g.h.in + h) * g.w.in + w, h, w};
}
// Of row m; a row past the end covers no tap.
ATROUS_HD inline GatherRow gather_row(const Correlation& g, int64_t m) {
  if (m >= g.rows()) return {0, -(1 << 30), -(1 << 30)};
  const int64_t line = m / g.w.out;
  return gather_row(g, line / g.h.out, static_cast<int>(line % g.h.out), static_cast<int>(m % g.w.out));
}
// Whether the tap lies on the input and not on its padding.
ATROUS_HD inline bool covers(const Correlation& g, const GatherRow& row, const Tap& t) {
  return static_cast<unsigned>(row.h + t.h * g.h.advance) < static_cast<unsigned>(g.h.in) &&
         static_cast<unsigned>(row.w + t.w * g.w.advance) < static_cast<unsigned>(g.w.in);
}
// How many pixels the tap is after tap (0, 0).
ATROUS_HD inline int64_t tap_offset(const Correlation& g, const Tap& t) {
  return static_cast<int64_t>(t.h) * g.h.advance * g.w.in + t.w * g.w.advance;
}

// The output pixel of row m, or -1 past the end.
ATROUS_HD inline int64_t place_of(const Correlation& g, int64_t m) {
  if (m >= g.rows()) return -1;
  const int64_t line = m / g.w.out, image = line / g.h.out;
  const int64_t row = g.h.place_first + line % g.h.out * g.h.place_step;
  return (image * g.h.place_extent + row) * g.w.place_extent + g.w.place_first + m % g.w.out * g.w.place_step;
}

}  // namespace atrous::kernels
