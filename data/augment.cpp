#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/augment_internal.h"
#include "data/warp.h"

namespace atrous::data {
namespace {

// Mirrors about the centres of the first and last pixel; within [0, n - 1] the identity.
float mirror(float at, int64_t n) {
  const auto last = static_cast<float>(n - 1);
  if (at >= 0 && at <= last) return at;  // most pixels; remainder is slow
  if (n == 1) return 0;
  return std::min(std::abs(std::remainder(at, 2 * last)), last);  // remainder: within half a period of zero
}

template <int64_t fixed_channels>
void bilinear(const Tensor& image, float sx, float sy, float* out) {
  const int64_t height = image.dim(0), width = image.dim(1);
  const int64_t channels = fixed_channels ? fixed_channels : image.dim(2);
  sx = std::clamp(sx, 0.0f, static_cast<float>(width - 1));
  sy = std::clamp(sy, 0.0f, static_cast<float>(height - 1));
  const auto x0 = static_cast<int64_t>(sx), y0 = static_cast<int64_t>(sy);
  const float fx = sx - static_cast<float>(x0), fy = sy - static_cast<float>(y0);
  const uint8_t* top = image.data<uint8_t>() + (y0 * width + x0) * channels;
  const uint8_t* bottom = y0 + 1 < height ? top + width * channels : top;
  const int64_t right = x0 + 1 < width ? channels : 0;
  constexpr float unit = 1.0f / 255;
  for (int64_t c = 0; c < channels; ++c) {
    const auto tl = static_cast<float>(top[c]), tr = static_cast<float>(top[c + right]);
    const auto bl = static_cast<float>(bottom[c]), br = static_cast<float>(bottom[c + right]);
    const float t = tl + fx * (tr - tl), b = bl + fx * (br - bl);
    out[c] = (t + fy * (b - t)) * unit;
  }
}

// The image, averaged down by a whole factor if an output pixel covers several of its pixels each way.
Tensor prefiltered(const Tensor& image, const internal::Affine& map) {
  const auto factor = static_cast<int64_t>(std::sqrt(std::abs(map.a * map.e - map.b * map.d)) + 1e-9);
  if (factor < 2) return image;
  return internal::resize_image(image, std::max<int64_t>(1, image.dim(0) / factor),
                                std::max<int64_t>(1, image.dim(1) / factor));
}

// Fills image and label; returns a flag per pixel that lies outside the source (empty: none does).
std::vector<uint8_t> sample_warp(const Sample& sample, const internal::Warp& warp, bool reflect,
                                 const Tensor& image, const Tensor& label) {
  const int64_t height = sample.image.dim(0), width = sample.image.dim(1), channels = sample.image.dim(2);
  const Tensor source = prefiltered(sample.image.contiguous_copy_if_needed(), warp.map);
  const bool is_smaller = source.dim(0) != height || source.dim(1) != width;
  const float rx = static_cast<float>(source.dim(1)) / static_cast<float>(width),
              ry = static_cast<float>(source.dim(0)) / static_cast<float>(height);
  const auto w = static_cast<float>(width), h = static_cast<float>(height);
  std::vector<float> xs(static_cast<size_t>(warp.width)), ys(xs);
  std::vector<uint8_t> outside;
  for (int64_t y = 0; y < warp.height; ++y) {
    internal::source_row(warp, y, 0, warp.width, xs.data(), ys.data());
    float* pixel = image.data<float>() + y * warp.width * channels;
    for (int64_t x = 0; x < warp.width; ++x, pixel += channels) {
      float sx = xs[static_cast<size_t>(x)], sy = ys[static_cast<size_t>(x)];
      const bool inside = sx >= -0.5f && sx < w - 0.5f && sy >= -0.5f && sy < h - 0.5f;
      if (reflect) {
        sx = mirror(sx, width);
        sy = mirror(sy, height);
      } else if (!inside) {
        if (outside.empty()) outside.resize(static_cast<size_t>(warp.height * warp.width), 0);
        outside[static_cast<size_t>(y * warp.width + x)] = 1;
        if (label.defined()) label.data<uint8_t>()[y * warp.width + x] = ignore_label;
        continue;
      }
      const float ix = is_smaller ? (sx + 0.5f) * rx - 0.5f : sx,
                  iy = is_smaller ? (sy + 0.5f) * ry - 0.5f : sy;
      channels == 3 ? bilinear<3>(source, ix, iy, pixel) : bilinear<0>(source, ix, iy, pixel);
      if (!label.defined()) continue;
      const int64_t nx = std::min(static_cast<int64_t>(sx + 0.5f), width - 1),
                    ny = std::min(static_cast<int64_t>(sy + 0.5f), height - 1);
      label.data<uint8_t>()[y * warp.width + x] = sample.label.data<uint8_t>()[ny * width + nx];
    }
  }
  return outside;
}

// The border keeps its colour, whatever the colour changes.
void fill_outside(const Tensor& image, const std::vector<uint8_t>& outside,
                  const std::vector<double>& color) {
  const int64_t channels = image.dim(2);
  for (size_t i = 0; i < outside.size(); ++i) {
    if (!outside[i]) continue;
    float* pixel = image.data<float>() + static_cast<int64_t>(i) * channels;
    for (int64_t c = 0; c < channels; ++c)
      pixel[c] = color.empty() ? 0.0f : static_cast<float>(color[static_cast<size_t>(c)]);
  }
}

}  // namespace

Sample internal::augment(const Sample& sample, const AugmentOptions& options, Rng& rng, Warp& warp) {
  ATROUS_CHECK(sample.image.defined() && sample.image.dtype() == DType::u8 && sample.image.rank() == 3 &&
                   sample.image.numel() > 0,
               ErrorKind::usage, "[augment] images are u8 [H, W, C]. Got {}.", sample.image.describe());
  ATROUS_CHECK(
      (options.crop_height == 0) == (options.crop_width == 0), ErrorKind::config,
      "[augment] crop_height and crop_width are given together or not at all. Got {} and {}. Set both.",
      options.crop_height, options.crop_width);
  ATROUS_CHECK(
      !options.scale_to_crop || options.crop_height > 0, ErrorKind::config,
      "[augment] scale_to_crop needs a crop. Got none. Set augment.crop_height and augment.crop_width.");
  const Shape pixels{sample.image.dim(0), sample.image.dim(1)};
  ATROUS_CHECK(!sample.label.defined() || sample.label.shape() == pixels, ErrorKind::data,
               "[augment {}] image and label must have one size. Got {} and {}.", sample.id, pixels.str(),
               sample.label.shape().str());
  ATROUS_CHECK(options.border_color.empty() ||
                   static_cast<int64_t>(options.border_color.size()) == sample.image.dim(2),
               ErrorKind::usage, "[augment] border_color needs a value per channel. Got {} for {} channels.",
               options.border_color.size(), sample.image.dim(2));
  warp = draw_warp(sample.image.dim(0), sample.image.dim(1), options, rng);
  Sample out = sample;
  out.image = Tensor::empty({warp.height, warp.width, sample.image.dim(2)}, DType::f32);
  if (sample.label.defined()) out.label = Tensor::empty({warp.height, warp.width}, DType::u8);
  const std::vector<uint8_t> outside =
      sample_warp(sample, warp, options.border == Border::reflect, out.image, out.label);
  fill_outside(out.image, outside, options.border_color);  // blur must not read uninitialised pixels
  internal::jitter_colors(out.image, options, rng);
  if (options.blur_sigma_max > 0) internal::gaussian_blur(out.image, rng.uniform(0, options.blur_sigma_max));
  fill_outside(out.image, outside, options.border_color);
  return out;
}

Sample augment(const Sample& sample, const AugmentOptions& options, Rng& rng) {
  internal::Warp warp;
  return internal::augment(sample, options, rng, warp);
}

}  // namespace atrous::data
