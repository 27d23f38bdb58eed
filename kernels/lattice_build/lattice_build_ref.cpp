#include <array>
#include <map>
#include <vector>

#include "kernels/common/visit.h"
#include "kernels/lattice_build/lattice_build_impl.h"
#include "kernels/lattice_build/lattice_math.h"

namespace atrous::kernels {
namespace {

// The remainder of all coordinates and the quotients of the first d.
template <int D>
using Key = std::array<int64_t, D + 1>;

// `direction` 1: the vertex after this one along an axis, -1: the one before.
template <int D>
Key<D> neighbour_of(const Key<D>& key, size_t axis, int64_t direction) {
  Key<D> result;
  result[0] = (key[0] + direction + D + 1) % (D + 1);
  for (size_t i = 0; i < D; ++i) {
    const int64_t coordinate = (D + 1) * key[i + 1] + key[0] + direction * (i == axis ? -D : 1);
    result[i + 1] = (coordinate - result[0]) / (D + 1);
  }
  return result;
}

template <int D, class T>
Lattice build(const LatticeProblem& p, const Tensor& features) {
  const LatticeScale<T> scale;
  std::vector<Simplex<T, D>> simplexes(static_cast<size_t>(p.points));
  std::vector<Key<D>> corners;  // of each point
  std::map<Key<D>, int32_t> numbers;
  const T* in = features.data<T>();
  for (Simplex<T, D>& s : simplexes) {
    T point[D];
    for (T& v : point) v = *in++;
    find_simplex(point, scale, s);
    if (!(s.reach <= lattice_most_reach)) refuse_features(features);
    for (int k = 0; k <= D; ++k) {
      Key<D> key;
      key[0] = k;
      for (int i = 0; i < D; ++i) key[static_cast<size_t>(i) + 1] = static_cast<int64_t>(s.quotient_of(i, k));
      corners.push_back(key);
      numbers.emplace(key, 0);
    }
  }

  const Lattice lattice =
      empty_lattice(p, Tensor::empty({p.points, D + 1}, p.dtype), static_cast<int64_t>(numbers.size()));
  int32_t count = 0;
  for (auto& [key, number] : numbers) number = count++;

  std::vector<std::vector<int32_t>> entries(numbers.size());
  for (size_t e = 0; e < corners.size(); ++e) {
    const int32_t v = numbers.at(corners[e]);
    lattice.vertex.data<int32_t>()[e] = v;
    lattice.weight.data<T>()[e] = simplexes[e / (D + 1)].weight[e % (D + 1)];
    entries[static_cast<size_t>(v)].push_back(static_cast<int32_t>(e));
  }
  auto* begin = lattice.splat_begin.data<int32_t>();
  auto* entry = lattice.splat_entry.data<int32_t>();
  *begin = 0;
  for (const auto& of_vertex : entries) {
    for (int32_t e : of_vertex) *entry++ = e;
    begin[1] = begin[0] + static_cast<int32_t>(of_vertex.size());
    ++begin;
  }

  auto* neighbour = lattice.neighbours.data<int32_t>();
  for (size_t axis = 0; axis <= D; ++axis) {
    for (const auto& [key, number] : numbers) {
      for (int64_t direction : {-1, 1}) {
        const auto found = numbers.find(neighbour_of<D>(key, axis, direction));
        *neighbour++ = found == numbers.end() ? -1 : found->second;
      }
    }
  }
  return lattice;
}

}  // namespace

void lattice_build_ref(const LatticeProblem& p, const Tensor& features, Lattice& lattice) {
  visit_float(p.dtype, [&](auto tag) {
    visit_lattice_dims(p.dims, [&](auto d) { lattice = build<d(), decltype(tag)>(p, features); });
  });
}

void lattice_features_ref(const LatticeFeaturesProblem& p, const Tensor& image, const Tensor& features) {
  auto* out = features.data<float>();
  for (int64_t i = 0; i < p.height * p.width; ++i) {
    const int64_t col = i % p.width, row = i / p.width;
    *out++ = static_cast<float>(col) / p.xy_std;
    *out++ = static_cast<float>(row) / p.xy_std;
    for (int64_t c = 3 * i; c < 3 * i + 3; ++c) {
      const float value =
          p.dtype == DType::u8 ? static_cast<float>(image.data<uint8_t>()[c]) : image.data<float>()[c];
      *out++ = value / p.color_std;
    }
  }
}

}  // namespace atrous::kernels
