#include "layers/crf_as_rnn.h"

#include <cmath>

#include "kernels/gaussian_filter/gaussian_filter.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/pointwise/pointwise.h"
#include "layers/gaussian_filter.h"
#include "layers/gemm.h"
#include "layers/pointwise.h"
#include "layers/softmax.h"

namespace atrous::layers {
namespace {

Tensor reciprocal(const Tensor& x) {
  const Tensor result = Tensor::empty_like(x);
  kernels::binary_forward(kernels::Binary::div, Tensor::full(x.shape(), 1, x.dtype(), x.device()), x, result);
  return result;
}

Tensor times(const Tensor& x, const Tensor& factors) {
  const Tensor result = Tensor::empty_like(x);
  kernels::broadcast_forward(kernels::Binary::mul, x, factors, result);
  return result;
}

// Features of the bilateral kernel, [H*W, 5], or [H*W, 3] for a grey image [H, W, 1].
Tensor features_of(const Tensor& image, const CrfAsRnnOptions& options) {
  if (image.channels() == 3)
    return kernels::bilateral_features(image, options.bilateral_xy, options.bilateral_rgb);
  const Tensor colours = Tensor::empty({image.dim(0), image.dim(1), 3}, image.dtype(), image.device());
  for (int64_t c = 0; c < 3; ++c) colours.narrow_channels(c, 1).copy_from(image);
  return kernels::bilateral_features(colours, options.bilateral_xy, options.bilateral_rgb)
      .narrow_channels(0, 3)
      .clone();
}

// W v at every pixel.
Variable weighted(const Variable& v, const Variable& weight) {
  return weight.shape().rank() == 1 ? mul(v, weight) : linear(v, weight, {});
}

Variable in_f32(const Variable& x) {
  if (x.dtype() == DType::f32) return x;
  return record("in_f32", x.value().to(DType::f32), {x},
                [dtype = x.dtype()](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {ctx.grad().to(dtype)};
                });
}

// A normalised image in 0..255.
Tensor denormalised(const Tensor& image, const CrfAsRnnOptions& o) {
  std::vector<float> scale, offset;
  for (size_t c = 0; c < static_cast<size_t>(image.channels()); ++c) {
    scale.push_back(static_cast<float>(255 * (o.std.empty() ? 1 : o.std[c])));
    offset.push_back(static_cast<float>(255 * (o.mean.empty() ? 0 : o.mean[c])));
  }
  const Tensor result =
      times(image.to(DType::f32), Tensor::from<float>({image.channels()}, scale).to(image.device()));
  kernels::broadcast_forward(kernels::Binary::add, result,
                             Tensor::from<float>({image.channels()}, offset).to(image.device()), result);
  return result;
}

}  // namespace

CrfKernels::CrfKernels(const Tensor& images, const CrfAsRnnOptions& options, DType dtype)
    : gaussian_xy_(options.gaussian_xy) {
  ATROUS_CHECK(images.rank() == 4 && images.numel() > 0 && images.dtype() == DType::f32 &&
                   (images.channels() == 3 || images.channels() == 1),
               ErrorKind::usage,
               "[crf_as_rnn] images must be f32 [N, H, W, 3] or [N, H, W, 1] with pixels. Got {}.",
               images.describe());
  const int64_t height = images.dim(1), width = images.dim(2), pixels = height * width;
  const Tensor ones = Tensor::full({images.dim(0), height, width, 1}, 1, dtype, images.device());
  gaussian_factor_ = reciprocal(kernels::gaussian_filter(ones, gaussian_xy_));
  auto lattices = std::make_shared<Lattices>();
  for (int64_t i = 0; i < images.dim(0); ++i) {
    const Tensor image = images.narrow_batch(i, 1).reshape({height, width, images.channels()});
    ImageLattice& l = lattices->emplace_back();
    l.plain = kernels::lattice_build(features_of(image, options).to(dtype));
    l.normalised = l.plain;
    const Tensor sums = kernels::lattice_filter(l.plain, ones.narrow_batch(i, 1).reshape({pixels, 1}));
    l.normalised.weight = times(l.plain.weight, reciprocal(sums));
  }
  lattices_ = std::move(lattices);
}

Variable CrfKernels::gaussian(const Variable& q) const {
  return gaussian_filter(q, gaussian_xy_, {}, gaussian_factor_);
}

// Transposed: values are normalised before they are splat, and all steps run in reverse order.
Tensor CrfKernels::filter(const Lattices& lattices, const Tensor& x, bool transposed) {
  const Tensor y = Tensor::empty_like(x);
  for (size_t i = 0; i < lattices.size(); ++i) {
    const kernels::Lattice& splat = transposed ? lattices[i].normalised : lattices[i].plain;
    const kernels::Lattice& slice = transposed ? lattices[i].plain : lattices[i].normalised;
    const auto at = static_cast<int64_t>(i);
    const Tensor part = y.narrow_batch(at, 1);
    part.copy_from(
        kernels::lattice_slice(slice, kernels::lattice_splat_blur(splat, x.narrow_batch(at, 1), transposed))
            .reshape(part.shape()));
  }
  return y;
}

Variable CrfKernels::bilateral(const Variable& q) const {
  ATROUS_CHECK(q.shape().rank() == 4 && q.dim(0) == static_cast<int64_t>(lattices_->size()), ErrorKind::usage,
               "[crf_as_rnn] scores must be [{}, H, W, L], for as many images. Got {}.", lattices_->size(),
               q.value().describe());
  return record("crf_bilateral", filter(*lattices_, q.value(), false), {q},
                [lattices = lattices_](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {filter(*lattices, ctx.grad(), true)};
                });
}

Variable crf_as_rnn(const Variable& unary, const CrfKernels& kernels, const CrfWeights& weights,
                    int64_t iterations) {
  Variable z = unary;
  for (int64_t i = 0; i < iterations; ++i) {
    const Variable q = softmax(z);
    const Variable message = add(weighted(kernels.gaussian(q), weights.gaussian),
                                 weighted(kernels.bilateral(q), weights.bilateral));
    z = sub(unary, weighted(message, weights.compatibility));
  }
  return z;
}

CrfAsRnn::CrfAsRnn(int64_t classes, int64_t channels, const CrfAsRnnOptions& o)
    : options(o), weights(register_weights(classes)) {
  ATROUS_CHECK(channels == 1 || channels == 3, ErrorKind::config,
               "[model.crf_as_rnn] images must have 3 channels (colours) or 1 (grey values). Got "
               "model.in_channels = {}. Leave the section out.",
               channels);
  ATROUS_CHECK(o.iterations_train >= 1 && o.iterations >= 1, ErrorKind::config,
               "[model.crf_as_rnn] at least one iteration is needed. Got iterations_train {} and iterations "
               "{}. Leave the section out for a network without CRF.",
               o.iterations_train, o.iterations);
  for (double deviation : {o.gaussian_xy, o.bilateral_xy, o.bilateral_rgb}) {
    ATROUS_CHECK(std::isfinite(deviation) && deviation > 0, ErrorKind::config,
                 "[model.crf_as_rnn] standard deviations must be above 0. Got {}.", deviation);
  }
  const auto per_channel = static_cast<size_t>(channels);
  ATROUS_CHECK(
      (o.mean.empty() || o.mean.size() == per_channel) && (o.std.empty() || o.std.size() == per_channel),
      ErrorKind::config,
      "[model.crf_as_rnn] mean and std need a value per channel. Got {} and {} for {} channels.",
      o.mean.size(), o.std.size(), channels);
}

CrfWeights CrfAsRnn::register_weights(int64_t classes) {
  ATROUS_CHECK(classes >= 2, ErrorKind::config,
               "[model.crf_as_rnn] a CRF needs at least two classes. Got model.num_classes = {}.", classes);
  const Shape pairs{classes, classes};
  const Shape shape = options.weights == CrfWeightShape::full ? pairs : Shape{classes};
  CrfWeights w;
  w.gaussian = register_parameter("gaussian_weight", Tensor::empty(shape));
  w.bilateral = register_parameter("bilateral_weight", Tensor::empty(shape));
  w.compatibility = register_parameter("compatibility", Tensor::empty(pairs));
  return w;
}

void CrfAsRnn::initialise_own(const KeyOf&) {
  const auto fill = [](const Variable& weight, double diagonal) {
    if (weight.shape().rank() == 1) return weight.value().fill(diagonal);
    const Tensor matrix = Tensor::zeros(weight.shape());
    for (int64_t i = 0; i < weight.dim(0); ++i)
      matrix.data<float>()[i * (weight.dim(0) + 1)] = static_cast<float>(diagonal);
    weight.value().copy_from(matrix);
  };
  fill(weights.gaussian, options.gaussian_weight);
  fill(weights.bilateral, options.bilateral_weight);
  fill(weights.compatibility, -1);
}

std::string CrfAsRnn::arguments() const {
  return fmt::format("{} classes, {} weights, {} iterations ({} in training)", weights.compatibility.dim(0),
                     options.weights, options.iterations, options.iterations_train);
}

Variable CrfAsRnn::forward(const Variable& logits, const Tensor& image) const {
  const ModuleScope scope(name());
  ATROUS_CHECK(logits.shape().rank() == 4 && image.rank() == 4 &&
                   image.shape().with(-1, logits.dim(-1)) == logits.shape(),
               ErrorKind::usage,
               "[crf_as_rnn] logits [N, H, W, L] and image [N, H, W, C] must agree. Got {} and {}.",
               logits.value().describe(), image.describe());
  const int64_t iterations = training() ? options.iterations_train : options.iterations;
  const Variable unary = in_f32(logits);
  return crf_as_rnn(unary, CrfKernels(denormalised(image, options), options), weights, iterations);
}

}  // namespace atrous::layers
