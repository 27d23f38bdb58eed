// RoIAlign on a GPU: y[r,p,q,c] = sum over the pixels that bin (p, q) of region r reads of weight *
// x[pixel,c].
//
// NHWC, regions as f32 [R,5]; positions and weights as in roi_align_math.h. Sums are f32.
//
//   forward    naive       one channel of one bin per thread, which goes through the bin's samples
//              vectorised  16 bytes of channels per thread: positions are computed once for all of them
//              tabulated   a block owns a region: it computes what each sample reads once per row and per
//                          column, into shared memory, and its threads only multiply and add
//   backward   naive       each pixel of the map checks all regions and bins for whether they read it: every
//                          element is written once, in the order of the regions, without atomics
//              tiled       a block owns an 8x8 tile of the map. It lists the regions that may touch the tile,
//                          in order, and computes their weights for its rows and columns once, into shared
//                          memory: a region costs only the tiles that it touches
#include "kernels/common/channel_groups.h"
#include "kernels/common/ordered_list.h"
#include "kernels/roi_align/roi_align_impl.h"
#include "kernels/roi_align/roi_align_math.h"

namespace atrous::kernels::roi_align_impl::ATROUS_GPU {
namespace {

// The problem besides the maps, as passed to kernels.
struct Shared {
  int64_t rois, images, channels;
  int32_t out_height, out_width, sampling_ratio;
  bool aligned;
  const float* boxes;     // rois x 5
  const int32_t* levels;  // may be null
};

Shared shared_of(const RoiAlignProblem& p, const Tensor& rois, const Tensor& levels) {
  return {p.rois,
          p.images,
          p.channels,
          static_cast<int32_t>(p.out_height),
          static_cast<int32_t>(p.out_width),
          static_cast<int32_t>(p.sampling_ratio),
          p.aligned,
          rois.device_data<float>(),
          levels.defined() ? levels.device_data<int32_t>() : nullptr};
}

template <class T>
struct Map {
  Pixels<T> x;
  int64_t height, width;
  float scale;
};
template <class T>
struct Maps {
  Map<T> map[most_maps];
  int count;
};

template <class T>
Maps<const T> maps_of(const RoiAlignProblem& p, const std::vector<Tensor>& tensors) {
  Maps<const T> maps{};
  for (const Tensor& t : tensors) {
    const RoiAlignProblem::Map& m = p.maps[static_cast<size_t>(maps.count)];
    maps.map[maps.count++] = {pixels_of<const T>(t), m.height, m.width, m.scale};
  }
  return maps;
}

__device__ RoiAxis rows_of(const Shared& p, const float* roi, float scale) {
  return roi_axis(roi[2], roi[4], scale, p.aligned, p.out_height, p.sampling_ratio);
}
__device__ RoiAxis columns_of(const Shared& p, const float* roi, float scale) {
  return roi_axis(roi[1], roi[3], scale, p.aligned, p.out_width, p.sampling_ratio);
}

// sum += V channels of the four pixels that sample (v, u) reads; `image` is that of the region.
template <class T, int V>
__device__ void add_sample(const Map<const T>& map, int64_t image, RoiTap v, RoiTap u, int64_t channel,
                           Vec<float, V>& sum) {
  if (v.low < 0 || u.low < 0) return;
  const auto add = [&](int32_t row, int32_t column, float weight) {
    if (weight == 0.0f) return;
    const auto x = load_f32<V>(map.x.at((image * map.height + row) * map.width + column) + channel);
    for (int k = 0; k < V; ++k) sum[k] += weight * x[k];
  };
  add(v.low, u.low, (1.0f - v.weight) * (1.0f - u.weight));
  add(v.low, u.high, (1.0f - v.weight) * u.weight);
  add(v.high, u.low, v.weight * (1.0f - u.weight));
  add(v.high, u.high, v.weight * u.weight);
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward(Shared p, Maps<const T> maps, Pixels<T> y) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.out_height, p.out_width);  // image: the region
  if (at.image >= p.rois) return;
  const float* roi = p.boxes + 5 * at.image;
  const int64_t image = roi_image(roi[0], p.images);
  const int32_t level = p.levels ? p.levels[at.image] : 0;
  Vec<float, V> sum{};
  if (image >= 0 && level >= 0 && level < maps.count) {
    const Map<const T>& map = maps.map[level];
    const RoiAxis rows = rows_of(p, roi, map.scale), columns = columns_of(p, roi, map.scale);
    const RoiSamples is = roi_samples_inside(rows, at.row, map.height);
    const RoiSamples js = roi_samples_inside(columns, at.column, map.width);
    for (int32_t i = is.begin; i < is.end; ++i) {
      const RoiTap v = roi_tap(roi_sample(rows, at.row, i), map.height);
      for (int32_t j = js.begin; j < js.end; ++j) {
        const RoiTap u = roi_tap(roi_sample(columns, at.column, j), map.width);
        add_sample<T, V>(map, image, v, u, own.channel, sum);
      }
    }
    const float count = static_cast<float>(rows.samples) * static_cast<float>(columns.samples);
    const float share = count > 0 ? 1.0f / count : 0.0f;
    for (int k = 0; k < V; ++k) sum[k] *= share;
  }
  store_f32<V>(y.at(own.pixel) + own.channel, sum);
}

// Block: one region.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward_per_region(Shared p, Maps<const T> maps,
                                                                    Pixels<T> y) {
  ATROUS_SHARED(RoiTap, row_taps, [most_tabulated]);
  ATROUS_SHARED(RoiTap, column_taps, [most_tabulated]);
  const int64_t r = blockIdx.x;
  const float* roi = p.boxes + 5 * r;
  const int64_t image = roi_image(roi[0], p.images);
  const int32_t level = p.levels ? p.levels[r] : 0;
  const bool exists = image >= 0 && level >= 0 && level < maps.count;
  const Map<const T>& map = maps.map[exists ? level : 0];
  const int n = p.sampling_ratio;
  const int own = static_cast<int>(threadIdx.x);
  if (own < p.out_height * n) {
    const float position = roi_sample(rows_of(p, roi, map.scale), own / n, own % n);
    row_taps[own] = exists ? roi_tap(position, map.height) : RoiTap{-1, -1, 0.0f};
  }
  if (own >= most_tabulated && own - most_tabulated < p.out_width * n) {
    const int s = own - static_cast<int>(most_tabulated);
    column_taps[s] = roi_tap(roi_sample(columns_of(p, roi, map.scale), s / n, s % n), map.width);
  }
  __syncthreads();
  // An element of a region has a 32-bit index: most_tabulated and most_tabulated_channels see to that.
  const unsigned groups = static_cast<unsigned>(p.channels) / V;
  const unsigned width = static_cast<unsigned>(p.out_width),
                 bins = static_cast<unsigned>(p.out_height) * width;
  const float share = 1.0f / static_cast<float>(n * n);
  for (unsigned item = threadIdx.x; item < bins * groups; item += group_threads) {
    const unsigned bin = item / groups, channel = item % groups * V;
    const RoiTap* v = row_taps + bin / width * n;
    const RoiTap* u = column_taps + bin % width * n;
    Vec<float, V> sum{};
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) add_sample<T, V>(map, image, v[i], u[j], channel, sum);
    }
    for (int k = 0; k < V; ++k) sum[k] *= share;
    store_f32<V>(y.at(r * bins + bin) + channel, sum);
  }
}

template <class T>
__global__ __launch_bounds__(group_threads) void backward(Shared p, int32_t level, Pixels<const T> dy,
                                                          Map<T> map) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Position at = position_of(own.pixel, map.height, map.width);
  if (at.image >= p.images) return;
  float sum = 0;
  for (int64_t r = 0; r < p.rois; ++r) {
    const float* roi = p.boxes + 5 * r;
    if (roi_image(roi[0], p.images) != at.image || (p.levels && p.levels[r] != level)) continue;
    const RoiAxis rows = rows_of(p, roi, map.scale), columns = columns_of(p, roi, map.scale);
    if (!roi_may_read(rows, p.out_height, at.row, at.row)) continue;
    if (!roi_may_read(columns, p.out_width, at.column, at.column)) continue;
    for (int64_t down = 0; down < p.out_height; ++down) {
      const float v = roi_weight(rows, down, at.row, map.height);
      if (v == 0.0f) continue;
      for (int64_t across = 0; across < p.out_width; ++across) {
        const float u = roi_weight(columns, across, at.column, map.width);
        if (u == 0.0f) continue;
        const int64_t bin = (r * p.out_height + down) * p.out_width + across;
        sum += v * u * static_cast<float>(dy.at(bin)[own.channel]);
      }
    }
  }
  map.x.at(own.pixel)[own.channel] = static_cast<T>(sum);
}

constexpr int tile = 8;                    // pixels along an axis
constexpr int tile_lanes = 8;              // threads of a block along channels, each with V of them
constexpr int tile_rows = 4;               // rows of the tile that the threads cover at once
constexpr int batch = group_threads / 32;  // regions whose weights are in shared memory: one per warp
static_assert(tile * tile_rows * tile_lanes == group_threads);

// Block: one tile of one image, tile_lanes * V channels. A thread owns a column of the tile and two of its
// rows.
template <class T, int V>
__global__ __launch_bounds__(group_threads) void backward_per_tile(Shared p, int32_t level,
                                                                   Pixels<const T> dy, Map<T> map) {
  ATROUS_SHARED(int32_t, list, [group_threads]);
  ATROUS_SHARED(float, row_weights, [batch][most_tiled_bins][tile]);
  ATROUS_SHARED(float, column_weights, [batch][most_tiled_bins][tile]);
  // 32 bits hold the index of a block, and so do all parts of it.
  const auto chunks = static_cast<unsigned>((p.channels + tile_lanes * V - 1) / (tile_lanes * V));
  const auto across = static_cast<unsigned>((map.width + tile - 1) / tile);
  const auto down = static_cast<unsigned>((map.height + tile - 1) / tile);
  const unsigned position = blockIdx.x / chunks, line = position / across;
  const int64_t image = line / down;
  const int top = static_cast<int>(line % down) * tile, left = static_cast<int>(position % across) * tile;
  const int own = static_cast<int>(threadIdx.x), warp = own / 32, lane = own % 32;
  const int row = own / tile_lanes / tile, column = own / tile_lanes % tile;
  const int64_t channel = (int64_t{blockIdx.x % chunks} * tile_lanes + own % tile_lanes) * V;
  const bool has_channels = channel < p.channels;
  const int bins_y = p.out_height, bins_x = p.out_width;
  Vec<float, V> sum[tile / tile_rows]{};
  for (int64_t first = 0; first < p.rois; first += group_threads) {
    const int64_t candidate = first + own;
    bool touches = false;
    if (candidate < p.rois) {
      const float* roi = p.boxes + 5 * candidate;
      touches = roi_image(roi[0], p.images) == image && (!p.levels || p.levels[candidate] == level) &&
                roi_may_read(rows_of(p, roi, map.scale), p.out_height, top, top + tile - 1) &&
                roi_may_read(columns_of(p, roi, map.scale), p.out_width, left, left + tile - 1);
    }
    const int count = ordered_list<group_threads>(touches, own, list);
    for (int begin = 0; begin < count; begin += batch) {
      if (begin + warp < count) {
        const float* roi = p.boxes + 5 * (first + list[begin + warp]);
        const RoiAxis rows = rows_of(p, roi, map.scale), columns = columns_of(p, roi, map.scale);
        for (int i = lane; i < bins_y * tile; i += 32)
          row_weights[warp][i / tile][i % tile] = roi_weight(rows, i / tile, top + i % tile, map.height);
        for (int i = lane; i < bins_x * tile; i += 32) {
          column_weights[warp][i / tile][i % tile] =
              roi_weight(columns, i / tile, left + i % tile, map.width);
        }
      }
      __syncthreads();
      for (int b = 0; b < min(batch, count - begin) && has_channels; ++b) {
        const int64_t first_bin = (first + list[begin + b]) * bins_y * bins_x;
        for (int q = 0; q < bins_x; ++q) {
          const float u = column_weights[b][q][column];
          if (u == 0.0f) continue;
          for (int bin = 0; bin < bins_y; ++bin) {
            const float v = row_weights[b][bin][row], w = row_weights[b][bin][row + tile_rows];
            if (v == 0.0f && w == 0.0f) continue;
            const auto g = load_f32<V>(dy.at(first_bin + bin * bins_x + q) + channel);
            // A weight of 0 must not carry NaN or infinity over.
            for (int k = 0; k < V; ++k) sum[0][k] += v == 0.0f ? 0.0f : v * u * g[k];
            for (int k = 0; k < V; ++k) sum[1][k] += w == 0.0f ? 0.0f : w * u * g[k];
          }
        }
      }
      __syncthreads();
    }
  }
  for (int half = 0; half < 2; ++half) {
    const int64_t h = top + row + half * tile_rows, w = left + column;
    if (!has_channels || h >= map.height || w >= map.width) continue;
    store_f32<V>(map.x.at((image * map.height + h) * map.width + w) + channel, sum[half]);
  }
}

void forward_with(bool wide, const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                  const Tensor& levels, const Tensor& y) {
  bool fits = wide;
  for (const Tensor& map : maps) fits = fits && vectorises(map, 16 / static_cast<int64_t>(size_of(p.dtype)));
  visit_groups(p.dtype, fits, {y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward<T, v>>(group_launch(y.pixels(), p.channels, v), shared_of(p, rois, levels),
                          maps_of<T>(p, maps), pixels_of<T>(y));
  });
}

template <class T>
Map<T> map_of(const RoiAlignProblem& p, int64_t level, const Tensor& dx) {
  const RoiAlignProblem::Map& m = p.maps[static_cast<size_t>(level)];
  return {pixels_of<T>(dx), m.height, m.width, m.scale};
}

}  // namespace

void forward_naive(const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                   const Tensor& levels, const Tensor& y) {
  forward_with(false, p, maps, rois, levels, y);
}
void forward_vectorised(const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                        const Tensor& levels, const Tensor& y) {
  forward_with(true, p, maps, rois, levels, y);
}
void forward_tabulated(const RoiAlignProblem& p, const std::vector<Tensor>& maps, const Tensor& rois,
                       const Tensor& levels, const Tensor& y) {
  static_assert(2 * most_tabulated <= group_threads);  // a thread per sample
  bool fits = true;
  for (const Tensor& map : maps) fits = fits && vectorises(map, 16 / static_cast<int64_t>(size_of(p.dtype)));
  visit_groups(p.dtype, fits, {y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward_per_region<T, v>>({p.channels ? p.rois : 0, group_threads}, shared_of(p, rois, levels),
                                     maps_of<T>(p, maps), pixels_of<T>(y));
  });
}

void backward_naive(const RoiAlignProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& levels,
                    const int64_t& level, const Tensor& dx) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<backward<T>>(group_launch(dx.pixels(), p.channels, 1), shared_of(p, rois, levels),
                        static_cast<int32_t>(level), pixels_of<const T>(dy), map_of<T>(p, level, dx));
  });
}

void backward_tiled(const RoiAlignProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& levels,
                    const int64_t& level, const Tensor& dx) {
  visit_groups(p.dtype, true, {dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    const Map<T> map = map_of<T>(p, level, dx);
    const int64_t tiles = p.images * blocks_for(map.height, tile) * blocks_for(map.width, tile);
    launch<backward_per_tile<T, v>>({tiles * blocks_for(p.channels, tile_lanes * v), group_threads},
                                    shared_of(p, rois, levels), static_cast<int32_t>(level),
                                    pixels_of<const T>(dy), map);
  });
}

}  // namespace atrous::kernels::roi_align_impl::ATROUS_GPU
