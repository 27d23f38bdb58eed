#include "kernels/concat/concat.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "kernels/common/entry.h"
#include "kernels/concat/concat_impl.h"

namespace atrous::kernels {
namespace concat {
namespace {

struct Rows {
  std::byte* data;
  int64_t stride;  // bytes between pixels
  size_t bytes;    // of one pixel's channels
};

Rows rows_of(const Tensor& t) {
  const auto size = static_cast<int64_t>(size_of(t.dtype()));
  return {t.raw(), t.pixel_stride() * size, static_cast<size_t>(t.channels() * size)};
}

// All parts of a pixel together: the wide side is written (or read) once, in order.
template <class Copy>
void for_each_part(const Tensor& whole, const std::vector<Tensor>& parts, Copy copy) {
  const Rows wide = rows_of(whole);
  std::vector<Rows> narrow;
  for (const Tensor& t : parts) narrow.push_back(rows_of(t));
  const int64_t grain =
      std::max<int64_t>(1, (1 << 17) / std::max<int64_t>(1, static_cast<int64_t>(wide.bytes)));
  parallel_for(whole.pixels(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::byte* at = wide.data + i * wide.stride;
      for (const Rows& part : narrow) {
        copy(at, part.data + i * part.stride, part.bytes);
        at += part.bytes;
      }
    }
  });
}

void forward_memcpy(const ConcatProblem&, const std::vector<Tensor>& parts, const Tensor& y) {
  for_each_part(y, parts,
                [](std::byte* wide, const std::byte* narrow, size_t n) { std::memcpy(wide, narrow, n); });
}

void backward_memcpy(const ConcatProblem&, const Tensor& dy, const std::vector<Tensor>& parts) {
  for_each_part(dy, parts,
                [](const std::byte* wide, std::byte* narrow, size_t n) { std::memcpy(narrow, wide, n); });
}

const char* needs_few_parts(const ConcatProblem& p) {
  return p.channels.size() > max_parts ? "takes at most 16 parts" : nullptr;
}

constexpr Entry<ConcatProblem, ForwardFn> forward{
    "concat.forward",
    {
        ATROUS_ON_GPU("fused", needs_few_parts, forward_fused, exact_values),
        ATROUS_ON_GPU("naive", always, forward_naive, exact_values),
        {"memcpy", Device::cpu, always, forward_memcpy, exact_values},
        {"ref", Device::cpu, always, forward_ref, exact_values},
    }};

constexpr Entry<ConcatProblem, BackwardFn> backward{
    "concat.backward",
    {
        ATROUS_ON_GPU("fused", needs_few_parts, backward_fused, exact_values),
        ATROUS_ON_GPU("naive", always, backward_naive, exact_values),
        {"memcpy", Device::cpu, always, backward_memcpy, exact_values},
        {"ref", Device::cpu, always, backward_ref, exact_values},
    }};

}  // namespace
}  // namespace concat

int64_t ConcatProblem::total_channels() const {
  int64_t total = 0;
  for (int64_t c : channels) total += c;
  return total;
}

std::string ConcatProblem::str() const {
  std::string s = fmt::format("p{} c", pixels);
  for (size_t i = 0; i < channels.size(); ++i) s += fmt::format("{}{}", i ? "+" : "", channels[i]);
  return s + " " + name_of(dtype);
}

Shape concat_shape(std::span<const Shape> parts) {
  ATROUS_CHECK(!parts.empty(), ErrorKind::usage, "[concat] at least one tensor is needed. Got none.");
  int64_t channels = 0;
  for (const Shape& s : parts) {
    ATROUS_CHECK(s.rank() >= 1 && s.rank() == parts[0].rank() && s.with(-1, 1) == parts[0].with(-1, 1),
                 ErrorKind::usage,
                 "[concat] shapes may differ in the last axis (channels) only. Got {} and {}. Crop, pad or "
                 "resize one of them first.",
                 parts[0].str(), s.str());
    channels += s[-1];
  }
  return parts[0].with(-1, channels);
}

Tensor concat_forward(const std::vector<Tensor>& parts, const Tensor& out) {
  std::vector<Shape> shapes;
  ConcatProblem p;
  for (const Tensor& t : parts) {
    ATROUS_CHECK(t.dtype() == parts[0].dtype(), ErrorKind::usage,
                 "[concat] element types must be equal. Got {} and {}. Convert one of them.",
                 parts[0].describe(), t.describe());
    shapes.push_back(t.shape());
    p.channels.push_back(t.channels());
  }
  const Shape shape = concat_shape(shapes);
  p.pixels = parts[0].pixels();
  p.dtype = parts[0].dtype();
  ATROUS_CHECK(!out.defined() || (out.shape() == shape && out.dtype() == p.dtype), ErrorKind::usage,
               "[concat] the output must be {} {}. Got {}.", name_of(p.dtype), shape.str(), out.describe());
  const Tensor y = out.defined() ? out : Tensor::empty(shape, p.dtype, parts[0].device());
  concat::forward(p, parts, writes(y));
  return y;
}

std::vector<Tensor> concat_backward(const Tensor& dy, const std::vector<int64_t>& channels) {
  const ConcatProblem p{dy.pixels(), channels, dy.dtype()};
  ATROUS_CHECK(!channels.empty() && p.total_channels() == dy.channels(), ErrorKind::usage,
               "[concat] the channel counts of the parts must add up to those of the whole. Got {} for {}.",
               p.str(), dy.describe());
  std::vector<Tensor> parts;
  for (int64_t c : channels) parts.push_back(Tensor::empty(dy.shape().with(-1, c), dy.dtype(), dy.device()));
  concat::backward(p, dy, writes(parts));
  return parts;
}

EntryList concat_entries() {
  return {&concat::forward, &concat::backward};
}

}  // namespace atrous::kernels
