// The two factors of conv2d_mma_correlation.cuh: the gathered image and the filter.
//
// Rows of the image's matrix are pixels: each thread keeps the position of its rows in the source and one bit
// per tap that says whether it falls into the image, so that a step costs one bit test and one addition per
// chunk.
#pragma once

#include "kernels/conv2d/conv2d_mma.cuh"
#include "kernels/conv2d/gather.h"

namespace atrous::kernels::ATROUS_GPU {

template <class T>
struct CorrelationArguments {
  Conv2dGeometry geometry;
  bool gradient;  // of the input; else forward
  Divider by_channels;
  int columns;  // of the product: channels of the result
  Pixels<const T> source, filter;
  Pixels<T> result;
  bool source_vectorised, filter_vectorised, result_vectorised;
  const float* bias = nullptr;  // [columns]
  Prologue prologue{};
  Pixels<const T> residual{};
  bool relu = false;
  double* sums = nullptr;     // [row of tiles][2][columns]
  int64_t filter_stride = 0;  // from one output channel of the convolution to the next
  int tiles_n = 0, tiles_per_phase = 0;
};

// Values that all threads look up per tap: pixels to move in the source, elements in the filter.
struct TapTable {
  int source[most_masked_taps];
  int64_t filter[most_masked_taps];
};

// The position of a flat index of the reduction.
struct Term {
  int tap, channel;
  __device__ Term(const Divider& by_channels, int index)
      : tap(by_channels.quotient(index)), channel(by_channels.remainder(index, tap)) {}
};

// Matrix A: pixel rows of taps * channels.
template <class T, int Extent>
struct GatheredPixels {
  using Layout = ReductionDense<T, Extent>;
  const T* data;
  const CorrelationArguments<T>& args;
  const TapTable& taps;
  const Prologue& prologue;
  int reduction;
  bool vectorised, has_prologue;
  int pixel[Layout::chunks];  // under the first tap
  uint64_t mask[Layout::chunks];

  __device__ GatheredPixels(const CorrelationArguments<T>& a, const TapTable& t, const Correlation& g,
                            int first_row)
      : data(a.source.data),
        args(a),
        taps(t),
        prologue(a.prologue),
        reduction(g.taps() * g.channels),
        vectorised(a.source_vectorised),
        has_prologue(a.prologue.scale || a.prologue.relu) {
    ATROUS_UNROLL
    for (int i = 0; i < Layout::chunks; ++i) {
      const GatherRow from = gather_row(g, first_row + Layout::row(i));
      pixel[i] = static_cast<int>(from.pixel);
      mask[i] = 0;
      uint64_t bit = 1;
      for (Tap tap; tap.h < g.h.taps; ++tap.h) {
        for (tap.w = 0; tap.w < g.w.taps; ++tap.w, bit <<= 1) {
          if (covers(g, from, tap)) mask[i] |= bit;
        }
      }
    }
  }
  __device__ int index(int step, int e) const {
    return step * step_elements<T> + Layout::chunk() * vector_width<T> + e;
  }
  __device__ const T* at(int i, int step, int e) const {
    const int k = index(step, e);
    const Term term(args.by_channels, k);
    if (k >= reduction || !(mask[i] >> term.tap & 1)) return nullptr;
    return args.source.at(pixel[i] + taps.source[term.tap]) + term.channel;
  }
  __device__ int channel(int step, int e) const { return Term(args.by_channels, index(step, e)).channel; }
};

// Matrix B: the filter.
template <class T>
struct FilterOperand {
  const T* data;
  const CorrelationArguments<T>& args;
  const TapTable& taps;
  int reduction, first_column;
  bool vectorised;

  __device__ FilterOperand(const CorrelationArguments<T>& a, const TapTable& t, int terms, int first)
      : data(a.filter.data),
        args(a),
        taps(t),
        reduction(terms),
        first_column(first),
        vectorised(a.filter_vectorised) {}
  // For channels of the convolution: `out` of y, `in` of x.
  __device__ const T* element(int tap, int out, int in) const {
    return data + out * args.filter_stride + taps.filter[tap] + in;
  }
};

// In forward as it lies, one row of taps * channels per output channel.
template <class T, int Extent>
struct FilterRows : FilterOperand<T> {
  using Layout = ReductionDense<T, Extent>;
  using FilterOperand<T>::FilterOperand;
  __device__ const T* at(int i, int step, int e) const {
    const int k = step * step_elements<T> + Layout::chunk() * vector_width<T> + e;
    const int column = this->first_column + Layout::row(i);
    if (k >= this->reduction || column >= this->args.columns) return nullptr;
    const Term term(this->args.by_channels, k);
    return this->element(term.tap, column, term.channel);
  }
};

// In backward_input: input channels are dense, and the reduction runs over taps and output channels.
template <class T, int Extent>
struct FilterColumns : FilterOperand<T> {
  using Layout = ExtentDense<T, Extent>;
  using FilterOperand<T>::FilterOperand;
  __device__ const T* at(int i, int step, int e) const {
    const int k = step * step_elements<T> + Layout::row(i);
    const int column = this->first_column + Layout::chunk() * vector_width<T> + e;
    if (k >= this->reduction || column >= this->args.columns) return nullptr;
    const Term term(this->args.by_channels, k);
    return this->element(term.tap, term.channel, column);
  }
};

}  // namespace atrous::kernels::ATROUS_GPU
