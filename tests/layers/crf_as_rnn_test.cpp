#include "layers/crf_as_rnn.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/gradcheck.h"
#include "core/random.h"
#include "layers/dense_crf.h"
#include "layers/softmax.h"

using namespace atrous;
using namespace atrous::layers;
using Catch::Matchers::Contains;

namespace {

Tensor random(const Shape& shape, uint64_t stream, double scale, DType dtype = DType::f32) {
  const CounterRng rng({.seed = 7, .stream = stream});
  const Tensor wide = Tensor::empty(shape, DType::f64);
  for (int64_t i = 0; i < wide.numel(); ++i)
    wide.data<double>()[i] = scale * rng.normal(static_cast<uint64_t>(i));
  return wide.to(dtype);
}

// Two halves of different colour with noise, 0..255.
Tensor picture(int64_t images, int64_t height, int64_t width, int64_t channels) {
  const Tensor t = random({images, height, width, channels}, 99, 4);
  for (int64_t i = 0; i < t.numel(); ++i) {
    const int64_t x = i / channels % width, c = i % channels;
    t.data<float>()[i] += static_cast<float>(x < width / 2 ? 60 + 20 * c : 150 - 10 * c);
  }
  return t;
}

Tensor identity(int64_t n, double value, DType dtype = DType::f32) {
  const Tensor t = Tensor::zeros({n, n}, DType::f64);
  for (int64_t i = 0; i < n; ++i) t.data<double>()[i * (n + 1)] = value;
  return t.to(dtype);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor x = a.to(Device::cpu).to(DType::f64), y = b.to(Device::cpu).to(DType::f64);
  double largest = 0;
  for (int64_t i = 0; i < x.numel(); ++i)
    largest = std::max(largest, std::abs(x.data<double>()[i] - y.data<double>()[i]));
  return largest;
}

CrfAsRnnOptions small_kernels() {
  CrfAsRnnOptions o;
  o.gaussian_xy = 1.5, o.bilateral_xy = 4, o.bilateral_rgb = 13;
  return o;
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("CRF as RNN: gradients of scores, weights and compatibility") {
  const int64_t classes = 3;
  for (int64_t channels : {3, 1}) {
    for (bool full : {true, false}) {
      const CrfKernels kernels(picture(2, 4, 5, channels), small_kernels(), DType::f64);
      const Shape shape = full ? Shape{classes, classes} : Shape{classes};
      const auto leaf = [](const Tensor& t) { return Variable(t, true); };
      const GradcheckResult result = gradcheck(
          [&](const std::vector<Variable>& in) {
            return crf_as_rnn(in[0], kernels, {in[1], in[2], in[3]}, 3);
          },
          {leaf(random({2, 4, 5, classes}, 1, 1, DType::f64)), leaf(random(shape, 2, 1, DType::f64)),
           leaf(random(shape, 3, 1, DType::f64)), leaf(random({classes, classes}, 4, 0.7, DType::f64))});
      INFO(channels << " channels, " << (full ? "full" : "diagonal") << ": " << result.message);
      CHECK(result.ok);
      CHECK(result.checked == 120 + 9 + (full ? 18 : 6));
    }
  }
}

TEST_CASE("CRF as RNN: where training begins, it is the dense CRF with Potts costs") {
  const int64_t height = 20, width = 27, classes = 4;
  const Tensor image = picture(1, height, width, 3);
  const Tensor scores = random({1, height, width, classes}, 5, 1);
  const Tensor p = softmax(Variable(scores)).value().reshape({height, width, classes});
  const CrfAsRnnOptions o = small_kernels();
  CrfAsRnn crf(classes, 3, [&] {
    CrfAsRnnOptions with = o;
    with.iterations_train = 1, with.iterations = 4;
    return with;
  }());
  crf.initialise(1);
  for (bool training : {true, false}) {
    crf.train(training);
    // The module takes images as networks see them, here in [0, 1].
    const Tensor unit = image.clone();
    for (int64_t i = 0; i < unit.numel(); ++i) unit.data<float>()[i] /= 255;
    const Tensor got = softmax(crf.forward(Variable(scores), unit)).value().reshape({height, width, classes});
    const DenseCrf dense(image.reshape({height, width, 3}), {.iterations = training ? 1 : 4,
                                                             .gaussian_weight = 3,
                                                             .gaussian_xy = o.gaussian_xy,
                                                             .bilateral_weight = 5,
                                                             .bilateral_xy = o.bilateral_xy,
                                                             .bilateral_rgb = o.bilateral_rgb,
                                                             .normalization = CrfNormalization::after});
    INFO(crf.arguments());
    CHECK(largest_difference(got, dense.refine(p)) < 2e-5);
    CHECK(largest_difference(got, p) > 0.1);  // it does something
  }
}

TEST_CASE("CRF as RNN: images of a batch do not meet") {
  const Tensor images = picture(2, 9, 8, 3), scores = random({2, 9, 8, 3}, 6, 1);
  const Variable w(random({3, 3}, 7, 1)), c(identity(3, -1));
  const auto refine = [&](const Tensor& u, const Tensor& i) {
    return crf_as_rnn(Variable(u), CrfKernels(i, small_kernels()), {w, w, c}, 2).value();
  };
  const Tensor both = refine(scores, images);
  for (int64_t i = 0; i < 2; ++i) {
    const Tensor one = refine(scores.narrow_batch(i, 1), images.narrow_batch(i, 1));
    CHECK(largest_difference(one, both.narrow_batch(i, 1)) < 1e-6);
  }
}

TEST_CASE("CRF as RNN: both kernels are weighted means") {
  for (int64_t channels : {3, 1}) {
    const CrfKernels kernels(picture(2, 7, 11, channels), small_kernels());
    const Variable ones(Tensor::full({2, 7, 11, 2}, 1));
    CHECK(largest_difference(kernels.gaussian(ones).value(), ones.value()) < 1e-5);
    CHECK(largest_difference(kernels.bilateral(ones).value(), ones.value()) < 1e-5);
  }
}

TEST_CASE("CRF as RNN: a grey value counts once, not as three colours") {
  // One row of two grey values, 13 apart at a deviation of 13: the far half weighs exp(-1/2) as much.
  const int64_t width = 8;
  const Tensor image = Tensor::empty({1, 1, width, 1});
  for (int64_t x = 0; x < width; ++x) image.data<float>()[x] = x < width / 2 ? 100 : 113;
  CrfAsRnnOptions o;
  o.bilateral_xy = 1000, o.bilateral_rgb = 13;
  const Tensor q = Tensor::zeros({1, 1, width, 1});
  for (int64_t x = width / 2; x < width; ++x) q.data<float>()[x] = 1;
  const Tensor mean = CrfKernels(image, o).bilateral(Variable(q)).value();
  const double far = std::exp(-0.5);
  CHECK(mean.data<float>()[0] == Approx(far / (1 + far)).margin(0.06));  // the lattice's error: 0.03
}

TEST_CASE("CRF as RNN: its parameters") {
  CrfAsRnn full(21, 3, {});
  int64_t count = 0;
  for (const NamedParameter& p : full.parameters()) count += p.variable.value().numel();
  CHECK(count == 1323);  // as the paper has it
  full.initialise(3);
  CHECK(largest_difference(full.weights.gaussian.value(), identity(21, 3)) == 0);
  CHECK(largest_difference(full.weights.bilateral.value(), identity(21, 5)) == 0);
  CHECK(largest_difference(full.weights.compatibility.value(), identity(21, -1)) == 0);
  CrfAsRnnOptions o;
  o.weights = CrfWeightShape::diagonal, o.bilateral_weight = 4;
  CrfAsRnn diagonal(5, 1, o);
  diagonal.initialise(3);
  CHECK(largest_difference(diagonal.weights.bilateral.value(), Tensor::full({5}, 4)) == 0);
}

TEST_CASE("CRF as RNN computes in f32 behind a network in bf16, on the simulator") {
  const Tensor image = picture(1, 6, 7, 3),
               scores = random({1, 6, 7, 3}, 8, 1).to(DType::bf16).to(DType::f32);
  CrfAsRnnOptions o = small_kernels();
  o.iterations_train = 2;
  o.mean = {100, 110, 90}, o.std = {1 / 255.0, 1 / 255.0, 1 / 255.0};
  for (double& m : o.mean) m /= 255;
  const auto refine = [&](Device device, DType dtype) {
    const BuildDeviceGuard build_on(device);
    CrfAsRnn crf(3, 3, o);
    crf.initialise(1);
    const Tensor seen = image.clone();
    for (int64_t i = 0; i < seen.numel(); ++i)
      seen.data<float>()[i] -= static_cast<float>(255 * o.mean[static_cast<size_t>(i % 3)]);
    const Variable u(scores.to(device).to(dtype), true);
    const Variable z = crf.forward(u, seen.to(device));
    CHECK(z.dtype() == DType::f32);
    backward(z, Tensor::full(z.shape(), 1, DType::f32, device));
    CHECK(u.grad().dtype() == dtype);
    return z.value();
  };
  const Tensor expected = refine(Device::cpu, DType::f32);
  CHECK(largest_difference(refine(Device::sim, DType::f32), expected) < 1e-4);
  CHECK(largest_difference(refine(Device::sim, DType::bf16), expected) < 1e-4);
}

TEST_CASE("CRF as RNN: what it refuses") {
  const auto built = [](int64_t classes, int64_t channels, auto&& change) {
    CrfAsRnnOptions o;
    change(o);
    return message_of([&] { CrfAsRnn(classes, channels, o); });
  };
  const auto nothing = [](CrfAsRnnOptions&) {};
  CHECK_THAT(built(1, 3, nothing), Contains("at least two classes. Got model.num_classes = 1"));
  CHECK_THAT(built(3, 4, nothing), Contains("Got model.in_channels = 4"));
  CHECK_THAT(built(3, 3, [](auto& o) { o.iterations = 0; }), Contains("at least one iteration"));
  CHECK_THAT(built(3, 3, [](auto& o) { o.gaussian_xy = 0; }), Contains("must be above 0. Got 0"));
  CHECK_THAT(built(3, 3, [](auto& o) { o.mean = {0.5}; }), Contains("Got 1 and 0 for 3 channels"));
  CrfAsRnn crf(3, 3, {});
  CHECK_THAT(message_of([&] {
               crf.forward(Variable(Tensor::zeros({1, 4, 4, 3})), Tensor::zeros({1, 4, 5, 3}));
             }),
             Contains("must agree"));
}
