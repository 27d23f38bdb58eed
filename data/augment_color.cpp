// Changes of pixel values: colour jitter, blur, normalisation.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "data/augment_internal.h"

namespace atrous::data {

ChannelStatistics channel_statistics(const DataOptions& options, int64_t channels) {
  const auto n = static_cast<size_t>(channels);
  ATROUS_CHECK(
      (options.mean.empty() || options.mean.size() == n) && (options.std.empty() || options.std.size() == n),
      ErrorKind::config, "[data.mean] mean and std need a value per channel. Got {} and {} for {} channels.",
      options.mean.size(), options.std.size(), channels);
  const std::vector<double> mean = !options.mean.empty() ? options.mean
                                   : channels == 3       ? std::vector<double>{0.485, 0.456, 0.406}
                                                         : std::vector<double>(n, 0.5);
  const std::vector<double> std = !options.std.empty() ? options.std
                                  : channels == 3      ? std::vector<double>{0.229, 0.224, 0.225}
                                                       : std::vector<double>(n, 0.5);
  ChannelStatistics out;
  for (size_t c = 0; c < n; ++c) {
    ATROUS_CHECK(std[c] > 0, ErrorKind::config, "[data.std] must be positive. Got {}.", std[c]);
    out.mean.push_back(static_cast<float>(mean[c]));
    out.inverse_std.push_back(static_cast<float>(1 / std[c]));
  }
  return out;
}

namespace internal {
namespace {

using Matrix3 = std::array<std::array<double, 3>, 3>;

constexpr std::array<double, 3> luma{0.299, 0.587, 0.114};

Matrix3 multiply(const Matrix3& a, const Matrix3& b) {
  Matrix3 out{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      for (size_t k = 0; k < 3; ++k) out[i][j] += a[i][k] * b[k][j];
    }
  }
  return out;
}

// s * identity + (1 - s) * luma in every row: 1 keeps the colours, 0 makes the picture grey.
Matrix3 saturation_matrix(double s) {
  Matrix3 out{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) out[i][j] = (i == j ? s : 0) + (1 - s) * luma[j];
  }
  return out;
}

// Turns colours about the grey axis (Rodrigues' formula): unlike the hue of HSV this is linear, and
// continuous at grey.
Matrix3 hue_matrix(double turns) {
  const double angle = 2 * std::numbers::pi * turns;
  const double c = std::cos(angle), s = std::sin(angle) / std::numbers::sqrt3, t = (1 - c) / 3;
  return {{{c + t, t - s, t + s}, {t + s, c + t, t - s}, {t - s, t + s, c + t}}};
}

}  // namespace

// Brightness, contrast, saturation and hue are each affine in RGB, so together they are one 3x3 matrix and an
// offset.
void jitter_colors(const Tensor& image, const AugmentOptions& options, Rng& rng) {
  const double brightness = rng.uniform(1 - options.brightness, 1 + options.brightness);
  const double contrast = rng.uniform(1 - options.contrast, 1 + options.contrast);
  const double saturation = rng.uniform(1 - options.saturation, 1 + options.saturation);
  const double hue = rng.uniform(-options.hue, options.hue);
  if (options.brightness == 0 && options.contrast == 0 && options.saturation == 0 && options.hue == 0) return;
  const int64_t channels = image.dim(2), n = image.pixels();
  float* values = image.data<float>();
  const bool rgb = channels == 3;
  // Contrast scales the distance from the mean grey of the picture.
  double mean = 0;
  if (options.contrast != 0) {
    for (int64_t p = 0; p < n; ++p) {
      const float* v = values + p * channels;
      mean += rgb ? luma[0] * v[0] + luma[1] * v[1] + luma[2] * v[2] : v[0];
    }
    mean /= static_cast<double>(n);
  }
  const double gain = brightness * contrast;
  const auto offset = static_cast<float>((1 - contrast) * brightness * mean);
  if (!rgb) {
    for (int64_t i = 0; i < n * channels; ++i)
      values[i] = std::clamp(static_cast<float>(gain) * values[i] + offset, 0.0f, 1.0f);
    return;
  }
  const Matrix3 m = multiply(hue_matrix(hue), saturation_matrix(saturation));
  std::array<float, 9> f{};
  for (size_t i = 0; i < 9; ++i) f[i] = static_cast<float>(gain * m[i / 3][i % 3]);
  // Rows of both matrices sum to one, so the offset (a grey) passes through them unchanged.
  for (float* v = values; v != values + n * 3; v += 3) {
    const float r = v[0], g = v[1], b = v[2];
    v[0] = std::clamp(f[0] * r + f[1] * g + f[2] * b + offset, 0.0f, 1.0f);
    v[1] = std::clamp(f[3] * r + f[4] * g + f[5] * b + offset, 0.0f, 1.0f);
    v[2] = std::clamp(f[6] * r + f[7] * g + f[8] * b + offset, 0.0f, 1.0f);
  }
}

void gaussian_blur(const Tensor& image, double sigma) {
  if (sigma < 0.1) return;  // neighbours would get less than 1e-21
  const auto radius = static_cast<int64_t>(std::ceil(3 * sigma));
  std::vector<float> kernel(static_cast<size_t>(2 * radius + 1));
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k)
    sum += std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma));
  for (int64_t k = -radius; k <= radius; ++k) {
    kernel[static_cast<size_t>(k + radius)] =
        static_cast<float>(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma)) / sum);
  }
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.dim(2), row = width * channels;
  const auto mirror = [](int64_t i, int64_t n) {
    while (i < 0 || i >= n) i = i < 0 ? -i - 1 : 2 * n - 1 - i;
    return i;
  };
  float* values = image.data<float>();
  std::vector<float> padded(static_cast<size_t>((width + 2 * radius) * channels));
  for (int64_t y = 0; y < height; ++y) {
    float* line = values + y * row;
    for (int64_t x = -radius; x < width + radius; ++x) {
      std::copy_n(line + mirror(x, width) * channels, channels, padded.begin() + (x + radius) * channels);
    }
    std::fill_n(line, row, 0.0f);
    for (size_t k = 0; k < kernel.size(); ++k) {
      const float* source = padded.data() + static_cast<int64_t>(k) * channels;
      for (int64_t i = 0; i < row; ++i) line[i] += kernel[k] * source[i];
    }
  }
  const std::vector<float> across(values, values + height * row);
  for (int64_t y = 0; y < height; ++y) {
    float* line = values + y * row;
    std::fill_n(line, row, 0.0f);
    for (int64_t k = -radius; k <= radius; ++k) {
      const float* source = across.data() + mirror(y + k, height) * row;
      const float weight = kernel[static_cast<size_t>(k + radius)];
      for (int64_t i = 0; i < row; ++i) line[i] += weight * source[i];
    }
  }
}

}  // namespace internal

Tensor normalize(const Tensor& image, const DataOptions& options) {
  ATROUS_CHECK(image.dtype() == DType::u8 || image.dtype() == DType::f32, ErrorKind::usage,
               "[normalize] images are u8 or f32. Got {}.", image.describe());
  const int64_t channels = image.channels();
  const ChannelStatistics s = channel_statistics(options, channels);
  Tensor out = Tensor::empty(image.shape(), DType::f32);
  const Tensor dense = image.contiguous_copy_if_needed();
  float* target = out.data<float>();
  const auto run = [&](const auto* source, float unit) {
    for (int64_t p = 0; p < dense.pixels(); ++p) {
      for (int64_t c = 0; c < channels; ++c, ++source, ++target) {
        const auto i = static_cast<size_t>(c);
        *target = (static_cast<float>(*source) * unit - s.mean[i]) * s.inverse_std[i];
      }
    }
  };
  if (image.dtype() == DType::u8) {
    run(dense.data<uint8_t>(), 1.0f / 255);
  } else {
    run(dense.data<float>(), 1.0f);
  }
  return out;
}

}  // namespace atrous::data
