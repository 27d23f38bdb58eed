// Arguments of the rungs "tiled" and "implicit_gemm" of conv2d (conv2d_gpu.h): forward, or the
// input gradient. And room for statistics, for every rung whose blocks leave partial statistics.
#pragma once

#include "kernels/conv2d/conv2d_gpu.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

template <class T>
struct TileArguments {
  Conv2dGeometry geometry;
  Pixels<const T> in, filter;  // in: x, or dy for the input gradient
  Prologue prologue{};
  const float* bias = nullptr;  // may be null, as residual and partial
  Pixels<const T> residual{};
  bool relu = false;
  Pixels<T> out;
  double* partial = nullptr;  // [tiles, 2*K]: sums of z and z*z over each tile
  int64_t tiles = 0;          // of a phase, along the output's pixels
};

template <class T>
TileArguments<T> forward_arguments(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                   const Conv2dFusion& f, const Tensor& y) {
  return {.geometry = Conv2dGeometry(p),
          .in = pixels_of<const T>(x),
          .filter = pixels_of<const T>(w),
          .prologue = prologue_of(f),
          .bias = optional_data(f.bias),
          .residual = pixels_of<const T>(f.residual),
          .relu = f.relu,
          .out = pixels_of<T>(y)};
}

template <class T>
TileArguments<T> gradient_arguments(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                    const Tensor& bias, const Tensor& dx) {
  return {.geometry = Conv2dGeometry(p),
          .in = pixels_of<const T>(dy),
          .filter = pixels_of<const T>(w),
          .bias = optional_data(bias),
          .out = pixels_of<T>(dx)};
}

// For add_partial_sums; undefined if `sums` [2,K] is.
inline Tensor partial_sums(const Tensor& sums, int64_t tiles) {
  return sums.defined() ? Tensor::empty({tiles, sums.numel()}, DType::f64, sums.device()) : Tensor();
}

// Sets the number of tiles of `rows` pixels, runs launch(number of blocks along the pixels), adds statistics.
template <bool Gradient, class T, class Launch>
void run_tiles(TileArguments<T>& args, int rows, const Tensor& sums, Launch&& launch) {
  const Conv2dGeometry& g = args.geometry;
  args.tiles = blocks_for((Gradient ? g.gradient(0) : g.forward()).rows(), rows);
  const Tensor partial = partial_sums(sums, args.tiles);
  if (partial.defined()) args.partial = partial.device_data<double>();
  launch(args.tiles * (Gradient ? g.phases() : 1));
  if (partial.defined()) add_partial_sums(partial, sums);
}

}  // namespace atrous::kernels::ATROUS_GPU
