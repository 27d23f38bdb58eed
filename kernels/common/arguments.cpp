#include "kernels/common/arguments.h"

namespace atrous::kernels {
namespace {

bool disjoint(const Tensor& a, const Tensor& b) {
  if (!a.shares_memory_with(b)) return true;
  const int64_t stride = a.pixel_stride();
  if (stride != b.pixel_stride() || a.dtype() != b.dtype()) return false;
  const int64_t distance = (b.device_raw() - a.device_raw()) / static_cast<int64_t>(size_of(a.dtype()));
  // Offset of b's channels from a's, within one pixel.
  const int64_t offset = (distance % stride + stride) % stride;
  return offset >= a.channels() && offset + b.channels() <= stride;
}

}  // namespace

void check_disjoint(const char* where, const Tensor& out, const Tensor& input) {
  ATROUS_CHECK(
      disjoint(out, input), ErrorKind::usage,
      "[{}] the output must not overlap an input. Got output {} over input {}. Give it separate memory.",
      where, out.describe(), input.describe());
}

}  // namespace atrous::kernels
