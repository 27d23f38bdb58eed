// Which inputs an output averages, and which outputs include an input, along one axis.
#pragma once

#include <cstdint>

#include "kernels/common/divide.h"

namespace atrous::kernels {

struct AveragingAxis {
  struct Range {
    int64_t begin, end;  // empty if begin >= end
    ATROUS_HD int64_t size() const { return end > begin ? end - begin : 0; }
  };

  int64_t in = 0, out = 0;
  int64_t kernel = 0;  // 0: adaptive bins
  int64_t stride = 0, pad = 0;
  bool count_include_pad = false;

  // Windows of `kernel` every `stride`. The count includes padding (but nothing beyond it) if
  // `count_include_pad`.
  static AveragingAxis windows(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                               bool count_include_pad) {
    return {in, out, kernel, stride, pad, count_include_pad};
  }
  // PyTorch's adaptive bins [floor(i*in/out), ceil((i+1)*in/out)), which overlap where out does not divide
  // in.
  static AveragingAxis bins(int64_t in, int64_t out) { return {in, out}; }

  // The inputs that output i averages.
  ATROUS_HD Range inputs(int64_t i) const {
    if (kernel == 0) return bin(i, in, out);
    const int64_t start = i * stride - pad;
    return {start > 0 ? start : 0, start + kernel < in ? start + kernel : in};
  }
  // The divisor of their sum.
  ATROUS_HD int64_t count(int64_t i) const {
    if (kernel == 0 || !count_include_pad) return inputs(i).size();
    const int64_t start = i * stride - pad;
    return (start + kernel < in + pad ? start + kernel : in + pad) - start;
  }
  // The outputs that include input i.
  ATROUS_HD Range outputs(int64_t i) const {
    // Output o has input i in its bin where o*in < (i+1)*out and (o+1)*in > i*out: a bin with sides swapped.
    if (kernel == 0) return bin(i, out, in);
    const int64_t after_first = i + pad - kernel + 1, last = divide(i + pad, stride).quotient + 1;
    return {after_first > 0 ? divide(after_first + stride - 1, stride).quotient : 0, last < out ? last : out};
  }
  // No output averages more inputs than this.
  ATROUS_HD int64_t longest() const { return kernel == 0 ? (in + out - 1) / out + (in % out != 0) : kernel; }

 private:
  ATROUS_HD static Range bin(int64_t i, int64_t from, int64_t to) {
    const Division begin = divide(i * from, to), end = divide((i + 1) * from + to - 1, to);
    return {begin.quotient, end.quotient};
  }
};

}  // namespace atrous::kernels
