// A permutohedral lattice on a GPU: corners of all points as integers (lattice_keys.h), sorted.
//
//   sorted   1. bounds       a thread per point: the range of its quotients goes through its block into
//                            integer maxima. The host reads them, as they determine the bits of a key
//            2. items        the same simplexes again, which is cheaper than to store them: weights, and
//                            a key for each corner
//            3. sort         by digits (kernels/common/radix_sort.cuh)
//            4. count, scan  items whose key differs from the one before are heads of vertices; the host
//                            reads their number
//            5. vertices     each head writes its key and where its entries begin, each item its vertex
//            6. neighbours   a thread per vertex and axis searches the vertex after it, and writes itself
//                            as the one before that
//
// Hash tables would need locks or probes whose order differs from run to run; here every result is
// unique.
#include "kernels/common/radix_sort.cuh"
#include "kernels/lattice_build/lattice_build_impl.h"
#include "kernels/lattice_build/lattice_keys.h"
#include "kernels/lattice_build/lattice_math.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int tile = 8 * threads;  // items of a block that numbers vertices

template <class Key>
Tensor workspace(int64_t count, Device device) {
  return Tensor::empty({count * static_cast<int64_t>(sizeof(Key) / 8)}, DType::i64, device);
}
template <class Key>
Key* data_of(const Tensor& t) {
  return reinterpret_cast<Key*>(t.device_data<int64_t>());
}

__device__ inline int64_t own_index() {
  return int64_t{blockIdx.x} * threads + threadIdx.x;
}

template <int D>
__device__ inline void load_simplex(const float* features, int64_t point, const LatticeScale<float>& scale,
                                    Simplex<float, D>& s) {
  float feature[D];
  ATROUS_UNROLL
  for (int i = 0; i < D; ++i) feature[i] = features[point * D + i];
  find_simplex(feature, scale, s);
}

// ---- 1, 2: simplexes ----

constexpr int32_t no_bound = -(1 << 30);

// Maxima of -q_0 ... -q_{d-1}, q_0 ... q_{d-1}, and whether any point is out of reach.
template <int D>
__global__ void __launch_bounds__(threads)
    bounds_kernel(const float* features, int64_t points, LatticeScale<float> scale, int32_t* bounds) {
  const int64_t p = own_index();
  Simplex<float, D> s;
  load_simplex(features, p < points ? p : points - 1, scale, s);
  const bool in_reach = s.reach <= lattice_most_reach;
  ATROUS_UNROLL
  for (int i = 0; i < D; ++i) {
    const int q = in_reach ? static_cast<int>(s.quotient[i]) : 0;
    const int low = block_reduce<Maximum>(-q, no_bound), high = block_reduce<Maximum>(q, no_bound);
    if (threadIdx.x == 0) {
      atomicMax(&bounds[i], low);
      atomicMax(&bounds[D + i], high);
    }
  }
  const int lost = block_reduce<Maximum>(in_reach ? 0 : 1, 0);
  if (threadIdx.x == 0) atomicMax(&bounds[2 * D], lost);
}

template <int D, class Key>
__global__ void __launch_bounds__(threads)
    items_kernel(const float* features, int64_t points, LatticeScale<float> scale, LatticeKeys<Key> keys,
                 float* weight, Key* items) {
  const int64_t p = own_index();
  if (p >= points) return;
  Simplex<float, D> s;
  load_simplex(features, p, scale, s);
  const Key remainder = Key{1} << keys.remainder_shift;
  Key key = 0;
  ATROUS_UNROLL
  for (int i = 0; i < D; ++i)
    key += static_cast<Key>(static_cast<int32_t>(s.quotient[i]) - keys.least[i]) * keys.unit[i];
  ATROUS_UNROLL
  for (int k = 0; k <= D; ++k) {
    const int64_t entry = p * (D + 1) + k;
    weight[entry] = s.weight[k];
    items[entry] = keys.item_of(key, entry);
    // The next corner has one more in every coordinate, and d + 1 less in that which ranks last.
    key += remainder;
    ATROUS_UNROLL
    for (int i = 0; i < D; ++i) {
      if (s.rank[i] == static_cast<float>(D - k)) key -= keys.unit[i];
    }
  }
}

// ---- 4, 5: vertices ----

template <class Key>
__device__ inline bool is_head(const LatticeKeys<Key>& keys, const Key* items, int64_t i) {
  return i == 0 || keys.key_of(items[i]) != keys.key_of(items[i - 1]);
}

// heads[tile]: how many vertices begin in a tile.
template <class Key>
__global__ void __launch_bounds__(threads)
    count_heads_kernel(LatticeKeys<Key> keys, const Key* items, int64_t count, int32_t* heads) {
  const int64_t begin = int64_t{blockIdx.x} * tile + threadIdx.x;
  int own = 0;
  for (int64_t i = begin; i < begin + tile && i < count; i += threads) own += is_head(keys, items, i);
  const int sum = block_reduce<Plus>(own, 0);
  if (threadIdx.x == 0) heads[blockIdx.x] = sum;
}

// One block: heads become those of all tiles before; total[0] is their sum.
__global__ void __launch_bounds__(threads) scan_heads_kernel(int32_t* heads, int64_t tiles, int32_t* total) {
  int before = 0;
  for (int64_t first = 0; first < tiles; first += threads) {
    const int64_t i = first + threadIdx.x;
    int sum = 0;
    const int here = exclusive_sum(i < tiles ? heads[i] : 0, sum);
    if (i < tiles) heads[i] = before + here;
    before += sum;
  }
  if (threadIdx.x == 0) *total = before;
}

struct Vertices {
  int32_t *vertex, *begin, *entry;
};

template <class Key>
__global__ void __launch_bounds__(threads)
    vertices_kernel(LatticeKeys<Key> keys, const Key* items, int64_t count, const int32_t* heads,
                    Vertices out, Key* vertices) {
  int before = heads[blockIdx.x];
  const int64_t begin = int64_t{blockIdx.x} * tile;
  for (int64_t first = begin; first < begin + tile && first < count; first += threads) {
    const int64_t i = first + threadIdx.x;
    const bool head = i < count && is_head(keys, items, i);
    int sum = 0;
    const int number = before + exclusive_sum(head, sum) + head - 1;
    before += sum;
    if (i < count) {
      const int32_t entry = keys.entry_of(items[i]);
      out.entry[i] = entry;
      out.vertex[entry] = number;
    }
    if (head) {
      out.begin[number] = static_cast<int32_t>(i);
      vertices[number] = keys.key_of(items[i]);
    }
    if (i == count - 1) out.begin[number + 1] = static_cast<int32_t>(count);
  }
}

// ---- 6: neighbours ----

// neighbours [d+1, count, 2] starts as -1.
template <class Key>
__global__ void __launch_bounds__(threads)
    neighbours_kernel(LatticeKeys<Key> keys, const Key* vertices, int64_t count, int32_t* neighbours) {
  const int64_t v = own_index();
  if (v >= count) return;
  const auto axis = static_cast<int>(blockIdx.y);
  const Key wanted = keys.after(vertices[v], axis);
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    vertices[middle] < wanted ? low = middle + 1 : high = middle;
  }
  if (low == count || vertices[low] != wanted) return;
  int32_t* of_axis = neighbours + axis * count * 2;
  of_axis[2 * v + 1] = static_cast<int32_t>(low);
  of_axis[2 * low] = static_cast<int32_t>(v);
}

// ---- launchers ----

LatticeBounds read_bounds(const LatticeProblem& p, const Tensor& features) {
  const Tensor bounds = Tensor::full({2 * p.dims + 1}, no_bound, DType::i32, features.device());
  visit_lattice_dims(p.dims, [&](auto d) {
    launch<bounds_kernel<d()>>({blocks_for(p.points, threads), threads}, features.device_data<float>(),
                               p.points, LatticeScale<float>(), bounds.device_data<int32_t>());
  });
  const Tensor host = bounds.to(Device::cpu);
  const auto* values = host.data<int32_t>();
  if (values[2 * p.dims] > 0) refuse_features(features);
  LatticeBounds result{};
  for (int64_t i = 0; i < p.dims; ++i) {
    result.low[i] = -values[i];
    result.high[i] = values[p.dims + i];
  }
  return result;
}

template <class Key>
Lattice build(const LatticeProblem& p, const Tensor& features, const LatticeKeys<Key>& keys) {
  const Device device = features.device();
  const int64_t count = p.points * (p.dims + 1), tiles = blocks_for(count, tile);
  const Tensor weight = Tensor::empty({p.points, p.dims + 1}, DType::f32, device);
  const Tensor raw = workspace<Key>(count, device), other = workspace<Key>(count, device);
  visit_lattice_dims(p.dims, [&](auto d) {
    launch<items_kernel<d(), Key>>({blocks_for(p.points, threads), threads}, features.device_data<float>(),
                                   p.points, LatticeScale<float>(), keys, weight.device_data<float>(),
                                   data_of<Key>(raw));
  });
  const Tensor sorted = radix_sort<Key>(raw, other, count, keys.entry_bits, keys.key_bits);
  const Key* items = data_of<Key>(sorted);

  const Tensor heads = Tensor::empty({tiles}, DType::i32, device),
               total = Tensor::empty({1}, DType::i32, device);
  launch<count_heads_kernel<Key>>({tiles, threads}, keys, items, count, heads.device_data<int32_t>());
  launch<scan_heads_kernel>({1, threads}, heads.device_data<int32_t>(), tiles, total.device_data<int32_t>());
  const Lattice lattice = empty_lattice(p, weight, total.to(Device::cpu).data<int32_t>()[0]);

  const Tensor vertices = workspace<Key>(lattice.vertices, device);
  launch<vertices_kernel<Key>>(
      {tiles, threads}, keys, items, count, heads.device_data<int32_t>(),
      Vertices{lattice.vertex.device_data<int32_t>(), lattice.splat_begin.device_data<int32_t>(),
               lattice.splat_entry.device_data<int32_t>()},
      data_of<Key>(vertices));
  lattice.neighbours.fill(-1);
  launch<neighbours_kernel<Key>>({{blocks_for(lattice.vertices, threads), p.dims + 1}, threads}, keys,
                                 data_of<Key>(vertices), lattice.vertices,
                                 lattice.neighbours.device_data<int32_t>());
  return lattice;
}

// ---- features ----

template <class T>
__global__ void __launch_bounds__(threads) features_kernel(const T* image, int64_t pixels, int64_t width,
                                                           float xy_std, float color_std, float* features) {
  const int64_t p = own_index();
  if (p >= pixels) return;
  float* out = features + 5 * p;
  out[0] = static_cast<float>(p % width) / xy_std;
  out[1] = static_cast<float>(p / width) / xy_std;
  ATROUS_UNROLL
  for (int c = 0; c < 3; ++c) out[2 + c] = static_cast<float>(image[3 * p + c]) / color_std;
}

}  // namespace

void lattice_build_sorted(const LatticeProblem& p, const Tensor& features, Lattice& lattice) {
  lattice = visit_lattice_keys(p, read_bounds(p, features),
                               [&](const auto& keys) { return build(p, features, keys); });
}

void lattice_features_rows(const LatticeFeaturesProblem& p, const Tensor& image, const Tensor& features) {
  const int64_t pixels = p.height * p.width;
  const LaunchShape shape{blocks_for(pixels, threads), threads};
  float* out = features.device_data<float>();
  if (p.dtype == DType::u8) {
    launch<features_kernel<uint8_t>>(shape, image.device_data<uint8_t>(), pixels, p.width, p.xy_std,
                                     p.color_std, out);
  } else {
    launch<features_kernel<float>>(shape, image.device_data<float>(), pixels, p.width, p.xy_std, p.color_std,
                                   out);
  }
}

}  // namespace atrous::kernels::ATROUS_GPU
