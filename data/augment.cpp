#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "data/augment_internal.h"

namespace atrous::data {
namespace {

// x' = a x + b y + c, y' = d x + e y + f, on continuous coordinates (pixel i covers [i, i + 1)).
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;

  // this after first
  Affine after(const Affine& first) const {
    return {a * first.a + b * first.d, a * first.b + b * first.e, a * first.c + b * first.f + c,
            d * first.a + e * first.d, d * first.b + e * first.e, d * first.c + e * first.f + f};
  }
};

// Where each output pixel comes from: an affine map, and displacements on a grid that are added before it.
struct Warp {
  int64_t height = 0, width = 0;
  Affine map;
  int64_t grid = 0;                 // 0: no elastic part
  std::vector<double> dx, dy;       // grid x grid
  std::vector<double> row_weights;  // [height, grid], cubic interpolation between the nodes
  std::vector<double> column_weights;
};

// Weights of `grid` nodes spread over n pixels, for each pixel: Catmull-Rom, end nodes repeated.
std::vector<double> cubic_weights(int64_t n, int64_t grid) {
  std::vector<double> weights(static_cast<size_t>(n * grid), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    const double at = (static_cast<double>(i) + 0.5) / static_cast<double>(n) * static_cast<double>(grid - 1);
    const auto cell = std::min(static_cast<int64_t>(at), grid - 2);
    const double t = at - static_cast<double>(cell);
    const double w[4] = {((-t + 2) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2,
                         ((-3 * t + 4) * t + 1) * t / 2, (t - 1) * t * t / 2};
    for (int64_t k = 0; k < 4; ++k) {
      weights[static_cast<size_t>(i * grid + std::clamp<int64_t>(cell + k - 1, 0, grid - 1))] += w[k];
    }
  }
  return weights;
}

Affine quarter_turn(int64_t turns, double height, double width) {
  switch (turns) {
    case 1:
      return {0, 1, 0, -1, 0, height};  // output (x, y) shows source (y, H - x)
    case 2:
      return {-1, 0, width, 0, -1, height};
    case 3:
      return {0, -1, width, 1, 0, 0};
    default:
      return {};
  }
}

// The draws before the elastic part happen in every call, so that switching one of these changes off does not
// alter the others; elastic displacements, colours and blur draw only where they are asked for.
Warp draw_warp(int64_t source_height, int64_t source_width, const AugmentOptions& options, Rng& rng) {
  const auto h = static_cast<double>(source_height), w = static_cast<double>(source_width);
  const int64_t turns = rng.integer(0, 3);
  const bool flip_x = rng.coin(options.flip_horizontal), flip_y = rng.coin(options.flip_vertical);
  const double scale = rng.uniform(options.scale_min, options.scale_max);
  const double angle = rng.uniform(-options.rotate_degrees, options.rotate_degrees) * std::numbers::pi / 180;
  const double shift_x = rng.uniform(), shift_y = rng.uniform();

  Affine to_source = quarter_turn(options.rotate_quarter_turns ? turns : 0, h, w);
  const bool turned = options.rotate_quarter_turns && turns % 2 == 1;
  const double upright_w = turned ? h : w, upright_h = turned ? w : h;
  if (flip_x) to_source = to_source.after({-1, 0, upright_w, 0, 1, 0});
  if (flip_y) to_source = to_source.after({1, 0, 0, 0, -1, upright_h});

  Warp warp;
  warp.height = options.crop_height ? options.crop_height : static_cast<int64_t>(upright_h);
  warp.width = options.crop_width ? options.crop_width : static_cast<int64_t>(upright_w);
  // The corner of the crop in the scaled image: anywhere inside, or the image anywhere inside the crop.
  const auto corner = [](double size, int64_t crop, double shift) {
    const double room = std::round(size) - static_cast<double>(crop);
    return room >= 0 ? std::floor(shift * (room + 1)) : -std::floor(shift * (1 - room));
  };
  const double cx = corner(upright_w * scale, warp.width, shift_x),
               cy = corner(upright_h * scale, warp.height, shift_y);
  const double half_w = static_cast<double>(warp.width) / 2, half_h = static_cast<double>(warp.height) / 2;
  const double cos = angle == 0 ? 1 : std::cos(angle), sin = angle == 0 ? 0 : std::sin(angle);
  // Rotation about the centre of the crop, then its corner, then the scale. Exact for scale 1 without
  // rotation.
  const Affine rotate{cos, -sin, half_w - cos * half_w + sin * half_h + cx,
                      sin, cos,  half_h - sin * half_w - cos * half_h + cy};
  warp.map = to_source.after(Affine{1 / scale, 0, 0, 0, 1 / scale, 0}.after(rotate));
  if (options.elastic_sigma > 0 && options.elastic_grid >= 2) {
    warp.grid = options.elastic_grid;
    for (int64_t i = 0; i < warp.grid * warp.grid; ++i) {
      warp.dx.push_back(rng.normal() * options.elastic_sigma);
      warp.dy.push_back(rng.normal() * options.elastic_sigma);
    }
    warp.row_weights = cubic_weights(warp.height, warp.grid);
    warp.column_weights = cubic_weights(warp.width, warp.grid);
  }
  return warp;
}

// Source coordinates (pixel centres at whole numbers) of one output row.
void source_row(const Warp& warp, int64_t y, std::vector<float>& xs, std::vector<float>& ys) {
  const Affine& m = warp.map;
  const double v = static_cast<double>(y) + 0.5;
  std::vector<double> row_dx(static_cast<size_t>(warp.grid)), row_dy(static_cast<size_t>(warp.grid));
  for (int64_t i = 0; i < warp.grid; ++i) {
    for (int64_t j = 0; j < warp.grid; ++j) {
      const double weight = warp.row_weights[static_cast<size_t>(y * warp.grid + j)];
      row_dx[static_cast<size_t>(i)] += weight * warp.dx[static_cast<size_t>(j * warp.grid + i)];
      row_dy[static_cast<size_t>(i)] += weight * warp.dy[static_cast<size_t>(j * warp.grid + i)];
    }
  }
  for (int64_t x = 0; x < warp.width; ++x) {
    double px = static_cast<double>(x) + 0.5, py = v;
    const double* weights = warp.column_weights.data() + x * warp.grid;
    for (int64_t i = 0; i < warp.grid; ++i) {
      px += weights[i] * row_dx[static_cast<size_t>(i)];
      py += weights[i] * row_dy[static_cast<size_t>(i)];
    }
    xs[static_cast<size_t>(x)] = static_cast<float>(m.a * px + m.b * py + m.c - 0.5);
    ys[static_cast<size_t>(x)] = static_cast<float>(m.d * px + m.e * py + m.f - 0.5);
  }
}

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

// Fills image and label; returns a flag per pixel that lies outside the source (empty: none does).
std::vector<uint8_t> sample_warp(const Sample& sample, const Warp& warp, bool reflect, const Tensor& image,
                                 const Tensor& label) {
  const Tensor source = sample.image.contiguous_copy_if_needed();
  const int64_t height = source.dim(0), width = source.dim(1), channels = source.dim(2);
  const auto w = static_cast<float>(width), h = static_cast<float>(height);
  std::vector<float> xs(static_cast<size_t>(warp.width)), ys(xs);
  std::vector<uint8_t> outside;
  for (int64_t y = 0; y < warp.height; ++y) {
    source_row(warp, y, xs, ys);
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
      channels == 3 ? bilinear<3>(source, sx, sy, pixel) : bilinear<0>(source, sx, sy, pixel);
      if (!label.defined()) continue;
      const int64_t nx = std::min(static_cast<int64_t>(sx + 0.5f), width - 1),
                    ny = std::min(static_cast<int64_t>(sy + 0.5f), height - 1);
      label.data<uint8_t>()[y * warp.width + x] = sample.label.data<uint8_t>()[ny * width + nx];
    }
  }
  return outside;
}

// The border keeps its colour whatever happened to the picture.
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

Sample augment(const Sample& sample, const AugmentOptions& options, Rng& rng) {
  ATROUS_CHECK(sample.image.defined() && sample.image.dtype() == DType::u8 && sample.image.rank() == 3 &&
                   sample.image.numel() > 0,
               ErrorKind::usage, "[augment] images are u8 [H, W, C]. Got {}.", sample.image.describe());
  ATROUS_CHECK(
      (options.crop_height == 0) == (options.crop_width == 0), ErrorKind::config,
      "[augment] crop_height and crop_width are given together or not at all. Got {} and {}. Set both.",
      options.crop_height, options.crop_width);
  const Shape pixels{sample.image.dim(0), sample.image.dim(1)};
  ATROUS_CHECK(!sample.label.defined() || sample.label.shape() == pixels, ErrorKind::data,
               "[augment {}] image and label must have one size. Got {} and {}.", sample.id, pixels.str(),
               sample.label.shape().str());
  ATROUS_CHECK(options.border_color.empty() ||
                   static_cast<int64_t>(options.border_color.size()) == sample.image.dim(2),
               ErrorKind::usage, "[augment] border_color needs a value per channel. Got {} for {} channels.",
               options.border_color.size(), sample.image.dim(2));
  const Warp warp = draw_warp(sample.image.dim(0), sample.image.dim(1), options, rng);
  Sample out = sample;
  out.image = Tensor::empty({warp.height, warp.width, sample.image.dim(2)}, DType::f32);
  if (sample.label.defined()) out.label = Tensor::empty({warp.height, warp.width}, DType::u8);
  const std::vector<uint8_t> outside =
      sample_warp(sample, warp, options.border == "reflect", out.image, out.label);
  fill_outside(out.image, outside, options.border_color);  // blur must not read uninitialised pixels
  internal::jitter_colors(out.image, options, rng);
  if (options.blur_sigma_max > 0) internal::gaussian_blur(out.image, rng.uniform(0, options.blur_sigma_max));
  fill_outside(out.image, outside, options.border_color);
  return out;
}

}  // namespace atrous::data
