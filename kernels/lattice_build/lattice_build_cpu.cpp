// Corners of all points as integers, sorted by digits; the vertices are what differs.
//
//   1. range of the quotients           all points, 8 at a time
//   2. weights, and an item per corner  the same again: cheaper than to store what 1 found
//   3. sort of the items                least digit first, stable
//   4. vertices, their entries          a pass over the sorted items
//   5. neighbours                       two walks over the sorted vertices per axis: a key, and the key a
//   step
//                                       further on, which is sorted as well
//
// Integers only after step 2: the result does not depend on who did what when.
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/lattice_build/lattice_build_impl.h"
#include "kernels/lattice_build/lattice_keys.h"
#include "kernels/lattice_build/lattice_math.h"

namespace atrous::kernels {
namespace {

constexpr int lanes = 8;
typedef float F __attribute__((vector_size(lanes * sizeof(float))));
constexpr int64_t grain = 1 << 13;  // points, or vertices, of a chunk

template <class T>
T* data_of(const Tensor& workspace) {
  return reinterpret_cast<T*>(workspace.raw());
}

// Uninitialised, from the cache of the allocator.
template <class T>
Tensor workspace(int64_t count) {
  return Tensor::empty({count * static_cast<int64_t>(sizeof(T) / 8)}, DType::i64);
}

// ---- 1, 2: simplexes ----

struct SimplexBlock {
  float quotient[lattice_most_dims + 1][lanes], rank[lattice_most_dims + 1][lanes];
  float weight[lattice_most_dims + 1][lanes], reach[lanes];
};

// The simplexes of `lanes` points from the first on; those past the end repeat the last.
ATROUS_MULTIVERSION void find_block(const float* features, const LatticeScale<float>& scale, int64_t dims,
                                    int64_t first, int64_t end, SimplexBlock& block) {
  visit_lattice_dims(
      dims, [&](auto d) __attribute__((always_inline)) {
        constexpr int D = d();
        float rows[D][lanes];
        for (int lane = 0; lane < lanes; ++lane) {
          const float* row = features + std::min(first + lane, end - 1) * D;
          for (int i = 0; i < D; ++i) rows[i][lane] = row[i];
        }
        F feature[D];
        std::memcpy(feature, rows, sizeof feature);
        Simplex<F, D> s;
        find_simplex(feature, scale, s);
        std::memcpy(block.quotient, s.quotient, sizeof s.quotient);
        std::memcpy(block.rank, s.rank, sizeof s.rank);
        std::memcpy(block.weight, s.weight, sizeof s.weight);
        std::memcpy(block.reach, &s.reach, sizeof s.reach);
      });
}

struct Range {
  float low[lattice_most_dims], high[lattice_most_dims];
  bool in_reach = true;

  Range() {
    std::fill_n(low, lattice_most_dims, 2 * lattice_most_reach);
    std::fill_n(high, lattice_most_dims, -2 * lattice_most_reach);
  }
  void include(int64_t i, float least, float most) {
    low[i] = std::min(low[i], least);
    high[i] = std::max(high[i], most);
  }
};

LatticeBounds bounds_of(const LatticeProblem& p, const Tensor& features) {
  const LatticeScale<float> scale;
  std::vector<Range> ranges(static_cast<size_t>((p.points + grain - 1) / grain));
  parallel_for(p.points, grain, [&](int64_t begin, int64_t end) {
    Range& range = ranges[static_cast<size_t>(begin / grain)];
    SimplexBlock block;
    for (int64_t first = begin; first < end; first += lanes) {
      find_block(features.data<float>(), scale, p.dims, first, end, block);
      for (float reach : block.reach) range.in_reach &= reach <= lattice_most_reach;  // NaN is not
      for (int64_t i = 0; i < p.dims; ++i) {
        for (float q : block.quotient[i]) range.include(i, q, q);
      }
    }
  });
  Range all;
  for (const Range& range : ranges) {
    if (!range.in_reach) refuse_features(features);
    for (int64_t i = 0; i < p.dims; ++i) all.include(i, range.low[i], range.high[i]);
  }
  LatticeBounds bounds{};
  for (int64_t i = 0; i < p.dims; ++i) {
    bounds.low[i] = static_cast<int32_t>(all.low[i]);
    bounds.high[i] = static_cast<int32_t>(all.high[i]);
  }
  return bounds;
}

template <int D, class Key>
void embed(const float* features, const LatticeKeys<Key>& keys, int64_t begin, int64_t end, float* weight,
           Key* items) {
  const LatticeScale<float> scale;
  SimplexBlock block;
  for (int64_t first = begin; first < end; first += lanes) {
    find_block(features, scale, D, first, end, block);
    for (int lane = 0; lane < lanes && first + lane < end; ++lane) {
      const int64_t entry = (first + lane) * (D + 1);
      Key key = 0;
      for (int i = 0; i < D; ++i)
        key += static_cast<Key>(static_cast<int32_t>(block.quotient[i][lane]) - keys.least[i]) * keys.unit[i];
      int axis[D + 1];  // by rank
      for (int i = 0; i <= D; ++i) axis[static_cast<int>(block.rank[i][lane])] = i;
      // The next corner has one more in every coordinate, and d + 1 less in that which ranks last.
      for (int k = 0; k <= D; ++k) {
        weight[entry + k] = block.weight[k][lane];
        items[entry + k] = keys.item_of(key, entry + k);
        key += keys.step[0][axis[D - k]];
      }
    }
  }
}

// ---- 3: sort ----

constexpr int most_digit_bits = 11;

// Moves items by `bits` bits from `shift` on, stably. Chunks are counted, then written to where the counts of
// smaller digits, and of equal ones in chunks before, let them begin.
template <class Key>
void sort_by_digit(const Key* from, Key* to, int64_t count, int shift, int bits) {
  const size_t digits = size_t{1} << bits;
  const auto digit_of = [=](Key item) { return static_cast<size_t>(item >> shift) & (digits - 1); };
  const int64_t chunk = std::max<int64_t>((count + num_threads() - 1) / num_threads(), 1 << 15);
  const int64_t chunks = (count + chunk - 1) / chunk;
  std::vector<uint32_t> begins(static_cast<size_t>(chunks) * digits);
  parallel_for(count, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* counts = begins.data() + static_cast<size_t>(begin / chunk) * digits;
    for (int64_t i = begin; i < end; ++i) ++counts[digit_of(from[i])];
  });
  uint32_t sum = 0;
  for (size_t digit = 0; digit < digits; ++digit) {
    for (size_t at = digit; at < begins.size(); at += digits) sum += std::exchange(begins[at], sum);
  }
  parallel_for(count, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* next = begins.data() + static_cast<size_t>(begin / chunk) * digits;
    for (int64_t i = begin; i < end; ++i) to[next[digit_of(from[i])]++] = from[i];
  });
}

// The sorted items lie in either of the two.
template <class Key>
Tensor sorted(Tensor items, Tensor other, int64_t count, int shift, int bits) {
  for (int passes = (bits + most_digit_bits - 1) / most_digit_bits; passes > 0; --passes) {
    const int digit_bits = (bits + passes - 1) / passes;
    sort_by_digit(data_of<Key>(items), data_of<Key>(other), count, shift, digit_bits);
    std::swap(items, other);
    shift += digit_bits;
    bits -= digit_bits;
  }
  return items;
}

// ---- 4: vertices ----

// Runs of items with one key, chunk by chunk: where the vertices of each chunk are numbered from, and at the
// end how many there are.
template <class Key>
std::vector<int64_t> count_vertices(const LatticeKeys<Key>& keys, const Key* items, int64_t count) {
  std::vector<int64_t> first(static_cast<size_t>((count + grain - 1) / grain) + 1);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    int64_t heads = begin == 0;
    for (int64_t i = std::max<int64_t>(begin, 1); i < end; ++i)
      heads += keys.key_of(items[i]) != keys.key_of(items[i - 1]);
    first[static_cast<size_t>(begin / grain) + 1] = heads;
  });
  for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  return first;
}

template <class Key>
void number_vertices(const LatticeKeys<Key>& keys, const Key* items, int64_t count,
                     const std::vector<int64_t>& first, const Lattice& lattice, Key* vertices) {
  auto *vertex = lattice.vertex.data<int32_t>(), *begins = lattice.splat_begin.data<int32_t>();
  auto* entries = lattice.splat_entry.data<int32_t>();
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    auto v = static_cast<int32_t>(first[static_cast<size_t>(begin / grain)]) - 1;
    for (int64_t i = begin; i < end; ++i) {
      const Key key = keys.key_of(items[i]);
      if (i == 0 || key != keys.key_of(items[i - 1])) {
        ++v;
        vertices[v] = key;
        begins[v] = static_cast<int32_t>(i);
      }
      entries[i] = keys.entry_of(items[i]);
      vertex[entries[i]] = v;
    }
  });
  begins[lattice.vertices] = static_cast<int32_t>(count);
}

// ---- 5: neighbours ----

// Neighbours after the vertices begin ... end along an axis; each of these learns what is before it.
template <class Key>
void find_neighbours(const LatticeKeys<Key>& keys, const Key* vertices, int64_t count, int axis,
                     int64_t begin, int64_t end, int32_t* neighbours) {
  // Steps that wrap the remainder and those that do not each keep the order of the keys.
  const Key* at[2];
  for (int wraps : {0, 1})
    at[wraps] = std::lower_bound(vertices, vertices + count, vertices[begin] + keys.step[wraps][axis]);
  for (int64_t v = begin; v < end; ++v) {
    const int wraps = keys.wraps(vertices[v]);
    const Key wanted = vertices[v] + keys.step[wraps][axis];
    const Key*& next = at[wraps];
    while (next < vertices + count && *next < wanted) ++next;
    const bool found = next < vertices + count && *next == wanted;
    const int64_t after = next - vertices;
    neighbours[2 * v + 1] = found ? static_cast<int32_t>(after) : -1;
    if (found) neighbours[2 * after] = static_cast<int32_t>(v);
  }
}

template <class Key>
Lattice build(const LatticeProblem& p, const Tensor& features, const LatticeKeys<Key>& keys) {
  const int64_t count = p.points * (p.dims + 1);
  const Tensor weight = Tensor::empty({p.points, p.dims + 1});
  const Tensor raw = workspace<Key>(count), other = workspace<Key>(count);
  parallel_for(p.points, grain, [&](int64_t begin, int64_t end) {
    visit_lattice_dims(p.dims, [&](auto d) {
      embed<d()>(features.data<float>(), keys, begin, end, weight.data<float>(), data_of<Key>(raw));
    });
  });
  const Tensor in_order = sorted<Key>(raw, other, count, keys.entry_bits, keys.key_bits);
  const Key* items = data_of<Key>(in_order);
  const std::vector<int64_t> first = count_vertices(keys, items, count);

  const Lattice lattice = empty_lattice(p, weight, first.back());
  const Tensor vertices = workspace<Key>(lattice.vertices);
  number_vertices(keys, items, count, first, lattice, data_of<Key>(vertices));

  lattice.neighbours.fill(-1);
  const int64_t chunks = (lattice.vertices + grain - 1) / grain;
  parallel_for((p.dims + 1) * chunks, 1, [&](int64_t task, int64_t) {
    const int64_t axis = task / chunks, begin = task % chunks * grain;
    find_neighbours(keys, data_of<Key>(vertices), lattice.vertices, static_cast<int>(axis), begin,
                    std::min(begin + grain, lattice.vertices),
                    lattice.neighbours.data<int32_t>() + axis * lattice.vertices * 2);
  });
  return lattice;
}

}  // namespace

Lattice lattice_build_sorted(const LatticeProblem& p, const Tensor& features) {
  return visit_lattice_keys(p, bounds_of(p, features),
                            [&](const auto& keys) { return build(p, features, keys); });
}

void lattice_features_rows(const LatticeFeaturesProblem& p, const Tensor& image, const Tensor& features) {
  const auto fill = [&](const auto* pixels) {
    parallel_for(p.height, 16, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        const auto* in = pixels + y * p.width * 3;
        float* out = features.data<float>() + y * p.width * 5;
        for (int64_t x = 0; x < p.width; ++x, in += 3, out += 5) {
          out[0] = static_cast<float>(x) / p.xy_std;
          out[1] = static_cast<float>(y) / p.xy_std;
          for (int c = 0; c < 3; ++c) out[2 + c] = static_cast<float>(in[c]) / p.color_std;
        }
      }
    });
  };
  p.dtype == DType::u8 ? fill(image.data<uint8_t>()) : fill(image.data<float>());
}

}  // namespace atrous::kernels
