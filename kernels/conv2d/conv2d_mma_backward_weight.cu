// dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] * x[n,h,w,c] on tensor cores, where h = p*stride_h +
// r*dilation_h - pad_h and likewise for w.
//
// The reduction runs over pixels, of which both dy and the gathered x have dense rows of channels: neither
// operand is dense along the reduction, and ldmatrix transposes both on the way to the registers.
//
//   mma_bf16, mma_tf32   tiles of K x R*S*C as in forward. They are few and their reduction is long, so it
//                        is cut into pieces that run side by side, write f32 partial results and are added
//                        in their order. How many depends on the problem and on the number of
//                        multiprocessors.
#include "kernels/conv2d/conv2d_gpu.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/conv2d_mma.cuh"
#include "kernels/conv2d/conv2d_plan.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

template <class T>
struct WeightArguments {
  Conv2dGeometry geometry;
  int pixels, columns;  // N*P*Q and R*S*C
  Divider by_q, by_p, by_channels, by_s;
  Pixels<const T> dy, x;
  bool dy_vectorised, x_vectorised;
  int tiles_n, tiles, steps, steps_per_split;
  float* result;  // [split][k][r][s][c]
};

// Matrix A, transposed: rows of output channels, one per pixel of dy.
template <class T, int Extent>
struct GradientColumns {
  using Layout = ExtentDense<T, Extent>;
  const T* data;
  const WeightArguments<T>& args;
  int first;
  bool vectorised;

  __device__ GradientColumns(const WeightArguments<T>& a, int first_)
      : data(a.dy.data), args(a), first(first_), vectorised(a.dy_vectorised) {}
  __device__ const T* at(int i, int step, int e) const {
    const int pixel = step * step_elements<T> + Layout::row(i);
    const int k = first + Layout::chunk() * vector_width<T> + e;
    return pixel < args.pixels && k < args.geometry.k ? args.dy.at(pixel) + k : nullptr;
  }
};

// Matrix B: rows of taps * channels, gathered from x, one per pixel of dy.
template <class T, int Extent>
struct GatheredColumns {
  using Layout = ExtentDense<T, Extent>;
  const T* data;
  const WeightArguments<T>& args;
  int first;
  bool vectorised;
  struct Column {
    int h, w, c;  // of the tap, for pixel (0, 0) of dy
    bool exists;
  };
  Column first_column;  // of this thread's chunk

  __device__ GatheredColumns(const WeightArguments<T>& a, int first_)
      : data(a.x.data), args(a), first(first_), vectorised(a.x_vectorised), first_column(column(0)) {}
  __device__ Column column(int e) const {
    const int j = first + Layout::chunk() * vector_width<T> + e;
    const int tap = args.by_channels.quotient(j), r = args.by_s.quotient(tap),
              s = args.by_s.remainder(tap, r);
    const Conv2dAxis &h = args.geometry.h, &w = args.geometry.w;
    return {r * h.dilation - h.pad, s * w.dilation - w.pad, args.by_channels.remainder(j, tap),
            j < args.columns};
  }
  __device__ const T* at(int i, int step, int e) const {
    const int pixel = step * step_elements<T> + Layout::row(i);
    const Column to = e == 0 ? first_column : column(e);
    if (pixel >= args.pixels || !to.exists) return nullptr;
    const int line = args.by_q.quotient(pixel), image = args.by_p.quotient(line);
    const Conv2dAxis &v = args.geometry.h, &u = args.geometry.w;
    const int h = args.by_p.remainder(line, image) * v.stride + to.h;
    const int w = args.by_q.remainder(pixel, line) * u.stride + to.w;
    if (static_cast<unsigned>(h) >= static_cast<unsigned>(v.x)) return nullptr;
    if (static_cast<unsigned>(w) >= static_cast<unsigned>(u.x)) return nullptr;
    return args.x.at((image * v.x + h) * u.x + w) + to.c;
  }
};

template <class T, class Tile, Transfer transfer>
__global__ void __launch_bounds__(mma_threads, 2) correlate_gradients(WeightArguments<T> args) {
  ATROUS_DYNAMIC_SHARED(shared);
  const int block = blockIdx.x, split = block / args.tiles, tile = block % args.tiles;
  const int first_row = tile / args.tiles_n * Tile::m, first_column = tile % args.tiles_n * Tile::n;
  const int first = split * args.steps_per_split;
  const int steps = first + args.steps_per_split < args.steps ? args.steps_per_split : args.steps - first;
  const GradientColumns<T, Tile::m> a(args, first_row);
  const GatheredColumns<T, Tile::n> b(args, first_column);
  typename Tile::Sums sum;
  multiply_tiles<Tile, transfer>(sum, a, b, first, steps, shared);

  // Four lanes write the 32 bytes of a sector.
  float* result = args.result + int64_t{split} * args.geometry.k * args.columns;
  const bool paired = args.columns % 2 == 0;
  for_each_pair<Tile>(sum, [&](int row, int column, float x, float y) {
    const int k = first_row + row, j = first_column + column;
    if (k >= args.geometry.k || j >= args.columns) return;
    float* to = result + int64_t{k} * args.columns + j;
    if (paired) {
      store<2>(to, {x, y});
      return;
    }
    to[0] = x;
    if (j + 1 < args.columns) to[1] = y;
  });
}

template <class T>
void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  constexpr int width = vector_width<T>;
  const int64_t pixels = p.n * p.p() * p.q(), columns = p.r * p.s * p.c, size = dw.numel();
  const int64_t steps = ceil_div(pixels, step_elements<T>);
  const bool vectorised = vectorises(dy, width) && vectorises(x, width);
  const Transfer transfer = vectorised ? Transfer::copies : Transfer::elements;
  const SplitPlan plan = choose_split(largest_tile(transfer), p.k, columns, steps,
                                      device_properties(dw.device()).multiprocessors);
  const TileShape shape = tile_shapes[plan.tile];
  const int64_t tiles_n = ceil_div(columns, shape.n), tiles = ceil_div(p.k, shape.m) * tiles_n;
  const Tensor result = plan.splits == 1 ? dw : Tensor::empty({plan.splits, size}, DType::f32, dw.device());
  const WeightArguments<T> args{.geometry = Conv2dGeometry(p),
                                .pixels = static_cast<int>(pixels),
                                .columns = static_cast<int>(columns),
                                .by_q = Divider(p.q()),
                                .by_p = Divider(p.p()),
                                .by_channels = Divider(p.c),
                                .by_s = Divider(p.s),
                                .dy = pixels_of<const T>(dy),
                                .x = pixels_of<const T>(x),
                                .dy_vectorised = vectorises(dy, width),
                                .x_vectorised = vectorises(x, width),
                                .tiles_n = static_cast<int>(tiles_n),
                                .tiles = static_cast<int>(tiles),
                                .steps = static_cast<int>(steps),
                                .steps_per_split = static_cast<int>(plan.steps_per_split),
                                .result = result.device_data<float>()};
  with_tile<false>(plan.tile, transfer, [&]<class Tile, Transfer how>() {
    launch<correlate_gradients<T, Tile, how>>(
        {plan.splits * tiles, mma_threads, static_cast<size_t>(Tile::shared_bytes)}, args);
  });
  if (plan.splits > 1) add_split_sums(result, dw);
}

}  // namespace

void conv2d_backward_weight_mma(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  visit_activation(p.dtype, [&]<class T>(T) { backward_weight<T>(p, dy, x, dw); });
}

}  // namespace atrous::kernels::ATROUS_GPU
