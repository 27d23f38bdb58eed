#include "nets/detection_transform.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "kernels/pad/pad.h"
#include "kernels/resize/resize.h"

namespace atrous::nets {
namespace {

constexpr int64_t multiple = 32;

int64_t rounded_up(int64_t extent) {
  return (extent + multiple - 1) / multiple * multiple;
}

// (x - mean) / std in host memory, [1,H,W,C].
Tensor normalised(const Tensor& image, const DetectionOptions& o) {
  const int64_t channels = image.channels();
  const std::vector<float> mean(o.mean.begin(), o.mean.end()), std(o.std.begin(), o.std.end());
  const Tensor x = image.contiguous_copy_if_needed();
  const Tensor y = Tensor::empty({1, image.dim(0), image.dim(1), channels});
  parallel_for(image.pixels(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t c = 0; c < channels; ++c) {
        const auto k = static_cast<size_t>(c);
        y.data<float>()[p * channels + c] = (x.data<float>()[p * channels + c] - mean[k]) / std[k];
      }
    }
  });
  return y;
}

}  // namespace

ImageSize resized_size(const ImageSize& image, int64_t min_size, int64_t max_size, bool exact) {
  const int64_t shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  double scale = std::min(static_cast<double>(min_size) / static_cast<double>(shorter),
                          static_cast<double>(max_size) / static_cast<double>(longer));
  if (!exact) {
    // PyTorch divides a number by a tensor as 1 / tensor * number, rounding twice.
    const auto ratio = [](int64_t wanted, int64_t extent) {
      return 1.0f / static_cast<float>(extent) * static_cast<float>(wanted);
    };
    scale = std::min(ratio(min_size, shorter), ratio(max_size, longer));
  }
  const auto scaled = [&](int64_t extent) {
    return std::max<int64_t>(1, static_cast<int64_t>(std::floor(static_cast<double>(extent) * scale)));
  };
  return {scaled(image.height), scaled(image.width)};
}

ImageSize batch_size(const std::vector<ImageSize>& images) {
  ImageSize largest;
  for (const ImageSize& size : images)
    largest = {std::max(largest.height, size.height), std::max(largest.width, size.width)};
  return {rounded_up(largest.height), rounded_up(largest.width)};
}

ImageBatch make_image_batch(const std::vector<Tensor>& images, const std::vector<int64_t>& min_sizes,
                            const DetectionOptions& o, Device device) {
  ImageBatch batch;
  for (size_t i = 0; i < images.size(); ++i) {
    const ImageSize original{images[i].dim(0), images[i].dim(1)};
    const ImageSize size = resized_size(original, min_sizes[i], o.max_size, o.exact_scale);
    batch.originals.push_back(original);
    batch.sizes.push_back(size);
  }
  const auto [height, width] = batch_size(batch.sizes);
  batch.pixels = Tensor::empty({static_cast<int64_t>(images.size()), height, width, images[0].channels()},
                               DType::f32, device);
  for (size_t i = 0; i < images.size(); ++i) {
    const ImageSize& size = batch.sizes[i];
    Tensor x = normalised(images[i], o).to(device);
    if (!(size == batch.originals[i]))
      x = kernels::resize_forward(x, {.height = size.height, .width = size.width});
    kernels::pad_forward(x, {.bottom = height - size.height, .right = width - size.width},
                         batch.pixels.narrow_batch(static_cast<int64_t>(i), 1));
  }
  return batch;
}

Tensor scaled_boxes(const Tensor& boxes, const ImageSize& from, const ImageSize& to) {
  // Ratios in f32, as in torchvision.
  const float y = static_cast<float>(to.height) / static_cast<float>(from.height);
  const float x = static_cast<float>(to.width) / static_cast<float>(from.width);
  const Tensor dense = boxes.contiguous_copy_if_needed();
  const Tensor scaled = Tensor::empty(boxes.shape());
  for (int64_t i = 0; i < boxes.numel(); ++i)
    scaled.data<float>()[i] = dense.data<float>()[i] * (i % 2 == 0 ? x : y);
  return scaled;
}

}  // namespace atrous::nets
