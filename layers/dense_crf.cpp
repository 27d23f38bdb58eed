#include "layers/dense_crf.h"

#include <fmt/ranges.h>

#include <cmath>
#include <set>

#include "kernels/gaussian_filter/gaussian_filter.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/pointwise/pointwise.h"

namespace atrous::layers {
namespace {

const std::vector<DenseCrfPreset>& presets() {
  static const std::vector<DenseCrfPreset> table = {
      {"deeplab_v1",
       "DeepLab v1 (arXiv 1412.7062), scripts of its authors for VOC 2012",
       {.bilateral_weight = 5, .bilateral_xy = 50, .bilateral_rgb = 10}},
      {"deeplab_v2", "DeepLab v2 (arXiv 1606.00915), run_densecrf.sh of its authors", {}},
      {"deeplab_v2_resnet101",
       "ports of DeepLab v2 with ResNet-101 to PyTorch",
       {.gaussian_xy = 1, .bilateral_xy = 67, .bilateral_rgb = 3}},
      {"deeplab_camvid",
       "a DeepLab port's run_densecrf_camvid.sh",
       {.bilateral_weight = 5, .bilateral_xy = 50, .bilateral_rgb = 3}},
      {"pydensecrf",
       "the example of pydensecrf, after the authors' dense_inference.cpp",
       {.iterations = 5, .bilateral_weight = 10, .bilateral_xy = 80, .bilateral_rgb = 13}},
  };
  return table;
}

void check_kernel(const char* name, double weight, std::initializer_list<double> deviations) {
  ATROUS_CHECK(std::isfinite(weight), ErrorKind::config,
               "[dense_crf] the {} weight must be finite. Got {}. 0 leaves the kernel out.", name, weight);
  for (double d : deviations) {
    ATROUS_CHECK(weight == 0 || (std::isfinite(d) && d > 0), ErrorKind::config,
                 "[dense_crf] the standard deviations of the {} kernel must be above 0. Got {}. A weight of "
                 "0 leaves the kernel out.",
                 name, d);
  }
}

void check_options(const DenseCrfOptions& o) {
  ATROUS_CHECK(o.iterations >= 0, ErrorKind::config,
               "[dense_crf] the number of iterations must not be negative. Got {}.", o.iterations);
  check_kernel("gaussian", o.gaussian_weight, {o.gaussian_xy});
  check_kernel("bilateral", o.bilateral_weight, {o.bilateral_xy, o.bilateral_rgb});
}

// Factors of the rows before and after a filter; undefined: 1.
struct Factors {
  Tensor before, after;
};

// From the row sums of the kernel, [N]; far above 0, as every pixel is its own neighbour.
Factors factors_of(CrfNormalization normalization, const Tensor& sums) {
  if (normalization == CrfNormalization::none) return {};
  Tensor divisor = sums;
  if (normalization == CrfNormalization::symmetric) {
    divisor = Tensor::empty_like(sums);
    kernels::unary_forward(kernels::Unary::sqrt, sums, divisor);
  }
  const Tensor factor = Tensor::empty_like(sums);
  kernels::binary_forward(kernels::Binary::div, Tensor::full(sums.shape(), 1, DType::f32, sums.device()),
                          divisor, factor);
  Factors result;
  if (normalization != CrfNormalization::after) result.before = factor;
  if (normalization != CrfNormalization::before) result.after = factor;
  return result;
}

kernels::Lattice with_weights(const kernels::Lattice& lattice, const Tensor& weight) {
  kernels::Lattice result = lattice;
  result.weight = weight;
  return result;
}

// The weights of the lattice, each point's times its factor.
Tensor scaled_weights(const kernels::Lattice& lattice, const Tensor& factor) {
  if (!factor.defined()) return lattice.weight;
  const Tensor scaled = Tensor::empty_like(lattice.weight);
  kernels::broadcast_forward(kernels::Binary::mul, lattice.weight, factor.reshape({lattice.points, 1}),
                             scaled);
  return scaled;
}

// [H*W, 2]: x and y in standard deviations.
Tensor positions(int64_t height, int64_t width, double deviation) {
  const Tensor features = Tensor::empty({height * width, 2});
  for (int64_t i = 0; i < height * width; ++i) {
    const int64_t row = i / width, col = i % width;
    features.data<float>()[2 * i] = static_cast<float>(static_cast<double>(col) / deviation);
    features.data<float>()[2 * i + 1] = static_cast<float>(static_cast<double>(row) / deviation);
  }
  return features;
}

// The costs C in the form of kernels/mean_field.h.
Tensor compatibility_tensor(const char* name, const std::vector<float>& values, double weight,
                            int64_t classes, Device device) {
  if (values.empty()) return Tensor::full({1}, -weight, DType::f32, device);
  const auto count = static_cast<int64_t>(values.size());
  if (count == classes) return Tensor::from<float>({classes}, values).to(device);
  ATROUS_CHECK(
      count == classes * classes, ErrorKind::usage,
      "[dense_crf] the {0} compatibility must have no value (Potts), one per class or one per pair of "
      "classes. Got {1} values for {2} classes. Give {2} or {3}.",
      name, count, classes, classes * classes);
  const Tensor symmetric = Tensor::empty({classes, classes});
  for (int64_t i = 0; i < classes; ++i) {
    for (int64_t j = 0; j < classes; ++j) {
      symmetric.data<float>()[i * classes + j] = 0.5f * (values[static_cast<size_t>(i * classes + j)] +
                                                         values[static_cast<size_t>(j * classes + i)]);
    }
  }
  return symmetric.to(device);
}

}  // namespace

std::span<const DenseCrfPreset> dense_crf_presets() {
  return presets();
}

DenseCrfOptions dense_crf_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const DenseCrfPreset& preset : presets()) {
    if (preset.name == name) return preset.options;
    names.emplace_back(preset.name);
  }
  fail(ErrorKind::config, "[dense_crf] unknown preset. Got \"{}\". Use one of: {}.", name,
       fmt::join(names, ", "));
}

DenseCrf::Sides DenseCrf::sides_of(const Tensor& features, const Tensor& ones) const {
  const kernels::Lattice lattice = kernels::lattice_build(features);
  const int64_t pixels = height_ * width_;
  const Factors factors = factors_of(
      options_.normalization, kernels::lattice_filter(lattice, ones.reshape({pixels, 1})).reshape({pixels}));
  Sides sides;
  sides.splat = kernels::lattice_with_walks(with_weights(lattice, scaled_weights(lattice, factors.before)));
  const bool same = options_.normalization == CrfNormalization::symmetric;
  sides.slice = same ? sides.splat : with_weights(lattice, scaled_weights(lattice, factors.after));
  return sides;
}

DenseCrf::DenseCrf(const Tensor& image, const DenseCrfOptions& options) : options_(options) {
  ATROUS_CHECK(image.defined() && image.rank() == 3 && image.dim(2) == 3 && image.numel() > 0 &&
                   (image.dtype() == DType::u8 || image.dtype() == DType::f32),
               ErrorKind::usage,
               "[dense_crf] the image must be [H, W, 3] in u8, or in f32 from 0 to 255, with at least one "
               "pixel. Got {}.",
               image.defined() ? image.describe() : "nothing");
  const DenseCrfOptions& o = options_;
  check_options(o);
  height_ = image.dim(0), width_ = image.dim(1), device_ = image.device();
  const int64_t pixels = height_ * width_;
  const Tensor ones = Tensor::full({1, height_, width_, 1}, 1, DType::f32, device_);
  if (o.gaussian_weight != 0 && o.spatial == CrfSpatial::lattice) {
    spatial_ = sides_of(positions(height_, width_, o.gaussian_xy).to(device_), ones);
  } else if (o.gaussian_weight != 0) {
    const Factors factors =
        factors_of(o.normalization, kernels::gaussian_filter(ones, o.gaussian_xy).reshape({pixels}));
    gaussian_before_ = factors.before, gaussian_after_ = factors.after;
  }
  if (o.bilateral_weight != 0)
    bilateral_ = sides_of(kernels::bilateral_features(image, o.bilateral_xy, o.bilateral_rgb), ones);
}

DenseCrf DenseCrf::with(const DenseCrfOptions& options) const {
  check_options(options);
  const DenseCrfOptions& a = options_;
  const DenseCrfOptions& b = options;
  const auto serves = [](double own, double wanted, bool same_kernel) {
    return wanted == 0 || (own != 0 && same_kernel);
  };
  ATROUS_CHECK(a.normalization == b.normalization && a.spatial == b.spatial &&
                   serves(a.gaussian_weight, b.gaussian_weight, a.gaussian_xy == b.gaussian_xy) &&
                   serves(a.bilateral_weight, b.bilateral_weight,
                          a.bilateral_xy == b.bilateral_xy && a.bilateral_rgb == b.bilateral_rgb),
               ErrorKind::usage,
               "[dense_crf] other weights need the same kernels. Got another normalisation or other standard "
               "deviations, or a kernel that was left out before. Make a new CRF for these.");
  DenseCrf result = *this;
  result.options_ = options;
  return result;
}

Tensor DenseCrf::refine(const Tensor& probabilities) const {
  ATROUS_CHECK(
      probabilities.defined() && probabilities.rank() == 3 && probabilities.dim(0) == height_ &&
          probabilities.dim(1) == width_ && probabilities.dtype() == DType::f32,
      ErrorKind::usage,
      "[dense_crf] probabilities must be f32 [{0}, {1}, classes], for an image of {0} x {1} pixels. Got "
      "{2}. Resize one to the other.",
      height_, width_, probabilities.defined() ? probabilities.describe() : "nothing");
  ATROUS_CHECK(probabilities.device() == device_, ErrorKind::usage,
               "[dense_crf] image and probabilities must be on one device. Got {} and {}.",
               atrous::name_of(device_), atrous::name_of(probabilities.device()));
  const int64_t classes = probabilities.dim(2);
  const Tensor log_unary = kernels::mean_field_unary(probabilities);
  const Tensor gaussian_costs = compatibility_tensor("gaussian", options_.gaussian_compatibility,
                                                     options_.gaussian_weight, classes, device_);
  const Tensor bilateral_costs = compatibility_tensor("bilateral", options_.bilateral_compatibility,
                                                      options_.bilateral_weight, classes, device_);
  const Tensor q = kernels::mean_field_update(log_unary, {});
  // Memory reused by every iteration.
  Tensor filtered;
  kernels::LatticeBuffers bilateral_buffers, spatial_buffers;
  for (int64_t i = 0; i < options_.iterations; ++i) {
    std::vector<kernels::MeanFieldTerm> terms;
    const auto add_lattice = [&](const Sides& sides, kernels::LatticeBuffers& buffers, const Tensor& costs) {
      terms.push_back({.lattice = sides.slice,
                       .vertex_values = kernels::lattice_splat_blur(sides.splat, q, false, &buffers),
                       .compatibility = costs});
    };
    if (options_.gaussian_weight != 0 && options_.spatial == CrfSpatial::lattice) {
      add_lattice(spatial_, spatial_buffers, gaussian_costs);
    } else if (options_.gaussian_weight != 0) {
      filtered = kernels::gaussian_filter(q.reshape({1, height_, width_, classes}), options_.gaussian_xy,
                                          gaussian_before_, gaussian_after_, filtered);
      terms.push_back({.filtered = filtered, .compatibility = gaussian_costs});
    }
    if (options_.bilateral_weight != 0) add_lattice(bilateral_, bilateral_buffers, bilateral_costs);
    kernels::mean_field_update(log_unary, terms, q);
  }
  return q.reshape({height_, width_, classes});
}

size_t DenseCrf::state_bytes() const {
  std::set<const std::byte*> counted;  // the two may share memory
  size_t bytes = 0;
  const auto count = [&](const Tensor& t) {
    if (t.defined() && counted.insert(t.device_raw()).second) bytes += t.bytes();
  };
  for (const Sides* sides : {&bilateral_, &spatial_}) {
    const kernels::Lattice& l = sides->splat;
    for (const Tensor& t :
         {l.vertex, l.weight, l.neighbours, l.splat_begin, l.splat_entry, l.walks, sides->slice.weight})
      count(t);
  }
  count(gaussian_before_);
  count(gaussian_after_);
  return bytes;
}

}  // namespace atrous::layers
