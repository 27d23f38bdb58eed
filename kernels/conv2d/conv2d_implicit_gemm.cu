// Forward pass and input gradient of conv2d as matrix products on CUDA cores, f32 inside, sums of their
// definition (no tf32):
//
//   y[m, k] = sum_{(r,s,c)} im2col(x)[m, (r,s,c)] * w[k, (r,s,c)]          m: pixels of y
//   dx[m, c] = sum_{(r,s,k)} im2col(dy)[m, (r,s,k)] * w[k, (r,s), c]       m: pixels of one phase of dx
//
// Layout: activations N,H,W,C; filter K,R,S,C; pixels at any stride. conv2d_gpu.h defines the phases; all of
// them run in one launch, which finds the phase from the block index.
//
// Rung "implicit_gemm" (the ladder is in conv2d_naive.cu), over "tiled": results in registers
// (register_tile.cuh); loads of four channels; the loads of a slab are on their way while the slab before is
// multiplied. im2col is never stored: a thread keeps the input pixel of its rows and adds the tap's distance.
//
// "implicit_gemm_narrow" has tiles of 128 pixels x 16 channels instead of 64: nothing is wasted on few output
// channels, and small maps make enough tiles to occupy a GPU.
//
// Slabs of the reduction have 8 elements: 8 channels of one tap, taps fastest; or, where channels are few or
// not a multiple of four ("dense", the stem has 3), any 8 neighbours of the row, loaded one by one.
#include "kernels/common/register_tile.cuh"
#include "kernels/conv2d/conv2d_arguments.cuh"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/gather.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

template <class T>
struct Arguments : TileArguments<T> {
  bool filter_vectors, out_vectors;  // whether four neighbours may be accessed at once
};

// Brings slabs of both factors from global memory through registers into shared memory.
template <class T, bool Gradient, bool Dense, class Tile>
struct Loader {
  static constexpr int width = Dense ? 1 : 4, per_row = Tile::depth / width;
  static constexpr int rows_per_pass = Tile::threads / per_row;
  static constexpr int a_loads = Tile::m / rows_per_pass;
  static constexpr int b_loads = (Tile::n + rows_per_pass - 1) / rows_per_pass;

  const Arguments<T>& args;
  const Correlation& g;
  int group, first_column, columns;  // columns: output channels of the group
  Tap tap;                           // dense: of this thread's element; else of the slab
  GatherRow rows[a_loads];
  Vec<float, width> a[a_loads], b[b_loads];

  __device__ Loader(const Arguments<T>& args_, const Correlation& g_, int64_t first_row)
      : args(args_),
        g(g_),
        group(static_cast<int>(blockIdx.z)),
        first_column(static_cast<int>(blockIdx.y) * Tile::n),
        columns(Gradient ? args_.geometry.c : args_.geometry.k) {
    ATROUS_UNROLL
    for (int i = 0; i < a_loads; ++i) rows[i] = gather_row(g, first_row + a_row(i));
    if constexpr (Dense) {
      if (g.taps() > 0) skip_elements(g, tap, element());
    }
  }

  __device__ int slabs() const {
    return Dense ? static_cast<int>(blocks_for(static_cast<int64_t>(g.taps()) * g.channels, Tile::depth))
                 : g.taps() * static_cast<int>(blocks_for(g.channels, Tile::depth));
  }

  // Global memory to registers; then on to the next slab.
  __device__ void load() {
    const int c = channel(element());
    const int64_t distance = tap_offset(g, tap);
    ATROUS_UNROLL
    for (int i = 0; i < a_loads; ++i) {
      a[i] = {};
      if (c >= g.channels || tap.h >= g.h.taps || !covers(g, rows[i], tap)) continue;
      const int64_t in_channel = static_cast<int64_t>(group) * g.channels + c;
      a[i] = load_f32<width>(args.in.at(rows[i].pixel + distance) + in_channel);
      if constexpr (!Gradient) {
        ATROUS_UNROLL
        for (int j = 0; j < width; ++j) a[i][j] = args.prologue(a[i][j], in_channel + j);
      }
    }
    ATROUS_UNROLL
    for (int i = 0; i < b_loads; ++i) b[i] = load_filter(channel(b_element()), first_column + b_column(i));
    if constexpr (Dense) {
      skip_elements(g, tap, Tile::depth);
    } else {
      next_block(g, tap, Tile::depth);
    }
  }

  // Registers to shared memory.
  __device__ void store(typename Tile::Factors& to, int buffer) const {
    ATROUS_UNROLL
    for (int i = 0; i < a_loads; ++i) {
      ATROUS_UNROLL
      for (int j = 0; j < width; ++j) to.a[buffer][element() + j][a_row(i)] = a[i][j];
    }
    ATROUS_UNROLL
    for (int i = 0; i < b_loads; ++i) {
      const int column = b_column(i), k = b_element();
      // A narrow tile has less than its threads can load.
      if (column >= Tile::n || k >= Tile::depth) continue;
      if constexpr (across) {
        kernels::store<4>(&to.b[buffer][k][column], b[i]);
      } else {
        ATROUS_UNROLL
        for (int j = 0; j < width; ++j) to.b[buffer][k + j][column] = b[i][j];
      }
    }
  }

 private:
  __device__ static int thread() { return static_cast<int>(threadIdx.x); }
  // First element of the slab that this thread loads, and the row.
  __device__ static int element() { return thread() % per_row * width; }
  __device__ static int a_row(int i) { return thread() / per_row + i * rows_per_pass; }
  // The same for the filter. For the input gradient its columns are neighbours in memory, not its rows.
  static constexpr bool across = Gradient && !Dense;
  static_assert(!across || Tile::threads >= Tile::depth * Tile::n / 4, "one load per thread");
  __device__ static int b_element() { return across ? thread() / (Tile::n / 4) : element(); }
  __device__ static int b_column(int i) { return across ? thread() % (Tile::n / 4) * 4 : a_row(i); }

  __device__ int channel(int element_of_slab) const { return Dense ? tap.c : tap.c + element_of_slab; }

  __device__ Vec<float, width> load_filter(int c, int column) const {
    Vec<float, width> result{};
    if (column >= columns || c >= g.channels || tap.h >= g.h.taps) return result;
    const int r = g.h.filter_first + tap.h * g.h.filter_step, s = g.w.filter_first + tap.w * g.w.filter_step;
    const int64_t k = static_cast<int64_t>(group) * args.geometry.k + (Gradient ? c : column);
    const T* from = args.filter.at(args.geometry.filter_pixel(k, r, s)) + (Gradient ? column : c);
    if constexpr (width == 4) {
      if (args.filter_vectors) return load_f32<4>(from);
    }
    const int count = min(width, Gradient ? columns - column : g.channels - c);
    ATROUS_UNROLL
    for (int j = 0; j < width; ++j) {
      if (j < count) result[j] = static_cast<float>(from[j]);
    }
    return result;
  }
};

// Sums of z and z*z over the rows of the tile, added up in a fixed order.
template <class T, class Tile>
__device__ void write_statistics(const Arguments<T>& args, const Tile& z, const int64_t* places,
                                 int columns) {
  ATROUS_SHARED(float, part, [2][Tile::m / Tile::rows][Tile::n]);
  const int thread = static_cast<int>(threadIdx.x);
  ATROUS_UNROLL
  for (int j = 0; j < Tile::columns; ++j) {
    float sum = 0, squares = 0;
    ATROUS_UNROLL
    for (int i = 0; i < Tile::rows; ++i) {
      const float value = places[Tile::row(i)] < 0 ? 0.0f : z.sum[i][j];
      sum += value;
      squares += value * value;
    }
    part[0][thread / Tile::threads_n][Tile::column(j)] = sum;
    part[1][thread / Tile::threads_n][Tile::column(j)] = squares;
  }
  __syncthreads();
  const int64_t first = static_cast<int64_t>(blockIdx.y) * Tile::n,
                all = static_cast<int64_t>(columns) * args.geometry.groups;
  for (int i = thread; i < 2 * Tile::n; i += Tile::threads) {
    const int which = i / Tile::n, column = i % Tile::n;
    if (first + column >= columns) continue;
    double total = 0;
    for (int row = 0; row < Tile::m / Tile::rows; ++row)
      total += static_cast<double>(part[which][row][column]);
    args.partial[(blockIdx.x * int64_t{2} + which) * all + blockIdx.z * static_cast<int64_t>(columns) +
                 first + column] = total;
  }
}

// y = relu?(z + residual) at four neighbouring channels, `count` of which exist.
template <class T>
__device__ void write_four(const Arguments<T>& args, int64_t place, int64_t channel, int count,
                           Vec<float, 4> z) {
  T* to = args.out.at(place) + channel;
  const T* residual = args.residual ? args.residual.at(place) + channel : nullptr;
  if (args.out_vectors && residual) {
    const Vec<float, 4> more = load_f32<4>(residual);
    ATROUS_UNROLL
    for (int j = 0; j < 4; ++j) z[j] += more[j];
  }
  ATROUS_UNROLL
  for (int j = 0; j < 4; ++j) {
    if (!args.out_vectors && residual && j < count) z[j] += static_cast<float>(residual[j]);
    if (args.relu) z[j] = activate<Activation::relu>(z[j]);
    if (!args.out_vectors && j < count) to[j] = static_cast<T>(z[j]);
  }
  if (args.out_vectors) store_f32(to, z);
}

template <class T, bool Gradient, bool Dense, class Tile>
__global__ void __launch_bounds__(Tile::threads) conv2d_implicit_gemm(Arguments<T> args) {
  ATROUS_SHARED(typename Tile::Factors, factors, [1]);
  ATROUS_SHARED(int64_t, places, [Tile::m]);
  const int64_t first_row = blockIdx.x % args.tiles * Tile::m;
  const Correlation g =
      Gradient ? args.geometry.gradient(static_cast<int>(blockIdx.x / args.tiles)) : args.geometry.forward();
  if (first_row >= g.rows()) return;  // the whole block: this phase is smaller than the first
  for (int i = static_cast<int>(threadIdx.x); i < Tile::m; i += Tile::threads)
    places[i] = place_of(g, first_row + i);

  Tile z;
  Loader<T, Gradient, Dense, Tile> loader(args, g, first_row);
  const int slabs = loader.slabs();
  if (slabs > 0) {
    loader.load();
    loader.store(factors[0], 0);
  }
  __syncthreads();
  for (int slab = 0; slab < slabs; ++slab) {
    const bool more = slab + 1 < slabs;
    if (more) loader.load();
    z.multiply(factors[0].a[slab % 2], factors[0].b[slab % 2]);
    if (more) loader.store(factors[0], (slab + 1) % 2);
    __syncthreads();
  }

  const int columns = loader.columns;
  const int64_t group_first = static_cast<int64_t>(blockIdx.z) * columns;
  if (args.bias) {
    ATROUS_UNROLL
    for (int j = 0; j < Tile::columns; ++j) {
      const int column = loader.first_column + Tile::column(j);
      const float bias = column < columns ? args.bias[group_first + column] : 0.0f;
      ATROUS_UNROLL
      for (int i = 0; i < Tile::rows; ++i) z.sum[i][j] += bias;
    }
  }
  if (args.partial) write_statistics(args, z, places, columns);
  ATROUS_UNROLL
  for (int i = 0; i < Tile::rows; ++i) {
    const int64_t place = places[Tile::row(i)];
    ATROUS_UNROLL
    for (int j = 0; j < Tile::columns; j += 4) {
      const int column = loader.first_column + Tile::column(j);
      if (place < 0 || column >= columns) continue;
      write_four(args, place, group_first + column, columns - column,
                 {z.sum[i][j], z.sum[i][j + 1], z.sum[i][j + 2], z.sum[i][j + 3]});
    }
  }
}

template <class Tile, bool Gradient, bool Dense, class T>
void launch_tiles(Arguments<T> args, const Tensor& sums) {
  const Conv2dGeometry& g = args.geometry;
  run_tiles<Gradient>(args, Tile::m, sums, [&](int64_t blocks) {
    launch<conv2d_implicit_gemm<T, Gradient, Dense, Tile>>(
        {{blocks, blocks_for(Gradient ? g.c : g.k, Tile::n), g.groups}, Tile::threads}, args);
  });
}

template <class Tile, bool Gradient, class T>
void run(const TileArguments<T>& what, const Tensor& in, const Tensor& filter, const Tensor& residual,
         const Tensor& out, const Tensor& sums) {
  const int channels = Gradient ? what.geometry.k : what.geometry.c;
  const int columns = Gradient ? what.geometry.c : what.geometry.k;
  const bool out_vectors =
      columns % 4 == 0 && vectorises(out, 4) && (!residual.defined() || vectorises(residual, 4));
  const Arguments<T> args{what, vectorises(filter, 4), out_vectors};
  // Blocks of 8 channels that are half empty waste more than four loads of one.
  if (channels < 8 || channels % 4 != 0 || !vectorises(in, 4)) {
    launch_tiles<Tile, Gradient, true>(args, sums);
  } else {
    launch_tiles<Tile, Gradient, false>(args, sums);
  }
}

template <class Tile>
void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
             const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    run<Tile, false>(forward_arguments<T>(p, x, w, f, y), x, w, f.residual, y, f.channel_sums);
  });
}

template <class Tile>
void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    run<Tile, true>(gradient_arguments<T>(p, dy, w, bias, dx), dy, w, {}, dx, {});
  });
}

using Wide = RegisterTile<128, 64>;
using Narrow = RegisterTile<128, 16>;

}  // namespace

void conv2d_forward_implicit_gemm(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                  const Conv2dFusion& f, const Tensor& y) {
  forward<Wide>(p, x, w, f, y);
}
void conv2d_forward_implicit_gemm_narrow(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                         const Conv2dFusion& f, const Tensor& y) {
  forward<Narrow>(p, x, w, f, y);
}
void conv2d_backward_input_implicit_gemm(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                         const Tensor& bias, const Tensor& dx) {
  backward_input<Wide>(p, dy, w, bias, dx);
}
void conv2d_backward_input_implicit_gemm_narrow(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                                const Tensor& bias, const Tensor& dx) {
  backward_input<Narrow>(p, dy, w, bias, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
