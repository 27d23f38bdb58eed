// Filter gradient of conv2d as a matrix product on CUDA cores, f32 inside:
//
//   dw[k, (r,s,c)] = sum_m dy[m, k] * im2col(x)[m, (r,s,c)]               m: pixels of y
//
// Layout: dy N,P,Q,K and x N,H,W,C with pixels at any stride; dw contiguous K,R,S,C. Both factors are rows of
// neighbouring channels, so their slabs of 8 pixels are loaded as they lie in memory.
//
// Rung "implicit_gemm" of the ladder in conv2d_naive.cu. dw has few tiles and the sums are long: 64 channels
// to 64 with a 3x3 filter are 9 tiles for the whole GPU and 100,000 pixels each. So blocks share the pixels
// of a tile (split-K): each leaves its sum in a workspace, a second kernel adds them in a fixed order. The
// split depends on the problem only, so results are bit-identical on every run.
#include "kernels/common/register_tile.cuh"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/gather.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

using Tile = RegisterTile<64, 64>;

constexpr int64_t blocks_wanted = 264;  // two per multiprocessor of a large GPU
constexpr int64_t workspace_bytes = 32 << 20;
constexpr int64_t least_pixels = 128;  // of a split: below, adding the splits up costs more than it gains

template <class T>
struct Arguments {
  Conv2dGeometry geometry;
  Pixels<const T> dy, x;
  float* out;    // [splits] of dw
  int64_t size;  // elements of dw
  int64_t pixels_per_split;
  int64_t tiles;  // along (r,s,c)
};

// Walks along the pixels of y, which are the rows m of both factors.
struct Walker {
  int64_t m, image;
  int p, q;

  __device__ Walker(const Correlation& g, int64_t first) : m(first) {
    const int64_t line = m / g.w.out;
    image = line / g.h.out;
    p = static_cast<int>(line % g.h.out);
    q = static_cast<int>(m % g.w.out);
  }
  __device__ void step(const Correlation& g, int count) {
    m += count;
    for (q += count; q >= g.w.out; q -= g.w.out) {
      if (++p == g.h.out) {
        p = 0;
        ++image;
      }
    }
  }
};

// width: neighbouring channels that a thread loads at once, 1 or 4. A pass of the block loads `width` pixels.
template <class T, int width>
struct Loader {
  static constexpr int per_row = Tile::n / width, passes = Tile::depth / width;
  static_assert(Tile::m == Tile::n && Tile::threads == Tile::n);

  const Arguments<T>& args;
  const Correlation& g;
  int group;
  int64_t end;
  Walker at;
  int k;    // of dy, within the group
  Tap tap;  // of x; past the filter, tap.h == taps
  Vec<float, width> a[passes], b[passes];

  __device__ Loader(const Arguments<T>& args_, const Correlation& g_, int64_t begin, int64_t end_,
                    int first_column)
      : args(args_),
        g(g_),
        group(static_cast<int>(blockIdx.z)),
        end(end_),
        at(g_, begin + pixel()),
        k(static_cast<int>(blockIdx.y) * Tile::m + column()) {
    const int element = first_column + column();
    tap = {element / g.channels / g.w.taps, element / g.channels % g.w.taps, element % g.channels};
  }

  __device__ void load() {
    const int64_t distance = tap_offset(g, tap);
    ATROUS_UNROLL
    for (int i = 0; i < passes; ++i) {
      a[i] = {};
      b[i] = {};
      if (at.m < end) {
        if (k < args.geometry.k)
          a[i] = load_f32<width>(args.dy.at(at.m) + static_cast<int64_t>(group) * args.geometry.k + k);
        const GatherRow row = gather_row(g, at.image, at.p, at.q);
        if (tap.h < g.h.taps && covers(g, row, tap)) {
          b[i] = load_f32<width>(args.x.at(row.pixel + distance) + static_cast<int64_t>(group) * g.channels +
                                 tap.c);
        }
      }
      at.step(g, width);
    }
  }
  __device__ void store(Tile::Factors& to, int buffer) const {
    ATROUS_UNROLL
    for (int i = 0; i < passes; ++i) {
      kernels::store<width>(&to.a[buffer][pixel() + i * width][column()], a[i]);
      kernels::store<width>(&to.b[buffer][pixel() + i * width][column()], b[i]);
    }
  }

 private:
  // The elements that this thread loads: pixel of a pass and first column of the tile.
  __device__ static int pixel() { return static_cast<int>(threadIdx.x) / per_row; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % per_row * width; }
};

template <class T, int width>
__global__ void __launch_bounds__(Tile::threads) conv2d_implicit_gemm_weight(Arguments<T> args) {
  ATROUS_SHARED(Tile::Factors, factors, [1]);
  const Correlation g = args.geometry.forward();
  const int64_t split = blockIdx.x / args.tiles;
  const int64_t begin = split * args.pixels_per_split, end = min(g.rows(), begin + args.pixels_per_split);
  const int first_column = static_cast<int>(blockIdx.x % args.tiles) * Tile::n;

  Tile sum;
  Loader<T, width> loader(args, g, begin, end, first_column);
  const int64_t slabs = blocks_for(end - begin, Tile::depth);
  if (slabs > 0) {
    loader.load();
    loader.store(factors[0], 0);
  }
  __syncthreads();
  for (int64_t slab = 0; slab < slabs; ++slab) {
    const bool more = slab + 1 < slabs;
    if (more) loader.load();
    sum.multiply(factors[0].a[slab % 2], factors[0].b[slab % 2]);
    if (more) loader.store(factors[0], (slab + 1) % 2);
    __syncthreads();
  }

  const int columns = g.taps() * g.channels;
  ATROUS_UNROLL
  for (int i = 0; i < Tile::rows; ++i) {
    const int k = static_cast<int>(blockIdx.y) * Tile::m + Tile::row(i);
    if (k >= args.geometry.k) continue;
    float* row =
        args.out + split * args.size + (static_cast<int64_t>(blockIdx.z) * args.geometry.k + k) * columns;
    ATROUS_UNROLL
    for (int j = 0; j < Tile::columns; ++j) {
      const int column = first_column + Tile::column(j);
      if (column < columns) row[column] = sum.sum[i][j];
    }
  }
}

constexpr int add_threads = 256;

__global__ void __launch_bounds__(add_threads)
    add_splits(const float* partial, int64_t splits, int64_t size, float* dw) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * add_threads + threadIdx.x;
  if (i >= size) return;
  float sum = 0;
  for (int64_t split = 0; split < splits; ++split) sum += partial[split * size + i];
  dw[i] = sum;
}

}  // namespace

void add_split_sums(const Tensor& partial, const Tensor& dw) {
  launch<add_splits>({blocks_for(dw.numel(), add_threads), add_threads},
                     static_cast<const float*>(partial.device_data<float>()), partial.dim(0), dw.numel(),
                     dw.device_data<float>());
}

void conv2d_backward_weight_implicit_gemm(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                          const Tensor& dw) {
  const Conv2dGeometry geometry(p);
  const int64_t tiles_k = blocks_for(geometry.k, Tile::m);
  const int64_t tiles = blocks_for(p.r * p.s * geometry.c, Tile::n), pixels = dy.pixels();
  const int64_t most = std::min(pixels / least_pixels, workspace_bytes / static_cast<int64_t>(dw.bytes()));
  const int64_t wanted = std::clamp<int64_t>(blocks_for(blocks_wanted, tiles * tiles_k * p.groups), 1,
                                             std::max<int64_t>(1, most));
  const int64_t per_split =
      std::max<int64_t>(1, blocks_for(blocks_for(pixels, wanted), Tile::depth)) * Tile::depth;
  const int64_t splits = std::max<int64_t>(1, blocks_for(pixels, per_split));  // rounding may need fewer
  const Tensor partial = splits > 1 ? Tensor::empty({splits, dw.numel()}, DType::f32, dw.device()) : dw;
  const bool vectors = geometry.k % 4 == 0 && geometry.c % 4 == 0 && vectorises(dy, 4) && vectorises(x, 4);
  const LaunchShape shape{{tiles * splits, tiles_k, p.groups}, Tile::threads};
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Arguments<T> args{geometry,
                            pixels_of<const T>(dy),
                            pixels_of<const T>(x),
                            partial.device_data<float>(),
                            dw.numel(),
                            per_split,
                            tiles};
    if (vectors) {
      launch<conv2d_implicit_gemm_weight<T, 4>>(shape, args);
    } else {
      launch<conv2d_implicit_gemm_weight<T, 1>>(shape, args);
    }
  });
  if (splits > 1) add_split_sums(partial, dw);
}

}  // namespace atrous::kernels::ATROUS_GPU
