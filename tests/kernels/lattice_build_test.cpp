// What every permutohedral lattice must satisfy, whoever built it. The cases of the op compare
// implementations.
#include "kernels/lattice_build/lattice_build.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/common/implementation.h"
#include "kernels/lattice_build/lattice_math.h"
#include "tests/same_bits.h"

using namespace atrous;
using kernels::Lattice;
using kernels::lattice_build;

namespace {

Tensor random_features(int64_t points, int64_t dims, double spread, uint64_t seed = 3) {
  Rng rng(seed, 0x1a77);
  const Tensor t = Tensor::empty({points, dims});
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(spread * rng.normal());
  return t;
}

// A picture of smooth colours with some noise: many pixels share a simplex, as in a photograph.
Tensor picture_features(int64_t height, int64_t width) {
  Rng rng(5, 0x1a77);
  const Tensor image = Tensor::empty({height, width, 3});
  for (int64_t i = 0; i < image.numel(); ++i) {
    const int64_t row = i / 3 / width, column = i / 3 % width;
    const auto x = static_cast<double>(column), y = static_cast<double>(row);
    const double v =
        128 + 90 * std::sin(x / 23 + static_cast<double>(i % 3)) * std::cos(y / 17) + 4 * rng.normal();
    image.data<float>()[i] = static_cast<float>(v);
  }
  return kernels::bilateral_features(image, 49, 5);
}

// The point on the hyperplane sum = 0 by the definition of the basis, in units of d + 1.
std::vector<double> elevate(const std::vector<double>& feature) {
  const size_t d = feature.size();
  std::vector<double> at(d + 1);
  for (size_t axis = 1; axis <= d; ++axis) {
    const auto n = static_cast<double>(axis);
    const double length = std::sqrt(n * (n + 1));  // of (1, ..., 1, -n, 0, ..., 0)
    const double scaled = std::sqrt(2.0 / 3) * feature[axis - 1] / length;
    for (size_t i = 0; i < axis; ++i) at[i] += scaled;
    at[axis] -= n * scaled;
  }
  return at;
}

template <int D>
void check_simplexes() {
  Rng rng(D, 0x51);
  const kernels::LatticeScale<double> scale;
  for (int trial = 0; trial < 300; ++trial) {
    double feature[D];
    // Whole numbers put many points onto borders between simplexes.
    for (double& v : feature) v = trial % 3 ? 4 * rng.normal() : static_cast<double>(rng.integer(-2, 2));
    kernels::Simplex<double, D> s;
    kernels::find_simplex(feature, scale, s);
    const std::vector<double> point = elevate({feature, feature + D});
    for (int k = 0; k <= D; ++k) {
      double sum = k;
      for (int i = 0; i <= D; ++i) sum += s.quotient_of(i, k);
      REQUIRE(sum == 0);  // the vertex lies in the hyperplane
      REQUIRE(s.weight[k] >= 0);
    }
    for (int i = 0; i <= D; ++i) {
      double at = 0;
      for (int k = 0; k <= D; ++k) at += s.weight[k] * (s.quotient_of(i, k) + k / (D + 1.0));
      REQUIRE(at == Approx(point[static_cast<size_t>(i)]).margin(1e-12));
    }
  }
}

void check_lattice(const Lattice& l) {
  const int64_t corners = l.dims + 1;
  REQUIRE(l.vertex.shape() == Shape{l.points, corners});
  REQUIRE(l.neighbours.shape() == Shape{corners, l.vertices, 2});
  REQUIRE(l.splat_begin.shape() == Shape{l.vertices + 1});
  REQUIRE(l.splat_entry.shape() == Shape{l.points * corners});
  const Tensor weight = l.weight.to(DType::f64);
  for (int64_t p = 0; p < l.points; ++p) {
    double sum = 0;
    for (int64_t k = 0; k < corners; ++k) {
      const double w = weight.data<double>()[p * corners + k];
      REQUIRE(w >= 0);
      sum += w;
    }
    REQUIRE(sum == Approx(1).margin(1e-6));
  }

  const auto *begin = l.splat_begin.data<int32_t>(), *entry = l.splat_entry.data<int32_t>();
  REQUIRE(begin[0] == 0);
  REQUIRE(begin[l.vertices] == l.points * corners);
  for (int64_t v = 0; v < l.vertices; ++v) {
    REQUIRE(begin[v] < begin[v + 1]);  // no vertex without points
    for (int64_t e = begin[v]; e < begin[v + 1]; ++e) {
      REQUIRE(l.vertex.data<int32_t>()[entry[e]] == v);
      REQUIRE((e == begin[v] || entry[e] > entry[e - 1]));
    }
  }

  const auto neighbour = [&](int64_t axis, int64_t v, int64_t side) {
    return l.neighbours.data<int32_t>()[(axis * l.vertices + v) * 2 + side];
  };
  for (int64_t v = 0; v < l.vertices; ++v) {
    int64_t around = v;
    for (int64_t axis = 0; axis < corners; ++axis) {
      const int64_t before = neighbour(axis, v, 0), after = neighbour(axis, v, 1);
      REQUIRE((before >= -1 && before < l.vertices && after >= -1 && after < l.vertices));
      if (before >= 0) REQUIRE(neighbour(axis, before, 1) == v);
      if (after >= 0) REQUIRE(neighbour(axis, after, 0) == v);
      around = around < 0 ? -1 : neighbour(axis, around, 1);
    }
    // One step along every axis adds up to none.
    REQUIRE((around == -1 || around == v));
  }
  // The corners of a simplex are neighbours in a ring: each step follows another axis.
  for (int64_t p = 0; p < l.points; ++p) {
    for (int64_t k = 0; k < corners; ++k) {
      const int32_t from = l.vertex.data<int32_t>()[p * corners + k];
      const int32_t to = l.vertex.data<int32_t>()[p * corners + (k + 1) % corners];
      int64_t axes = 0;
      for (int64_t axis = 0; axis < corners; ++axis) axes += neighbour(axis, from, 1) == to;
      REQUIRE(axes == 1);
    }
  }
}

bool same_bits(const Lattice& a, const Lattice& b) {
  return same_bits(a.vertex, b.vertex) && same_bits(a.weight, b.weight) &&
         same_bits(a.neighbours, b.neighbours) && same_bits(a.splat_begin, b.splat_begin) &&
         same_bits(a.splat_entry, b.splat_entry);
}

struct Threads {
  int before = num_threads();
  explicit Threads(int count) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
};

}  // namespace

TEST_CASE("a point is the weighted mean of the vertices of its simplex", "[lattice]") {
  check_simplexes<2>();
  check_simplexes<3>();
  check_simplexes<5>();
  check_simplexes<8>();
}

TEST_CASE("lattices of random points are consistent", "[lattice]") {
  for (int64_t dims = 2; dims <= 8; ++dims) {
    for (double spread : {0.0, 0.3, 3.0, 300.0}) {
      INFO("d " << dims << " spread " << spread);
      const Tensor features = random_features(200, dims, spread);
      check_lattice(lattice_build(features));
      check_lattice(lattice_build(features.to(DType::f64)));
    }
  }
  check_lattice(lattice_build(random_features(1, 5, 1)));
}

TEST_CASE("lattices of pictures are consistent", "[lattice]") {
  check_lattice(lattice_build(picture_features(48, 48)));
  const Lattice constant = lattice_build(kernels::bilateral_features(Tensor::full({48, 48, 3}, 77), 3, 5));
  check_lattice(constant);
  // Colours add nothing: a plane of positions, of which a vertex covers some pixels.
  CHECK(constant.vertices < 48 * 48);
}

TEST_CASE("equal points share one simplex", "[lattice]") {
  const Lattice l = lattice_build(Tensor::full({1000, 5}, 0.3));
  CHECK(l.vertices == 6);
  check_lattice(l);
}

TEST_CASE("a lattice in f32 is the lattice in f64 away from borders", "[lattice]") {
  const Tensor features = random_features(2000, 5, 1.5);
  const Lattice narrow = lattice_build(features), wide = lattice_build(features.to(DType::f64));
  REQUIRE(narrow.vertices == wide.vertices);
  CHECK(same_bits(narrow.vertex, wide.vertex));
  CHECK(same_bits(narrow.neighbours, wide.neighbours));
  CHECK(wide.weight.dtype() == DType::f64);
  for (int64_t i = 0; i < narrow.weight.numel(); ++i) {
    CHECK(static_cast<double>(narrow.weight.data<float>()[i]) ==
          Approx(wide.weight.data<double>()[i]).margin(2e-6));
  }
}

TEST_CASE("a lattice has the same bits on any number of threads", "[lattice]") {
  for (const Tensor& features :
       {picture_features(150, 170), random_features(20000, 2, 5), random_features(5000, 8, 100)}) {
    Lattice one, three;
    {
      const Threads threads(1);
      one = lattice_build(features);
    }
    {
      const Threads threads(3);
      three = lattice_build(features);
    }
    CHECK(same_bits(one, three));
  }
}

TEST_CASE("bilateral features are positions and colours over their standard deviations", "[lattice]") {
  const Tensor image = Tensor::from<uint8_t>({1, 2, 3}, {0, 5, 10, 100, 200, 255});
  const Tensor f = kernels::bilateral_features(image, 2, 5);
  const std::vector<float> got(f.data<float>(), f.data<float>() + f.numel());
  CHECK(got == std::vector<float>{0, 0, 0, 1, 2, 0.5f, 0, 20, 40, 51});
  const Tensor tall = kernels::bilateral_features(Tensor::zeros({2, 1, 3}), 4, 1);
  CHECK(tall.data<float>()[5] == 0);
  CHECK(tall.data<float>()[6] == 0.25f);
}
