// Dropout (Srivastava et al., "Dropout", 2014), in the inverted form: y = x / (1 - p) where kept, else 0.
//
// Element i (counted in the dense order of the shape, whatever the strides) is kept if number i of the stream
// `key` is at least p. By channel (Tompson et al., "Efficient object localization using convolutional
// networks", 2015, section 3.2), number n * C + c decides for the whole map of image n and channel c. The
// mask is a pure function of key and shape: nothing is stored, backward calls the same function on dy, and
// the result is bit-identical on any number of threads.
#pragma once

#include <string>

#include "core/random.h"
#include "core/tensor.h"

namespace atrous::kernels {

struct DropoutProblem {
  Shape shape;
  DType dtype = DType::f32;
  double p = 0.5;
  bool by_channel = false;
  RandomKey key = {};
  std::string str() const;  // "f32 [2, 8, 8, 16] p 0.5 by channel"
};

// y = mask(key) * x / (1 - p), 0 <= p < 1. y may be x.
void dropout(const Tensor& x, double p, bool by_channel, RandomKey key, const Tensor& y);

}  // namespace atrous::kernels
