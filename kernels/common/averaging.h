// Averages over rectangles of pixels: what average and adaptive pooling have in common.
//
// Both are separable: output (oh, ow) is the mean over input rows [begin[oh], end[oh]) and columns
// [begin[ow], end[ow]), divided by the product of two counts. Begins and ends never decrease.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

struct AveragingAxis {
  int64_t in = 0, out = 0;
  std::vector<int64_t> begin, end;  // per output: the inputs it averages
  std::vector<int64_t> count;       // per output: what the sum is divided by
  std::vector<int64_t> first,
      last;  // per input: the outputs [first, last) that include it (empty if first >= last)

  // Windows of `kernel` every `stride`. The count includes padding (but nothing beyond it) if
  // `count_include_pad`.
  static AveragingAxis windows(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                               bool count_include_pad);
  // PyTorch's adaptive bins [floor(i*in/out), ceil((i+1)*in/out)), which overlap where out does not divide
  // in.
  static AveragingAxis bins(int64_t in, int64_t out);

 private:
  void find_outputs();
};

// f32, vectorised over channels, multi-threaded, the same bits on any number of threads. x: [N,H,W,C]; y:
// [N,OH,OW,C].
void average_forward(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& x, const Tensor& y);
void average_backward(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& dy,
                      const Tensor& dx);

}  // namespace atrous::kernels
