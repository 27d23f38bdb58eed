// Which positions of its inputs an op reads for a position of its output, along rows and along columns: from
// these the receptive field is computed.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>

namespace atrous {

// Input positions first, first + step, ...; those outside the input are padding.
struct Taps {
  int64_t first = 0, count = 1, step = 1;
};

struct Reach {
  using Axis = std::function<Taps(int64_t out)>;
  enum class Kind : unsigned char {
    same,   // the same position (or the only one of an input without an extent)
    whole,  // every position of every input
    axes    // what `rows` and `cols` say
  };
  Kind kind = Kind::same;
  Axis rows = {}, cols = {};

  static Reach whole() { return {Kind::whole, {}, {}}; }
  static Reach axes(Axis rows, Axis cols) { return {Kind::axes, std::move(rows), std::move(cols)}; }
};

// Convolution and pooling: output o reads o*stride - pad + t*dilation for t in [0, taps).
inline Reach::Axis window_taps(int64_t taps, int64_t stride, int64_t pad, int64_t dilation) {
  return [=](int64_t o) { return Taps{o * stride - pad, taps, dilation}; };
}

// Their transposes: output o reads the i with i*stride - pad + t*dilation = o for a t in [0, taps).
inline Reach::Axis transposed_taps(int64_t taps, int64_t stride, int64_t pad, int64_t dilation) {
  return [=](int64_t o) {
    const int64_t common = std::gcd(stride, dilation), tap_step = stride / common;
    for (int64_t t = 0; t < std::min(taps, tap_step); ++t) {
      const int64_t scaled = o + pad - t * dilation;
      if (scaled % stride != 0) continue;
      return Taps{scaled / stride, (taps - 1 - t) / tap_step + 1, -(dilation / common)};
    }
    return Taps{0, 0, 1};
  };
}

}  // namespace atrous
