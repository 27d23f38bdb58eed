// Resizing of stored samples. The image filter is the triangle of bilinear interpolation, widened by the
// shrink factor, so that every source pixel counts (antialiasing); labels take the nearest pixel, so that no
// new value can appear.
#include <algorithm>
#include <cmath>
#include <vector>

#include "data/augment_internal.h"

namespace atrous::data {
namespace {

// Weights of source pixels [begin, begin + count) for one output position.
struct Taps {
  int64_t begin = 0;
  std::vector<float> weights;
};

std::vector<Taps> triangle_taps(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(to));
  for (int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    Taps& t = taps[static_cast<size_t>(i)];
    t.begin = std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - support)));
    const int64_t end = std::min(from, static_cast<int64_t>(std::ceil(center + support)));
    double sum = 0;
    for (int64_t s = t.begin; s < end; ++s) {
      const double w = std::max(0.0, 1.0 - std::abs((static_cast<double>(s) + 0.5 - center) / support));
      t.weights.push_back(static_cast<float>(w));
      sum += w;
    }
    for (float& w : t.weights) w /= static_cast<float>(sum);
  }
  return taps;
}

Tensor resize_nearest(const Tensor& label, int64_t height, int64_t width) {
  Tensor out = Tensor::empty({height, width}, DType::u8);
  // Centre of the output pixel, in exact integers: floor((2i + 1) * from / (2 * to)).
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* source = label.data<uint8_t>() + (2 * y + 1) * label.dim(0) / (2 * height) * label.dim(1);
    uint8_t* target = out.data<uint8_t>() + y * width;
    for (int64_t x = 0; x < width; ++x) target[x] = source[(2 * x + 1) * label.dim(1) / (2 * width)];
  }
  return out;
}

}  // namespace

Tensor internal::resize_image(const Tensor& image, int64_t height, int64_t width) {
  const int64_t channels = image.dim(2), source_width = image.dim(1), source_height = image.dim(0);
  const std::vector<Taps> rows = triangle_taps(source_height, height);
  const std::vector<Taps> columns = triangle_taps(source_width, width);
  // Rows first: that pass runs along memory.
  std::vector<float> line(static_cast<size_t>(source_width * channels));
  Tensor out = Tensor::empty({height, width, channels}, DType::u8);
  uint8_t* target = out.data<uint8_t>();
  for (const Taps& row : rows) {
    std::fill(line.begin(), line.end(), 0.0f);
    for (size_t k = 0; k < row.weights.size(); ++k) {
      const uint8_t* source =
          image.data<uint8_t>() + (row.begin + static_cast<int64_t>(k)) * source_width * channels;
      const float w = row.weights[k];
      for (size_t i = 0; i < line.size(); ++i) line[i] += w * static_cast<float>(source[i]);
    }
    for (const Taps& column : columns) {
      for (int64_t c = 0; c < channels; ++c) {
        float sum = 0.5f;
        for (size_t k = 0; k < column.weights.size(); ++k) {
          sum += column.weights[k] *
                 line[static_cast<size_t>((column.begin + static_cast<int64_t>(k)) * channels + c)];
        }
        *target++ = static_cast<uint8_t>(std::clamp(sum, 0.0f, 255.0f));
      }
    }
  }
  return out;
}

Sample resize_sample(const Sample& sample, int64_t height, int64_t width, bool resize_label) {
  ATROUS_CHECK(
      (height == 0) == (width == 0) && height >= 0 && width >= 0, ErrorKind::config,
      "[data.image_height] height and width are given together or not at all. Got {} x {}. Set both.", width,
      height);
  Sample out = sample;
  if (height == 0) return out;
  ATROUS_CHECK(sample.image.dtype() == DType::u8 && sample.image.rank() == 3, ErrorKind::usage,
               "[resize_sample] images are u8 [H, W, C]. Got {}.", sample.image.describe());
  if (sample.image.dim(0) != height || sample.image.dim(1) != width) {
    out.image = internal::resize_image(sample.image.contiguous_copy_if_needed(), height, width);
  }
  if (resize_label && sample.label.defined() &&
      (sample.label.dim(0) != height || sample.label.dim(1) != width)) {
    out.label = resize_nearest(sample.label, height, width);
  }
  return out;
}

Tensor resized(const Tensor& image, const DataOptions& data) {
  Sample sample;
  sample.image = image;
  return resize_sample(sample, data.image_height, data.image_width, false).image;
}

Tensor center_view(const Tensor& image, const DataOptions& data, int64_t short_side, int64_t crop) {
  if (data.image_height > 0) return resized(image, data);
  ATROUS_CHECK(crop >= 1 && crop <= short_side, ErrorKind::config,
               "[eval.crop] must be 1 to eval.short_side = {}. Got {}. Correct one of them.", short_side,
               crop);
  const int64_t h = image.dim(0), w = image.dim(1), least = std::min(h, w);
  const int64_t height = short_side * h / least, width = short_side * w / least;
  const Tensor dense = image.contiguous_copy_if_needed();
  const Tensor whole = height == h && width == w ? dense : internal::resize_image(dense, height, width);
  // Halves are rounded to even numbers, as Python does.
  const auto start = [&](int64_t extent) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(extent - crop) / 2));
  };
  const int64_t top = start(height), left = start(width), row = crop * image.dim(2);
  Tensor out = Tensor::empty({crop, crop, image.dim(2)}, DType::u8);
  for (int64_t y = 0; y < crop; ++y) {
    std::copy_n(whole.data<uint8_t>() + ((top + y) * width + left) * image.dim(2), row,
                out.data<uint8_t>() + y * row);
  }
  return out;
}

}  // namespace atrous::data
