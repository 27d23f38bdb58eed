// y[n,p,q,k] = sum over r,s,c of x[n,h,w,c] * w[k,r,s,c] on tensor cores, with everything of Conv2dFusion.
//
// x is N,H,W,C and w is K,R,S,C: both operands are dense along the reduction, and copies of 16 bytes bring
// them into shared memory as they lie; padding is written as zeros by the copy itself.
//
//   mma_bf16, mma_tf32   128x128, 128x64 or 64x64 outputs per block of four warps, four stages of
//                        asynchronous copies; with a prologue, or channels that do not fill 16 bytes, by way
//                        of registers. mma_bf16 rounds what a prologue makes to bf16.
//
// Statistics of the output take no separate pass: each block adds up the columns of its tile.
#include "kernels/conv2d/conv2d_arguments.cuh"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/conv2d_mma_correlation.cuh"

namespace atrous::kernels::ATROUS_GPU {
namespace {

template <class T>
void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
             const Tensor& y) {
  constexpr int width = vector_width<T>;
  CorrelationArguments<T> args{
      .geometry = Conv2dGeometry(p),
      .gradient = false,
      .by_channels = Divider(p.c),
      .columns = static_cast<int>(p.k),
      .source = pixels_of<const T>(x),
      .filter = pixels_of<const T>(w),
      .result = pixels_of<T>(y),
      .source_vectorised = vectorises(x, width),
      .filter_vectorised = vectorises(w, width),
      .result_vectorised = vectorises(y, width) && (!f.residual.defined() || vectorises(f.residual, width)),
      .bias = optional_data(f.bias),
      .prologue = prologue_of(f),
      .residual = pixels_of<const T>(f.residual),
      .relu = f.relu};
  const int64_t rows = p.n * p.p() * p.q();
  const int tile = choose_tile(largest_tile(transfer_of(args)), 1, rows, p.k,
                               device_properties(y.device()).multiprocessors);
  const Tensor partial = partial_sums(f.channel_sums, ceil_div(rows, tile_shapes[tile].m));
  if (partial.defined()) args.sums = partial.device_data<double>();
  launch_correlation<true, FilterRows>(args, tile, 1, rows);
  if (partial.defined()) add_partial_sums(partial, f.channel_sums);
}

}  // namespace

void conv2d_forward_mma(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                        const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) { forward<T>(p, x, w, f, y); });
}

}  // namespace atrous::kernels::ATROUS_GPU
