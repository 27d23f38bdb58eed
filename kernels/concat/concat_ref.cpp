#include "kernels/concat/concat_impl.h"

namespace atrous::kernels::concat {
namespace {

// One byte at a time: a copy has no arithmetic, so element types need not be distinguished.
void copy_pixels(const Tensor& from, const Tensor& to) {
  const auto size = static_cast<int64_t>(size_of(from.dtype()));
  for (int64_t i = 0; i < from.pixels(); ++i) {
    for (int64_t b = 0; b < from.channels() * size; ++b) {
      to.raw()[i * to.pixel_stride() * size + b] = from.raw()[i * from.pixel_stride() * size + b];
    }
  }
}

}  // namespace

void forward_ref(const ConcatProblem& p, const std::vector<Tensor>& parts, const Tensor& y) {
  int64_t offset = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    copy_pixels(parts[i], y.narrow_channels(offset, p.channels[i]));
    offset += p.channels[i];
  }
}

void backward_ref(const ConcatProblem& p, const Tensor& dy, const std::vector<Tensor>& parts) {
  int64_t offset = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    copy_pixels(dy.narrow_channels(offset, p.channels[i]), parts[i]);
    offset += p.channels[i];
  }
}

}  // namespace atrous::kernels::concat
