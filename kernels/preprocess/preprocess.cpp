#include "kernels/preprocess/preprocess.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/preprocess/preprocess_impl.h"
#include "kernels/preprocess/preprocess_math.h"

namespace atrous::kernels {
namespace preprocess_impl {
namespace {

constexpr auto few_channels = [](const PreprocessProblem& p) -> const char* {
  return p.channels != 1 && p.channels != 3 && p.channels != 4 ? "1, 3 or 4 channels" : f32_or_bf16(p);
};

constexpr Entry<PreprocessProblem, Fn> forward{
    "preprocess.forward",
    {
        ATROUS_ON_GPU("vectorised", few_channels, forward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
        {"rows", Device::cpu, f32_only, forward_rows},
        {"ref", Device::cpu, f32_or_f64, forward_ref},
    }};

Tensor maps_of(std::span<const PreprocessChange> changes, int64_t n) {
  const Tensor maps = Tensor::empty({n, 6}, DType::f64);
  double* to = maps.data<double>();
  for (int64_t i = 0; i < n; ++i, to += 6) {
    const PreprocessMap m = changes.empty() ? PreprocessMap{} : changes[static_cast<size_t>(i)].map;
    std::copy_n(std::array{m.a, m.b, m.c, m.d, m.e, m.f}.begin(), 6, to);
  }
  return maps;
}

Tensor colors_of(std::span<const PreprocessChange> changes, int64_t n) {
  const Tensor colors = Tensor::empty({n, color_values}, DType::f32);
  float* to = colors.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const PreprocessChange change = changes.empty() ? PreprocessChange{} : changes[static_cast<size_t>(i)];
    for (double v : change.color) *to++ = static_cast<float>(v);
    *to++ = static_cast<float>(change.offset);
  }
  return colors;
}

Tensor statistics_of(const PreprocessOptions& o) {
  const Tensor statistics = Tensor::empty({3, static_cast<int64_t>(o.mean.size())}, DType::f32);
  float* to = statistics.data<float>();
  for (double v : o.mean) *to++ = static_cast<float>(v);
  for (double v : o.std) *to++ = static_cast<float>(1 / v);
  for (double v : o.border.empty() ? o.mean : o.border) *to++ = static_cast<float>(v);
  return statistics;
}

}  // namespace
}  // namespace preprocess_impl

PreprocessMap PreprocessMap::crop(double scale, double left, double top, bool flip_horizontal,
                                  bool flip_vertical, int64_t width, int64_t height) {
  PreprocessMap m{1 / scale, 0, left / scale, 0, 1 / scale, top / scale};
  if (flip_horizontal) m.a = -m.a, m.c = static_cast<double>(width) - m.c;
  if (flip_vertical) m.e = -m.e, m.f = static_cast<double>(height) - m.f;
  return m;
}

bool PreprocessChange::changes_color() const {
  return color != PreprocessChange{}.color || offset != 0;
}

std::string PreprocessProblem::str() const {
  return fmt::format("n{} {}x{} to {}x{} c{}{}{}{} {}", n, in_h, in_w, out_h, out_w, channels,
                     colors ? " colors" : "", reflect ? " reflect" : "", labels ? " labels" : "",
                     name_of(dtype));
}

PreprocessProblem preprocess_problem(const Tensor& images, const Tensor& labels,
                                     std::span<const PreprocessChange> changes, const PreprocessOptions& o) {
  ATROUS_CHECK(images.rank() == 4 && images.dtype() == DType::u8 && images.dim(1) > 0 && images.dim(2) > 0,
               ErrorKind::usage, "[preprocess] images must be u8 [N, H, W, C] with a pixel or more. Got {}.",
               images.describe());
  const auto per_channel = [&](const std::vector<double>& v) {
    return static_cast<int64_t>(v.size()) == images.dim(3);
  };
  ATROUS_CHECK(
      per_channel(o.mean) && per_channel(o.std) && (o.border.empty() || per_channel(o.border)),
      ErrorKind::usage,
      "[preprocess] mean, std and border need a value per channel. Got {}, {} and {} for {} channels.",
      o.mean.size(), o.std.size(), o.border.size(), images.dim(3));
  for (double s : o.std) {
    ATROUS_CHECK(s > 0, ErrorKind::usage, "[preprocess] std must be positive. Got {}.", s);
  }
  ATROUS_CHECK(changes.empty() || static_cast<int64_t>(changes.size()) == images.dim(0), ErrorKind::usage,
               "[preprocess] there is one change per image, or none at all. Got {} for {} images.",
               changes.size(), images.dim(0));
  const Shape pixels{images.dim(0), images.dim(1), images.dim(2)};
  ATROUS_CHECK(!labels.defined() || (labels.dtype() == DType::u8 && labels.shape() == pixels),
               ErrorKind::usage, "[preprocess] labels must be u8 of shape {}. Got {}.", pixels.str(),
               labels.describe());
  ATROUS_CHECK(
      o.height >= 0 && o.width >= 0 && o.ignore_label >= 0 && o.ignore_label <= 255 && is_floating(o.dtype),
      ErrorKind::usage,
      "[preprocess] the result has a size, an ignore label in u8 and a floating dtype. Got {}x{}, ignore "
      "label {}, {}.",
      o.height, o.width, o.ignore_label, name_of(o.dtype));
  PreprocessProblem p{.n = images.dim(0),
                      .in_h = images.dim(1),
                      .in_w = images.dim(2),
                      .channels = images.dim(3),
                      .out_h = o.height ? o.height : images.dim(1),
                      .out_w = o.width ? o.width : images.dim(2),
                      .reflect = o.reflect,
                      .labels = labels.defined(),
                      .ignore_label = static_cast<uint8_t>(o.ignore_label),
                      .dtype = o.dtype};
  for (const PreprocessChange& change : changes) p.colors = p.colors || change.changes_color();
  return p;
}

Preprocessed preprocess(const Tensor& images, const Tensor& labels, std::span<const PreprocessChange> changes,
                        const PreprocessOptions& options) {
  using namespace preprocess_impl;
  const PreprocessProblem p = preprocess_problem(images, labels, changes, options);
  const Device device = images.device();
  const Tensor out = Tensor::empty({p.n, p.out_h, p.out_w, p.channels}, p.dtype, device);
  const Tensor out_labels = p.labels ? Tensor::empty({p.n, p.out_h, p.out_w}, DType::u8, device) : Tensor();
  forward(p, images.contiguous_copy_if_needed(), p.labels ? labels.contiguous_copy_if_needed() : labels,
          maps_of(changes, p.n).to(device), colors_of(changes, p.n).to(device),
          statistics_of(options).to(device), writes(out), writes(out_labels));
  return {out, out_labels};
}

EntryList preprocess_entries() {
  return {&preprocess_impl::forward};
}

}  // namespace atrous::kernels
