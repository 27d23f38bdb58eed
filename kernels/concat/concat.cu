// Concatenation along channels on a GPU, and its inverse: y[p, o_i + c] = x_i[p, c].
//
// A copy has no arithmetic, so a kernel sees units of bytes: elements, or 16 bytes where every part starts
// and ends at a multiple of them. A thread owns one unit of one pixel of the whole.
//
//   naive   one launch per part, one element per thread
//   fused   one launch for all parts, so that the whole is read or written in order; units of 16 bytes
//           where possible
#include "kernels/common/channel_groups.h"
#include "kernels/concat/concat_impl.h"

namespace atrous::kernels::concat::ATROUS_GPU {
namespace {

// All in units. A part is a slice [begin, begin of the next) of each pixel of the whole.
struct Part {
  void* data;
  int64_t stride, begin;
};
struct Parts {
  int count;
  int64_t pixels, units;  // units: of one pixel
  void* whole;
  int64_t stride;
  Part part[max_parts];
};

// Split: whole to parts, else parts to whole.
template <class Unit, bool Split>
__global__ __launch_bounds__(group_threads) void copy_parts(Parts p) {
  const Division at = divide(int64_t{blockIdx.x} * group_threads + threadIdx.x, p.units);
  const int64_t pixel = at.quotient, unit = at.remainder;
  if (pixel >= p.pixels) return;
  int i = 0;
  while (i + 1 < p.count && unit >= p.part[i + 1].begin) ++i;
  Unit* narrow = static_cast<Unit*>(p.part[i].data) + pixel * p.part[i].stride + (unit - p.part[i].begin);
  Unit* wide = static_cast<Unit*>(p.whole) + pixel * p.stride + unit;
  if constexpr (Split) {
    *narrow = *wide;
  } else {
    *wide = *narrow;
  }
}

// Elements per unit is `v`.
template <bool Split>
void copy(const Tensor& whole, const std::vector<Tensor>& parts, int64_t v) {
  Parts p{0, whole.pixels(), whole.channels() / v, whole.device_raw(), whole.pixel_stride() / v, {}};
  int64_t begin = 0;
  for (const Tensor& t : parts) {
    p.part[p.count++] = {t.device_raw(), t.pixel_stride() / v, begin};
    begin += t.channels() / v;
  }
  const LaunchShape shape = group_launch(p.pixels, p.units, 1);
  switch (size_of(whole.dtype()) * static_cast<size_t>(v)) {
    case 1: return launch<copy_parts<uint8_t, Split>>(shape, p);
    case 2: return launch<copy_parts<uint16_t, Split>>(shape, p);
    case 4: return launch<copy_parts<uint32_t, Split>>(shape, p);
    case 8: return launch<copy_parts<uint64_t, Split>>(shape, p);
    default: return launch<copy_parts<Vec<uint32_t, 4>, Split>>(shape, p);
  }
}

template <bool Split>
void copy_one_by_one(const Tensor& whole, const std::vector<Tensor>& parts) {
  int64_t begin = 0;
  for (const Tensor& t : parts) {
    copy<Split>(whole.narrow_channels(begin, t.channels()), {t}, 1);
    begin += t.channels();
  }
}

template <bool Split>
void copy_together(const Tensor& whole, const std::vector<Tensor>& parts) {
  const auto widest = static_cast<int64_t>(16 / size_of(whole.dtype()));
  bool fits = vectorises(whole, widest);
  for (const Tensor& t : parts) fits = fits && vectorises(t, widest);
  copy<Split>(whole, parts, fits ? widest : 1);
}

}  // namespace

void forward_naive(const ConcatProblem&, const std::vector<Tensor>& parts, const Tensor& y) {
  copy_one_by_one<false>(y, parts);
}
void forward_fused(const ConcatProblem&, const std::vector<Tensor>& parts, const Tensor& y) {
  copy_together<false>(y, parts);
}
void backward_naive(const ConcatProblem&, const Tensor& dy, const std::vector<Tensor>& parts) {
  copy_one_by_one<true>(dy, parts);
}
void backward_fused(const ConcatProblem&, const Tensor& dy, const std::vector<Tensor>& parts) {
  copy_together<true>(dy, parts);
}

}  // namespace atrous::kernels::concat::ATROUS_GPU
