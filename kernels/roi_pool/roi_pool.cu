// RoIPool on a GPU: y[r,p,q,c] = max of x over the pixels of bin (p, q) of region r, and its index.
//
// NHWC, regions as f32 [R,5]; bins as in roi_pool_math.h.
//
//   forward    naive       one channel of one bin per thread
//              vectorised  16 bytes of channels per thread: fewer and wider accesses, the bin computed
//                          once for all of them
//   backward   naive       each pixel of the map checks all regions and bins over it for its own index:
//                          every element is written once, in the order of the regions, without atomics
//              tiled       a block owns an 8x8 tile of the map. It lists the regions that touch the tile, in
//                          order, and which of their bins cover its rows and columns, into shared memory: a
//                          region costs only the tiles that it touches
#include "kernels/common/channel_groups.h"
#include "kernels/common/ordered_list.h"
#include "kernels/roi_align/roi_align_math.h"
#include "kernels/roi_pool/roi_pool_impl.h"
#include "kernels/roi_pool/roi_pool_math.h"

namespace atrous::kernels::roi_pool_impl::ATROUS_GPU {
namespace {

// A problem in 32 bits where they do: fewer registers.
struct Shapes {
  int32_t rois, images, height, width, out_height, out_width;
  int64_t channels;
  float scale;
};

Shapes shapes_of(const RoiPoolProblem& p) {
  const auto to32 = [](int64_t value) { return narrow<int32_t>(value, "roi_pool"); };
  return {to32(p.rois),       to32(p.images),    to32(p.height), to32(p.width),
          to32(p.out_height), to32(p.out_width), p.channels,     p.scale};
}

template <class T, int V>
__global__ __launch_bounds__(group_threads) void forward(Shapes p, const float* rois, Pixels<const T> x,
                                                         Pixels<T> y, Pixels<int32_t> argmax) {
  const ChannelGroup own = own_group<V>(p.channels);
  const Position at = position_of(own.pixel, p.out_height, p.out_width);  // image: the region
  if (at.image >= p.rois) return;
  const float* roi = rois + 5 * at.image;
  const int64_t image = roi_image(roi[0], p.images);
  const RoiPoolBin rows =
      roi_pool_bin(roi_pool_axis(roi[2], roi[4], p.scale, p.out_height), at.row, p.height);
  const RoiPoolBin columns =
      roi_pool_bin(roi_pool_axis(roi[1], roi[3], p.scale, p.out_width), at.column, p.width);
  Vec<float, V> best{};
  Vec<int32_t, V> index;
  for (int k = 0; k < V; ++k) index[k] = -1;
  const int32_t bottom = image >= 0 ? rows.end : rows.begin;
  for (int32_t h = rows.begin; h < bottom; ++h) {
    for (int32_t w = columns.begin; w < columns.end; ++w) {
      const int32_t position = h * p.width + w;
      const auto v = load_f32<V>(x.at(image * p.height * p.width + position) + own.channel);
      for (int k = 0; k < V; ++k) {
        const bool wins = index[k] < 0 || v[k] > best[k] || v[k] != v[k];
        best[k] = wins ? v[k] : best[k];
        index[k] = wins ? position : index[k];
      }
    }
  }
  store_f32<V>(y.at(own.pixel) + own.channel, best);
  if (argmax) store<V>(argmax.at(own.pixel) + own.channel, index);
}

template <class T>
__global__ __launch_bounds__(group_threads) void backward(Shapes p, const float* rois, Pixels<const T> dy,
                                                          Pixels<const int32_t> argmax, Pixels<T> dx) {
  const ChannelGroup own = own_group<1>(p.channels);
  const Position at = position_of(own.pixel, p.height, p.width);
  if (at.image >= p.images) return;
  const int64_t position = at.row * p.width + at.column;
  float sum = 0;
  for (int64_t r = 0; r < p.rois; ++r) {
    const float* roi = rois + 5 * r;
    if (roi_image(roi[0], p.images) != at.image) continue;
    const RoiPoolAxis rows = roi_pool_axis(roi[2], roi[4], p.scale, p.out_height);
    const RoiPoolAxis columns = roi_pool_axis(roi[1], roi[3], p.scale, p.out_width);
    for (int64_t down = 0; down < p.out_height; ++down) {
      const RoiPoolBin v = roi_pool_bin(rows, down, p.height);
      if (at.row < v.begin || at.row >= v.end) continue;
      for (int64_t across = 0; across < p.out_width; ++across) {
        const RoiPoolBin u = roi_pool_bin(columns, across, p.width);
        if (at.column < u.begin || at.column >= u.end) continue;
        const int64_t bin = (r * p.out_height + down) * p.out_width + across;
        if (argmax.at(bin)[own.channel] == position) sum += static_cast<float>(dy.at(bin)[own.channel]);
      }
    }
  }
  dx.at(own.pixel)[own.channel] = static_cast<T>(sum);
}

constexpr int tile = 8;                    // pixels along an axis
constexpr int tile_lanes = 4;              // threads of a block along channels, each with V of them
constexpr int batch = group_threads / 32;  // regions whose bins are in shared memory: one per warp
static_assert(tile * tile * tile_lanes == group_threads);

// Block: one tile of one image, tile_lanes * V channels of it; a thread owns a pixel. Four blocks at once
// leave it 64 registers: for eight, the compiler spills some.
template <class T, int V>
__global__ __launch_bounds__(group_threads,
                             4) void backward_per_tile(Shapes p, const float* rois, Pixels<const T> dy,
                                                       Pixels<const int32_t> argmax, Pixels<T> dx) {
  ATROUS_SHARED(int32_t, list, [group_threads]);
  ATROUS_SHARED(RoiPoolBin, covered, [batch][2 * most_tiled_bins]);  // by bins: of rows, then of columns
  // 32 bits hold the index of a block, and so do all parts of it.
  const auto chunks = static_cast<unsigned>((p.channels + tile_lanes * V - 1) / (tile_lanes * V));
  const auto across = static_cast<unsigned>((p.width + tile - 1) / tile);
  const auto down = static_cast<unsigned>((p.height + tile - 1) / tile);
  const unsigned place = blockIdx.x / chunks, line = place / across;
  const int image = static_cast<int>(line / down);
  const int top = static_cast<int>(line % down) * tile, left = static_cast<int>(place % across) * tile;
  const int own = static_cast<int>(threadIdx.x), warp = own / 32, lane = own % 32;
  const int row = top + own / tile_lanes / tile, column = left + own / tile_lanes % tile;
  const int64_t channel = (int64_t{blockIdx.x % chunks} * tile_lanes + own % tile_lanes) * V;
  const bool exists = channel < p.channels && row < p.height && column < p.width;
  const int position = row * p.width + column;
  Vec<float, V> sum{};
  for (int first = 0; first < p.rois; first += group_threads) {
    const int candidate = first + own;
    bool touches = false;
    if (candidate < p.rois) {
      const float* roi = rois + 5 * int64_t{candidate};
      touches = roi_image(roi[0], p.images) == image &&
                roi_pool_may_cover(roi[2], roi[4], p.scale, top, top + tile - 1) &&
                roi_pool_may_cover(roi[1], roi[3], p.scale, left, left + tile - 1);
    }
    const int count = ordered_list<group_threads>(touches, own, list);
    for (int begin = 0; begin < count; begin += batch) {
      // A lane computes a bin: along the rows in the first half of the warp's turns, then along the columns.
      for (int turn = lane; turn < 2 * most_tiled_bins && begin + warp < count; turn += 32) {
        const bool down_rows = turn < most_tiled_bins;
        const int bin = turn % static_cast<int>(most_tiled_bins);
        const float* side = rois + 5 * int64_t{first + list[begin + warp]} + (down_rows ? 2 : 1);
        const int bins = down_rows ? p.out_height : p.out_width;
        const RoiPoolAxis axis = roi_pool_axis(side[0], side[2], p.scale, bins);
        if (bin < bins) covered[warp][turn] = roi_pool_bin(axis, bin, down_rows ? p.height : p.width);
      }
      __syncthreads();
      for (int b = 0; b < min(batch, count - begin) && exists; ++b) {
        const int64_t first_bin = int64_t{first + list[begin + b]} * (p.out_height * p.out_width);
        for (int v = 0; v < p.out_height; ++v) {
          const RoiPoolBin rows = covered[b][v];
          if (row < rows.begin || row >= rows.end) continue;
          for (int u = 0; u < p.out_width; ++u) {
            const RoiPoolBin columns = covered[b][most_tiled_bins + u];
            if (column < columns.begin || column >= columns.end) continue;
            const int64_t bin = first_bin + v * p.out_width + u;
            const auto index = load<V>(argmax.at(bin) + channel);
            const auto gradient = load_f32<V>(dy.at(bin) + channel);
            for (int k = 0; k < V; ++k) sum[k] += index[k] == position ? gradient[k] : 0.0f;
          }
        }
      }
      __syncthreads();
    }
  }
  if (exists) store_f32<V>(dx.at(int64_t{image} * p.height * p.width + position) + channel, sum);
}

void forward_with(bool wide, const RoiPoolProblem& p, const Tensor& x, const Tensor& rois, const Tensor& y,
                  const Tensor& argmax) {
  visit_groups(p.dtype, wide, {x, y, argmax}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    launch<forward<T, v>>(group_launch(y.pixels(), p.channels, v), shapes_of(p),
                          static_cast<const float*>(rois.device_data<float>()), pixels_of<const T>(x),
                          pixels_of<T>(y), pixels_of<int32_t>(argmax));
  });
}

}  // namespace

void forward_naive(const RoiPoolProblem& p, const Tensor& x, const Tensor& rois, const Tensor& y,
                   const Tensor& argmax) {
  forward_with(false, p, x, rois, y, argmax);
}
void forward_vectorised(const RoiPoolProblem& p, const Tensor& x, const Tensor& rois, const Tensor& y,
                        const Tensor& argmax) {
  forward_with(true, p, x, rois, y, argmax);
}

void backward_naive(const RoiPoolProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& argmax,
                    const Tensor& dx) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<backward<T>>(group_launch(dx.pixels(), p.channels, 1), shapes_of(p),
                        static_cast<const float*>(rois.device_data<float>()), pixels_of<const T>(dy),
                        pixels_of<const int32_t>(argmax), pixels_of<T>(dx));
  });
}

void backward_tiled(const RoiPoolProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& argmax,
                    const Tensor& dx) {
  visit_groups(p.dtype, true, {dy, argmax, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int v = decltype(width)::value;
    const int64_t tiles = p.images * blocks_for(p.height, tile) * blocks_for(p.width, tile);
    launch<backward_per_tile<T, v>>({tiles * blocks_for(p.channels, tile_lanes * v), group_threads},
                                    shapes_of(p), static_cast<const float*>(rois.device_data<float>()),
                                    pixels_of<const T>(dy), pixels_of<const int32_t>(argmax),
                                    pixels_of<T>(dx));
  });
}

}  // namespace atrous::kernels::roi_pool_impl::ATROUS_GPU
