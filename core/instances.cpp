#include "core/instances.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/parallel.h"

namespace atrous {
namespace {

template <class T>
std::vector<T> pick(const std::vector<T>& from, std::span<const int64_t> which) {
  std::vector<T> out;
  if (from.empty()) return out;  // masks of a set without any
  out.reserve(which.size());
  for (const int64_t i : which) out.push_back(from.at(static_cast<size_t>(i)));
  return out;
}

// Source row (or column) of every output one, in f32 like PyTorch: where i * from / to is a whole number,
// rounding decides.
std::vector<int64_t> nearest_sources(int64_t from, int64_t to) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  std::vector<int64_t> sources(static_cast<size_t>(to));
  for (int64_t i = 0; i < to; ++i) {
    sources[static_cast<size_t>(i)] =
        std::min(static_cast<int64_t>(std::floor(static_cast<float>(i) * scale)), from - 1);
  }
  return sources;
}

// The outputs [first, second) whose sources lie in [begin, end).
std::pair<size_t, size_t> range_of(const std::vector<int64_t>& sources, int64_t begin, int64_t end) {
  const auto at = [&](int64_t s) {
    return static_cast<size_t>(std::lower_bound(sources.begin(), sources.end(), s) - sources.begin());
  };
  return {at(begin), at(end)};
}

void paint(const Mask& mask, const std::vector<int64_t>& rows, const std::vector<int64_t>& columns,
           uint8_t* plane) {
  const auto [top, bottom] = range_of(rows, mask.y0, mask.y0 + mask.height);
  const auto [left, right] = range_of(columns, mask.x0, mask.x0 + mask.width);
  for (size_t y = top; y < bottom; ++y) {
    const uint8_t* source = mask.pixels.data() + (rows[y] - mask.y0) * mask.width;
    for (size_t x = left; x < right; ++x) plane[y * columns.size() + x] = source[columns[x] - mask.x0];
  }
}

}  // namespace

int64_t Mask::area() const {
  return std::count(pixels.begin(), pixels.end(), uint8_t{1});
}

std::array<int64_t, 4> Mask::bounds() const {
  int64_t left = width, top = height, right = 0, bottom = 0;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (!pixels[static_cast<size_t>(y * width + x)]) continue;
      left = std::min(left, x);
      right = std::max(right, x + 1);
      top = std::min(top, y);
      bottom = y + 1;
    }
  }
  if (right == 0) return {0, 0, 0, 0};
  return {x0 + left, y0 + top, x0 + right, y0 + bottom};
}

Mask Mask::of_value(const Tensor& plane, int64_t value) {
  ATROUS_CHECK(plane.rank() == 2 && (plane.dtype() == DType::u8 || plane.dtype() == DType::i32),
               ErrorKind::usage, "[mask] a plane is u8 or i32 [H, W]. Got {}.", plane.describe());
  const int64_t height = plane.dim(0), width = plane.dim(1);
  Mask whole{.x0 = 0, .y0 = 0, .width = width, .height = height, .pixels = {}};
  whole.pixels.resize(static_cast<size_t>(height * width));
  const auto compare = [&](const auto* values) {
    for (size_t i = 0; i < whole.pixels.size(); ++i)
      whole.pixels[i] = static_cast<int64_t>(values[i]) == value;
  };
  const Tensor dense = plane.contiguous_copy_if_needed();
  dense.dtype() == DType::u8 ? compare(dense.data<uint8_t>()) : compare(dense.data<int32_t>());
  return whole.cropped();
}

Mask Mask::cropped() const {
  const auto [left, top, right, bottom] = bounds();
  Mask out{.x0 = left, .y0 = top, .width = right - left, .height = bottom - top, .pixels = {}};
  out.pixels.resize(static_cast<size_t>(out.width * out.height));
  for (int64_t y = 0; y < out.height; ++y) {
    std::copy_n(pixels.begin() + (top - y0 + y) * width + left - x0, out.width,
                out.pixels.begin() + y * out.width);
  }
  return out;
}

Instances select(const Instances& objects, std::span<const int64_t> which) {
  Instances out{.height = objects.height, .width = objects.width};
  out.boxes = Tensor::empty({static_cast<int64_t>(which.size()), 4});
  for (size_t k = 0; k < which.size(); ++k) {
    ATROUS_CHECK(which[k] >= 0 && which[k] < objects.size(), ErrorKind::usage,
                 "[instances] there are {} objects. Got number {}.", objects.size(), which[k]);
    std::copy_n(objects.box(which[k]), 4, out.box(static_cast<int64_t>(k)));
  }
  out.labels = pick(objects.labels, which);
  out.masks = pick(objects.masks, which);
  out.crowd = pick(objects.crowd, which);
  out.ids = pick(objects.ids, which);
  out.areas = pick(objects.areas, which);
  return out;
}

Tensor dense_masks(const Instances& objects, std::span<const int64_t> which, int64_t height, int64_t width) {
  ATROUS_CHECK(height > 0 && width > 0 && objects.height > 0 && objects.width > 0, ErrorKind::usage,
               "[dense_masks] sizes are positive. Got {} x {} from an image of {} x {}.", width, height,
               objects.width, objects.height);
  ATROUS_CHECK(
      which.empty() || objects.has_masks(), ErrorKind::data,
      "[dense_masks] the objects have boxes but no masks. Use a data set with masks, or a network that "
      "learns boxes only.");
  const auto n = static_cast<int64_t>(which.size());
  const std::vector<int64_t> rows = nearest_sources(objects.height, height),
                             columns = nearest_sources(objects.width, width);
  Tensor planes = Tensor::zeros({n, height, width}, DType::u8);
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const auto i = static_cast<size_t>(which[static_cast<size_t>(k)]);
      paint(objects.masks.at(i), rows, columns, planes.data<uint8_t>() + k * height * width);
    }
  });
  return planes;
}

}  // namespace atrous
