// One output pixel of preprocess, for all implementations.
//
// Which pixels are read is decided once, in the same arithmetic everywhere: double, then rounded to f32. So
// all implementations take the same taps; only the results are rounded differently.
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "kernels/preprocess/preprocess.h"

namespace atrous::kernels::preprocess_impl {

// The numbers of an image and a channel as passed to kernels, dense.
inline constexpr int64_t color_values = 10;  // matrix, offset
struct Parameters {
  const double* maps = nullptr;       // [N, 6]
  const float* colors = nullptr;      // [N, 10]
  const float* statistics = nullptr;  // [3, C]: mean, 1 / std, border
};

struct Source {
  float x, y;  // pixel centres at whole numbers
  bool inside;
};

// Mirrors about the centres of the first and last pixel; within [0, n - 1] the identity.
ATROUS_HD inline float mirror(float at, int64_t n) {
  const auto last = static_cast<float>(n - 1);
  if (at >= 0 && at <= last) return at;
  if (n == 1) return 0;
  const float back = std::fabs(std::remainder(at, 2 * last));  // within half a period of zero
  return back < last ? back : last;
}

ATROUS_HD inline Source source_of(const PreprocessProblem& p, const double* map, int64_t row,
                                  int64_t column) {
  const double x = static_cast<double>(column) + 0.5, y = static_cast<double>(row) + 0.5;
  const auto sx = static_cast<float>(map[0] * x + map[1] * y + map[2] - 0.5);
  const auto sy = static_cast<float>(map[3] * x + map[4] * y + map[5] - 0.5);
  if (p.reflect) return {mirror(sx, p.in_w), mirror(sy, p.in_h), true};
  const bool inside = sx >= -0.5f && sx < static_cast<float>(p.in_w) - 0.5f && sy >= -0.5f &&
                      sy < static_cast<float>(p.in_h) - 0.5f;
  return {sx, sy, inside};
}

// Offset of the label of a point inside.
ATROUS_HD inline int64_t nearest(const PreprocessProblem& p, Source s) {
  const auto x = static_cast<int64_t>(s.x + 0.5f), y = static_cast<int64_t>(s.y + 0.5f);
  return (y < p.in_h ? y : p.in_h - 1) * p.in_w + (x < p.in_w ? x : p.in_w - 1);
}

// The four pixels around a point inside: offsets of their first channels, and weights of the second ones.
struct Taps {
  int64_t top, bottom, right;  // top left, bottom left, from left to right
  float fx, fy;
};
ATROUS_HD inline float clamp_to(float v, int64_t n) {
  const auto last = static_cast<float>(n - 1);
  return v < 0 ? 0 : v < last ? v : last;
}
ATROUS_HD inline Taps taps_of(const PreprocessProblem& p, Source s) {
  const float x = clamp_to(s.x, p.in_w), y = clamp_to(s.y, p.in_h);
  const auto x0 = static_cast<int64_t>(x), y0 = static_cast<int64_t>(y);
  const int64_t top = (y0 * p.in_w + x0) * p.channels;
  return {top, y0 + 1 < p.in_h ? top + p.in_w * p.channels : top, x0 + 1 < p.in_w ? p.channels : 0,
          x - static_cast<float>(x0), y - static_cast<float>(y0)};
}
template <class Real>
ATROUS_HD inline Real blend(const uint8_t* image, const Taps& t, int64_t c) {
  const Real tl = image[t.top + c], tr = image[t.top + t.right + c];
  const Real bl = image[t.bottom + c], br = image[t.bottom + t.right + c];
  const Real fx = t.fx, fy = t.fy;
  const Real top = tl + fx * (tr - tl), bottom = bl + fx * (br - bl);
  return (top + fy * (bottom - top)) * (Real(1) / 255);
}

template <class Real>
ATROUS_HD inline Real clamp_color(Real v) {
  return v < 0 ? Real(0) : v < 1 ? v : Real(1);
}
template <class Real>
ATROUS_HD inline Real normalised(const PreprocessProblem& p, const float* statistics, Real v, int64_t c) {
  return (v - static_cast<Real>(statistics[c])) * static_cast<Real>(statistics[p.channels + c]);
}
template <class Real>
ATROUS_HD inline Real border_value(const PreprocessProblem& p, const float* statistics, int64_t c) {
  return normalised<Real>(p, statistics, static_cast<Real>(statistics[2 * p.channels + c]), c);
}

// Channel c of a point inside, by the formula. `color` is that of the image.
template <class Real>
ATROUS_HD inline Real channel_value(const PreprocessProblem& p, const uint8_t* image, const float* color,
                                    const float* statistics, const Taps& t, int64_t c) {
  Real v;
  if (!p.colors) {
    v = blend<Real>(image, t, c);
  } else {
    const Real offset = color[9];
    if (p.channels == 3) {
      v = static_cast<Real>(color[3 * c]) * blend<Real>(image, t, 0) +
          static_cast<Real>(color[3 * c + 1]) * blend<Real>(image, t, 1) +
          static_cast<Real>(color[3 * c + 2]) * blend<Real>(image, t, 2) + offset;
    } else {
      v = static_cast<Real>(color[0]) * blend<Real>(image, t, c) + offset;
    }
    v = clamp_color(v);
  }
  return normalised<Real>(p, statistics, v, c);
}

// All channels of a point inside at once, for few channels: each tap is read once.
template <int channels>
ATROUS_HD inline void pixel_values(const PreprocessProblem& p, const uint8_t* image, const float* color,
                                   const float* statistics, const Taps& t, float* out) {
  float v[channels];
  for (int c = 0; c < channels; ++c) v[c] = blend<float>(image, t, c);
  for (int c = 0; c < channels; ++c) {
    float u = v[c];
    if (p.colors) {
      if constexpr (channels == 3) {
        u = color[3 * c] * v[0] + color[3 * c + 1] * v[1] + color[3 * c + 2] * v[2] + color[9];
      } else {
        u = color[0] * u + color[9];
      }
      u = clamp_color(u);
    }
    out[c] = normalised<float>(p, statistics, u, c);
  }
}

}  // namespace atrous::kernels::preprocess_impl
