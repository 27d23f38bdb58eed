#include "kernels/topk/topk.h"

#include <fmt/ranges.h>

#include "kernels/common/entry.h"
#include "kernels/topk/topk_impl.h"

namespace atrous::kernels {
namespace {

constexpr auto few = [](const TopKProblem& p) -> const char* {
  for (size_t s = 0; s < p.segments.size(); ++s) {
    if (p.count(s) > most_selected) return "at most 2048 of a segment";
  }
  return nullptr;
};

constexpr Entry<TopKProblem, TopKFn> largest{
    "topk.largest",
    {
        ATROUS_ON_GPU("select", few, topk_select, exact_values),
        ATROUS_ON_GPU("sort", always, topk_sort, exact_values),
        {"segments", Device::cpu, always, topk_segments, exact_values},
        {"ref", Device::cpu, always, topk_ref, exact_values},
    }};

}  // namespace

int64_t TopKProblem::total() const {
  int64_t sum = 0;
  for (size_t s = 0; s < segments.size(); ++s) sum += count(s);
  return sum;
}

std::string TopKProblem::str() const {
  return fmt::format("{}x{} top {}", rows, segments, k);
}

TopKResult topk(const Tensor& values, const std::vector<int64_t>& segments, int64_t k) {
  ATROUS_CHECK(values.defined() && values.rank() == 2 && values.dtype() == DType::f32, ErrorKind::usage,
               "[topk] values must be f32 [rows, A]. Got {}.", values.describe());
  int64_t sum = 0;
  bool negative = k < 0;
  for (int64_t length : segments) {
    sum += length;
    negative = negative || length < 0;
  }
  ATROUS_CHECK(!negative && sum == values.dim(1), ErrorKind::usage,
               "[topk] k and the lengths of segments must not be negative, and the lengths must add up to a "
               "row. Got the top {} of {} for {}.",
               k, segments, values.describe());
  narrow<int32_t>(values.dim(1), "topk");
  const TopKProblem p{values.dim(0), segments, k};
  const Shape shape{p.rows, p.total()};
  TopKResult out{Tensor::empty(shape, DType::f32, values.device()),
                 Tensor::empty(shape, DType::i32, values.device()),
                 {}};
  for (size_t s = 0; s < segments.size(); ++s) out.counts.push_back(p.count(s));
  if (out.values.numel() > 0) largest(p, values.contiguous_copy_if_needed(), writes(out));
  return out;
}

EntryList topk_entries() {
  return {&largest};
}

}  // namespace atrous::kernels
