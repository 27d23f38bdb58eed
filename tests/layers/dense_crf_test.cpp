#include "layers/dense_crf.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "tests/layers/crf_brute_force.h"

using namespace atrous;
using namespace atrous::layers;
namespace oracle = atrous::crf_oracle;

namespace {

uint32_t hash(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// Patches of few colours with noise, and probabilities that know the patches' classes none too well.
struct Scene {
  Tensor image, probabilities;
  Scene(int64_t height, int64_t width, int64_t classes) {
    image = Tensor::empty({height, width, 3}, DType::u8);
    probabilities = Tensor::empty({height, width, classes});
    for (int64_t i = 0; i < height * width; ++i) {
      const int64_t y = i / width, x = i % width;
      const auto patch = static_cast<uint32_t>((y + x / 3) / 13 * 7 + (x + y / 5) / 11);
      const auto at = static_cast<uint32_t>(i) * 64;
      for (uint32_t c = 0; c < 3; ++c) {
        const uint32_t noise = hash(at + c) % 9;
        image.data<uint8_t>()[i * 3 + c] = static_cast<uint8_t>(40 + hash(patch * 3 + c) % 160 + noise);
      }
      double sum = 0;
      float* p = probabilities.data<float>() + i * classes;
      for (int64_t c = 0; c < classes; ++c) {
        const double noise = static_cast<double>(hash(at + 8 + static_cast<uint32_t>(c)) % 1000) / 1000;
        const bool own = c == patch % static_cast<uint32_t>(classes);
        p[c] = static_cast<float>(std::exp(3.2 * noise + (own ? 1.5 : 0)));
        sum += static_cast<double>(p[c]);
      }
      for (int64_t c = 0; c < classes; ++c) p[c] = static_cast<float>(static_cast<double>(p[c]) / sum);
    }
  }
  size_t pixels() const { return static_cast<size_t>(image.numel()) / 3; }
  kernels::Lattice lattice(const DenseCrfOptions& o) const {
    return kernels::lattice_build(kernels::bilateral_features(image, o.bilateral_xy, o.bilateral_rgb));
  }
};

kernels::Lattice position_lattice(int64_t height, int64_t width, double deviation) {
  const Tensor features = Tensor::empty({height * width, 2});
  for (int64_t i = 0; i < height * width; ++i) {
    const int64_t row = i / width;
    features.data<float>()[2 * i] = static_cast<float>(static_cast<double>(i % width) / deviation);
    features.data<float>()[2 * i + 1] = static_cast<float>(static_cast<double>(row) / deviation);
  }
  return kernels::lattice_build(features);
}

struct Difference {
  double largest = 0;    // of a probability
  double agreement = 0;  // share of pixels with the same label
};

Difference difference(const std::vector<double>& a, const std::vector<double>& b, size_t classes) {
  Difference d;
  const auto label = [&](const std::vector<double>& q, size_t i) {
    const auto first = q.begin() + static_cast<std::ptrdiff_t>(i);
    return std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) - first;
  };
  for (size_t i = 0; i < a.size(); ++i) {
    d.largest = std::max(d.largest, std::abs(a[i] - b[i]));
    if (i % classes == 0 && label(a, i) == label(b, i)) d.agreement += 1;
  }
  const size_t pixels = a.size() / classes;
  d.agreement /= static_cast<double>(pixels);
  return d;
}

std::vector<double> rows_of(const Tensor& t) {
  const Tensor wide = t.to(Device::cpu).to(DType::f64);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

constexpr oracle::Normalized in_oracle(CrfNormalization n) {
  return n == CrfNormalization::symmetric ? oracle::Normalized::symmetric
         : n == CrfNormalization::before  ? oracle::Normalized::before
         : n == CrfNormalization::after   ? oracle::Normalized::after
                                          : oracle::Normalized::none;
}

}  // namespace

TEST_CASE("dense CRF against all pairs in double, and the lattice against itself in double") {
  const size_t classes = 21;
  const Scene scene(48, 48, classes);
  DenseCrfOptions options;
  const auto filter = [&](const oracle::Filter& f) {
    return oracle::normalized(f, oracle::Normalized::symmetric, scene.pixels());
  };
  const oracle::Kernel spatial{filter(oracle::spatial_kernel(48, 48, options.gaussian_xy)),
                               oracle::potts(options.gaussian_weight, classes)};
  const oracle::Rows costs = oracle::potts(options.bilateral_weight, classes);
  const oracle::Kernel pairs{
      filter(oracle::bilateral_kernel(scene.image, options.bilateral_xy, options.bilateral_rgb)), costs};
  const oracle::Kernel lattice{filter(oracle::on_lattice(scene.lattice(options))), costs};
  const auto exact = oracle::mean_field(scene.probabilities, {spatial, pairs}, 10);
  const auto approximate = oracle::mean_field(scene.probabilities, {spatial, lattice}, 10);
  for (int iterations : {0, 1, 5, 10}) {
    options.iterations = iterations;
    const std::vector<double> got = rows_of(DenseCrf(scene.image, options).refine(scene.probabilities));
    const auto step = static_cast<size_t>(iterations);
    const Difference implementation = difference(got, approximate[step], classes);
    const Difference approximation = difference(approximate[step], exact[step], classes);
    INFO(iterations << " iterations: implementation " << implementation.largest << ", lattice "
                    << approximation.largest << ", labels of lattice and all pairs agree "
                    << approximation.agreement);
    CHECK(implementation.largest < 1e-5);  // 3e-7 or less
    CHECK(implementation.agreement == 1);
    // The lattice's own error: 0.02 after one iteration, 0.08 after 5, 0.10 after 10, where probabilities
    // between two classes are undecided; of 2304 labels 8, 2 and 1 are others.
    CHECK(approximation.largest < 0.12);
    CHECK(approximation.agreement > 0.996);
  }
}

TEST_CASE("normalisations and compatibilities of a dense CRF") {
  const size_t classes = 5;
  const Scene scene(17, 23, classes);
  DenseCrfOptions options;
  options.iterations = 3;
  options.bilateral_xy = 12, options.bilateral_rgb = 20;
  oracle::Rows spatial_costs = oracle::potts(options.gaussian_weight, classes);
  oracle::Rows bilateral_costs = oracle::potts(options.bilateral_weight, classes);
  SECTION("Potts") {}
  SECTION("diagonal and full") {
    options.gaussian_compatibility = {-2, -1, 0.5f, -3, -2.5f};
    for (size_t c = 0; c < classes; ++c)
      spatial_costs[c * classes + c] = static_cast<double>(options.gaussian_compatibility[c]);
    for (size_t i = 0; i < classes * classes; ++i) {
      options.bilateral_compatibility.push_back(i % (classes + 1) == 0 ? 0
                                                                       : static_cast<float>(i % 7) * 0.5f);
    }
    for (size_t i = 0; i < classes; ++i) {
      for (size_t j = 0; j < classes; ++j) {
        bilateral_costs[i * classes + j] =
            (static_cast<double>(options.bilateral_compatibility[i * classes + j]) +
             static_cast<double>(options.bilateral_compatibility[j * classes + i])) /
            2;
      }
    }
  }
  for (CrfNormalization normalization : {CrfNormalization::symmetric, CrfNormalization::before,
                                         CrfNormalization::after, CrfNormalization::none}) {
    options.normalization = normalization;
    if (normalization == CrfNormalization::none) {
      // Sums over hundreds of pixels instead of means: weights to match, or every probability is 0 or 1.
      for (double& c : spatial_costs) c *= 0.01;
      for (double& c : bilateral_costs) c *= 0.01;
      for (float& c : options.gaussian_compatibility) c *= 0.01f;
      for (float& c : options.bilateral_compatibility) c *= 0.01f;
      options.gaussian_weight *= 0.01, options.bilateral_weight *= 0.01;
    }
    const auto filter = [&](const oracle::Filter& f) {
      return oracle::normalized(f, in_oracle(normalization), scene.pixels());
    };
    std::vector<double> exact;
    for (CrfSpatial spatial : {CrfSpatial::exact, CrfSpatial::lattice}) {
      options.spatial = spatial;
      const oracle::Filter near = spatial == CrfSpatial::exact
                                      ? oracle::spatial_kernel(17, 23, options.gaussian_xy)
                                      : oracle::on_lattice(position_lattice(17, 23, options.gaussian_xy));
      const auto want =
          oracle::mean_field(scene.probabilities,
                             {{filter(near), spatial_costs},
                              {filter(oracle::on_lattice(scene.lattice(options))), bilateral_costs}},
                             3);
      const std::vector<double> got = rows_of(DenseCrf(scene.image, options).refine(scene.probabilities));
      INFO(name_of(normalization) << ", " << name_of(spatial));
      CHECK(difference(got, want.back(), classes).largest < 1e-5);
      CHECK(difference(got, want.front(), classes).largest > 0.05);  // it does something
      if (spatial == CrfSpatial::exact) exact = got;
      if (spatial == CrfSpatial::lattice)
        CHECK(difference(got, exact, classes).largest > 1e-4);  // not the same
    }
  }
}

// A weighted mean of equal rows is that row, also at the border: every pixel goes the way of a lone one. The
// other normalisations have no such constant; the test above compares them with the oracle.
TEST_CASE("a dense CRF whose kernels are means keeps constants") {
  const Scene scene(30, 41, 3);
  DenseCrfOptions options;
  options.normalization = CrfNormalization::after;
  options.iterations = 3;
  options.gaussian_weight = 0.7, options.bilateral_weight = 0.9;
  const std::array<double, 3> row = {0.5, 0.3, 0.2};
  const Tensor constant = Tensor::empty({30, 41, 3});
  for (int64_t i = 0; i < constant.numel(); ++i)
    constant.data<float>()[i] = static_cast<float>(row[static_cast<size_t>(i % 3)]);
  oracle::Rows lone(row.begin(), row.end());
  for (int step = 0; step < 3; ++step) {
    for (size_t c = 0; c < 3; ++c) lone[c] = std::log(row[c]) + (0.7 + 0.9) * lone[c];
    oracle::softmax(lone, 3);
  }
  CHECK(lone[0] > row[0] + 0.1);  // it does something
  const Tensor q = DenseCrf(scene.image, options).refine(constant);
  for (int64_t i = 0; i < q.numel(); ++i)
    REQUIRE(std::abs(static_cast<double>(q.data<float>()[i]) - lone[static_cast<size_t>(i % 3)]) < 2e-6);
  options.normalization = CrfNormalization::none;
  const Tensor sums = DenseCrf(scene.image, options).refine(constant);
  CHECK(difference(rows_of(sums), rows_of(q), 3).largest > 0.1);  // so it is the normalisation
}

TEST_CASE("a dense CRF gives the same bits on any number of threads and on every call") {
  const Scene scene(61, 83, 21);
  const int before = num_threads();
  set_num_threads(1);
  const DenseCrf one(scene.image, {});
  const Tensor expected = one.refine(scene.probabilities);
  for (int threads : {2, 3, 7, 13}) {
    set_num_threads(threads);
    const Tensor q = DenseCrf(scene.image, {}).refine(scene.probabilities);
    CHECK(std::memcmp(q.raw(), expected.raw(), q.bytes()) == 0);
  }
  set_num_threads(before);
  const Tensor again = one.refine(scene.probabilities);
  CHECK(std::memcmp(again.raw(), expected.raw(), again.bytes()) == 0);
}

TEST_CASE("a dense CRF takes views and images in f32, and leaves out kernels of weight 0") {
  const Scene scene(20, 31, 4);
  const Tensor expected = DenseCrf(scene.image, {}).refine(scene.probabilities);
  const Tensor wide = Tensor::full({20, 31, 9}, std::nan(""));
  wide.narrow_channels(3, 4).copy_from(scene.probabilities);
  const Tensor q = DenseCrf(scene.image.to(DType::f32), {}).refine(wide.narrow_channels(3, 4));
  CHECK(std::memcmp(q.raw(), expected.raw(), q.bytes()) == 0);

  DenseCrfOptions none;
  none.gaussian_weight = none.bilateral_weight = 0;
  const DenseCrf idle(scene.image, none);
  CHECK(idle.state_bytes() == 0);
  CHECK(difference(rows_of(idle.refine(scene.probabilities)), rows_of(scene.probabilities), 4).largest <
        1e-6);
}

TEST_CASE("memory of a dense CRF is what its documentation says") {
  const Scene scene(40, 50, 3);
  for (CrfNormalization normalization : {CrfNormalization::symmetric, CrfNormalization::after}) {
    DenseCrfOptions options;
    options.normalization = normalization;
    const DenseCrf crf(scene.image, options);
    const int64_t per_pixel = normalization == CrfNormalization::symmetric ? 76 : 100;
    CHECK(crf.vertices() <= 6 * 2000);
    CHECK(static_cast<int64_t>(crf.state_bytes()) == per_pixel * 2000 + 76 * crf.vertices() + 4 + 24);
    options.spatial = CrfSpatial::lattice;
    const DenseCrf both(scene.image, options);
    const int64_t vertices = position_lattice(40, 50, options.gaussian_xy).vertices;
    const int64_t more = normalization == CrfNormalization::symmetric ? 32 : 44;
    CHECK(static_cast<int64_t>(both.state_bytes() - crf.state_bytes()) ==
          more * 2000 + 40 * vertices + 4 + 12);
  }
}

TEST_CASE("a dense CRF on the simulated GPU") {
  const Scene scene(9, 14, 3);
  for (CrfSpatial spatial : {CrfSpatial::exact, CrfSpatial::lattice}) {
    DenseCrfOptions options;
    options.spatial = spatial;
    const Tensor expected = DenseCrf(scene.image, options).refine(scene.probabilities);
    const Tensor q =
        DenseCrf(scene.image.to(Device::sim), options).refine(scene.probabilities.to(Device::sim));
    CHECK(q.device() == Device::sim);
    CHECK(difference(rows_of(q), rows_of(expected), 3).largest < 1e-5);
  }
}

TEST_CASE("presets of the dense CRF") {
  CHECK(dense_crf_preset("deeplab_v2").bilateral_xy == 49);
  CHECK(dense_crf_preset("deeplab_v1").bilateral_rgb == 10);
  CHECK(dense_crf_preset("pydensecrf").iterations == 5);
  for (const DenseCrfPreset& preset : dense_crf_presets())
    CHECK(dense_crf_preset(preset.name).bilateral_weight == preset.options.bilateral_weight);
  CHECK_THROWS_WITH(dense_crf_preset("deeplab"), Catch::Contains("Use one of: deeplab_v1, deeplab_v2"));
}

TEST_CASE("errors of the dense CRF") {
  const Scene scene(6, 8, 3);
  const DenseCrf crf(scene.image, {});
  const auto message = [](auto&& call, ErrorKind kind) {
    try {
      call();
    } catch (const Error& e) {
      CHECK(e.kind() == kind);
      return std::string(e.what());
    }
    return std::string("no error");
  };
  using Catch::Contains;
  CHECK_THAT(message(
                 [&] {
                   crf.refine(Tensor::full({8, 6, 3}, 1.0 / 3));
                 },
                 ErrorKind::usage),
             Contains("must be f32 [6, 8, classes], for an image of 6 x 8 pixels. Got f32 [8, 6, 3]"));
  CHECK_THAT(message(
                 [&] {
                   crf.refine(Tensor::full({6, 8, 1}, 1));
                 },
                 ErrorKind::usage),
             Contains("nothing to decide with one class"));
  CHECK_THAT(message(
                 [&] {
                   crf.refine(Tensor::full({6, 8, 3}, 1));
                 },
                 ErrorKind::data),
             Contains("Got a sum of 3 and a least value of 1 at pixel 0 of 48"));
  CHECK_THAT(message([&] { crf.refine(scene.probabilities.to(Device::sim)); }, ErrorKind::usage),
             Contains("must be on one device"));
  for (const Shape& shape : {Shape{0, 8, 3}, Shape{6, 8}, Shape{6, 8, 4}}) {
    CHECK_THAT(message([&] { DenseCrf(Tensor::zeros(shape, DType::u8), {}); }, ErrorKind::usage),
               Contains("with at least one pixel. Got u8 " + shape.str()));
  }
  DenseCrfOptions options;
  options.gaussian_compatibility = {1, 2};
  CHECK_THAT(message([&] { DenseCrf(scene.image, options).refine(scene.probabilities); }, ErrorKind::usage),
             Contains("Got 2 values for 3 classes. Give 3 or 9"));
  const auto refused = [&](auto&& change) {
    DenseCrfOptions bad;
    change(bad);
    return message([&] { DenseCrf(scene.image, bad); }, ErrorKind::config);
  };
  CHECK_THAT(refused([](DenseCrfOptions& o) { o.iterations = -1; }),
             Contains("must not be negative. Got -1"));
  CHECK_THAT(refused([](DenseCrfOptions& o) { o.bilateral_rgb = 0; }),
             Contains("deviations of the bilateral kernel must be above 0. Got 0"));
  CHECK_THAT(refused([](DenseCrfOptions& o) { o.gaussian_weight = std::nan(""); }),
             Contains("gaussian weight must be finite"));
}
