// Corners of all points as integers, sorted by digits, so that those of a vertex lie together.
//
//   1. range of the quotients           all points, 8 at a time
//   2. weights, and an item per corner  computes the simplexes again: cheaper than to store those of 1
//   3. sort of the items                those of one remainder are a separate segment
//   4. vertices, their entries          a pass over the sorted items
//   5. neighbours                       per axis and remainder: the keys a step further on are sorted as well
//
// Integers only after step 2: the result does not depend on the schedule of the threads.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
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
void embed(const float* features, const LatticeKeys<Key>& keys, int64_t points, int64_t begin, int64_t end,
           float* weight, Key* items) {
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
        items[k * points + first + lane] = keys.item_of(key, entry + k);
        key += keys.step[0][axis[D - k]];
      }
    }
  }
}

// ---- 3: sort ----

constexpr int most_digit_bits = 11;

// Sorts by `bits` bits from `shift` on, stably: items go behind those with smaller digits and those before
// them, least digit first. The result lies in `items`.
template <class Key>
void sort_segment(Key* items, Key* other, int64_t count, int shift, int bits) {
  const int passes = (bits + most_digit_bits - 1) / most_digit_bits,
            digit_bits = (bits + passes - 1) / passes;
  const size_t digits = size_t{1} << digit_bits;
  const auto digit_of = [=](Key item, int pass) {
    return static_cast<size_t>(item >> (shift + pass * digit_bits)) & (digits - 1);
  };
  std::vector<uint32_t> next(static_cast<size_t>(passes) * digits);
  for (int64_t i = 0; i < count; ++i) {
    for (int pass = 0; pass < passes; ++pass)
      ++next[static_cast<size_t>(pass) * digits + digit_of(items[i], pass)];
  }
  Key* from = items;
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t* begin = next.data() + static_cast<size_t>(pass) * digits;
    std::exclusive_scan(begin, begin + digits, begin, uint32_t{0});
    for (int64_t i = 0; i < count; ++i) other[begin[digit_of(from[i], pass)]++] = from[i];
    std::swap(from, other);
  }
  if (from != items) std::copy_n(from, count, items);
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

// From the vertices of one remainder a step leads to those of another and keeps their order: both lists are
// walked at once. Every step writes an entry of either vertex, which a later one may overwrite; so there is
// no unpredictable branch.
template <class Key>
void join_neighbours(const Key* vertices, int64_t from, int64_t from_end, int64_t to, int64_t to_end,
                     Key step, int32_t* neighbours) {
  while (from < from_end && to < to_end) {
    const Key wanted = vertices[from] + step, there = vertices[to];
    neighbours[2 * from + 1] = wanted == there ? static_cast<int32_t>(to) : -1;
    neighbours[2 * to] = wanted == there ? static_cast<int32_t>(from) : -1;
    from += wanted <= there;
    to += there <= wanted;
  }
  for (; from < from_end; ++from) neighbours[2 * from + 1] = -1;
  for (; to < to_end; ++to) neighbours[2 * to] = -1;
}

template <class Key>
void find_neighbours(const LatticeKeys<Key>& keys, const Key* vertices, const Lattice& lattice) {
  const int64_t corners = lattice.dims + 1;
  std::vector<int64_t> first;  // of each remainder
  for (int r = 0; r <= corners; ++r) {
    const Key least = static_cast<Key>(r) << keys.remainder_shift;
    first.push_back(std::lower_bound(vertices, vertices + lattice.vertices, least) - vertices);
  }
  parallel_for(corners * corners, 1, [&](int64_t task, int64_t) {
    // Tasks at the same time are of different axes: two of one axis would write into the same cache lines.
    const int64_t axis = task % corners;
    const auto r = static_cast<size_t>(task / corners), after = (r + 1) % static_cast<size_t>(corners);
    join_neighbours(vertices, first[r], first[r + 1], first[after], first[after + 1],
                    keys.step[after == 0][axis],
                    lattice.neighbours.data<int32_t>() + axis * lattice.vertices * 2);
  });
}

template <class Key>
Lattice build(const LatticeProblem& p, const Tensor& features, const LatticeKeys<Key>& keys) {
  const int64_t count = p.points * (p.dims + 1);
  const Tensor weight = Tensor::empty({p.points, p.dims + 1});
  const Tensor corners = workspace<Key>(count), other = workspace<Key>(count);
  parallel_for(p.points, grain, [&](int64_t begin, int64_t end) {
    visit_lattice_dims(p.dims, [&](auto d) {
      embed<d()>(features.data<float>(), keys, p.points, begin, end, weight.data<float>(),
                 data_of<Key>(corners));
    });
  });
  Key* items = data_of<Key>(corners);
  // Segments of one remainder each, one after the other: they fit the cache.
  parallel_for(p.dims + 1, 1, [&](int64_t k, int64_t) {
    sort_segment(items + k * p.points, data_of<Key>(other) + k * p.points, p.points, keys.entry_bits,
                 keys.remainder_shift);
  });
  const std::vector<int64_t> first = count_vertices(keys, items, count);

  const Lattice lattice = empty_lattice(p, weight, first.back());
  const Tensor vertices = workspace<Key>(lattice.vertices);
  number_vertices(keys, items, count, first, lattice, data_of<Key>(vertices));

  find_neighbours(keys, data_of<Key>(vertices), lattice);
  return lattice;
}

}  // namespace

void lattice_build_sorted(const LatticeProblem& p, const Tensor& features, Lattice& lattice) {
  lattice = visit_lattice_keys(p, bounds_of(p, features),
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
