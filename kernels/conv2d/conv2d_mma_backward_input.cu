// dx[n,h,w,c] = bias[c] + sum over r,s,k of dy[n,p,q,k] * w[k,r,s,c] on tensor cores, where h = p*stride_h +
// r*dilation_h - pad_h and likewise for w; also transposed convolution.
//
// dy is N,P,Q,K and gathered like the input of forward. w is K,R,S,C: here its dense axis is not the
// reduction, so ldmatrix transposes on the way to the registers.
//
//   mma_bf16, mma_tf32   as forward; with strides, the pixels of dx that share their taps (one of stride_h *
//                        stride_w phases) form a separate matrix product, and all phases run in one
//                        launch. A phase without taps, as three of four under a 1x1 filter of stride 2,
//                        writes the bias.
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/conv2d_mma_correlation.cuh"

namespace atrous::kernels::ATROUS_GPU {
namespace {

template <class T>
void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx) {
  constexpr int width = vector_width<T>;
  const CorrelationArguments<T> args{.geometry = Conv2dGeometry(p),
                                     .gradient = true,
                                     .by_channels = Divider(p.k),
                                     .columns = static_cast<int>(p.c),
                                     .source = pixels_of<const T>(dy),
                                     .filter = pixels_of<const T>(w),
                                     .result = pixels_of<T>(dx),
                                     .source_vectorised = vectorises(dy, width),
                                     .filter_vectorised = vectorises(w, width),
                                     .result_vectorised = vectorises(dx, width),
                                     .bias = optional_data(bias)};
  const int phases = args.geometry.phases();
  const int64_t rows = args.geometry.gradient(0).rows();
  const int tile = choose_tile(largest_tile(transfer_of(args)), phases, rows, p.c,
                               device_properties(dx.device()).multiprocessors);
  launch_correlation<false, FilterColumns>(args, tile, phases, rows);
}

}  // namespace

void conv2d_backward_input_mma(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                               const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) { backward_input<T>(p, dy, w, bias, dx); });
}

}  // namespace atrous::kernels::ATROUS_GPU
