#include "kernels/resize_cross_entropy/resize_cross_entropy.h"

#include "kernels/common/dispatch.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy_kernels.h"

namespace atrous::kernels {
namespace resize_cross_entropy_impl {
namespace {

template <int lanes, Isa needed>
constexpr auto vectors_of = [](const ResizeCrossEntropyProblem& p) -> const char* {
  if (p.loss.dtype != DType::f32) return "f32 only";
  if (p.loss.classes > lanes * 64) return "too many classes";
  return cpu_isa() < needed ? "needs a newer instruction set" : nullptr;
};

constexpr auto ref_dtypes = [](const ResizeCrossEntropyProblem& p) { return why_not_bf16(p.loss); };
constexpr auto gpu_dtypes = [](const ResizeCrossEntropyProblem& p) { return why_not_f64(p.loss); };
constexpr auto tile_fits = [](const ResizeCrossEntropyProblem& p) -> const char* {
  if (const char* why_not = why_not_f64(p.loss)) return why_not;
  return tile_of(p.loss.classes).shared_bytes > most_shared ? "too many classes for shared memory" : nullptr;
};

constexpr Implementation<ResizeCrossEntropyProblem, Fn> table[] = {
    ATROUS_ON_GPU("tiled", tile_fits, run_tiled),
    ATROUS_ON_GPU("gather", gpu_dtypes, run_gather),
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, run_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, run_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, run_portable},
    {"ref", Device::cpu, ref_dtypes, run_ref},
};

}  // namespace
}  // namespace resize_cross_entropy_impl

static ResizeCrossEntropyProblem on_host(const ResizeCrossEntropyProblem& problem, HostCopies& host) {
  ResizeCrossEntropyProblem p = problem;
  p.loss = on_host(p.loss, host);
  return p;
}

std::string ResizeCrossEntropyProblem::str() const {
  return fmt::format("{}x{} to {}{}", in_h, in_w, loss.str(), align_corners ? " align_corners" : "");
}

CrossEntropyResult resize_cross_entropy(const Tensor& logits, const Tensor& labels, bool align_corners,
                                        const CrossEntropyOptions& options, bool want_gradient,
                                        bool want_pixel_losses) {
  const char* op = "resize_cross_entropy";
  ATROUS_CHECK(labels.rank() == 3 && logits.rank() == 4 && labels.dim(0) == logits.dim(0), ErrorKind::usage,
               "[{}] logits [N, h, w, K] and labels [N, H, W] must have the same N. Got {} and {}.", op,
               logits.describe(), labels.describe());
  ATROUS_CHECK(logits.dim(1) > 0 && logits.dim(2) > 0, ErrorKind::usage,
               "[{}] sizes must be positive. Got logits {}.", op, logits.describe());
  for (int64_t size : {logits.dim(1), logits.dim(2), labels.dim(1), labels.dim(2)}) narrow<int32_t>(size, op);
  Tensor y = labels;
  const ResizeCrossEntropyProblem p{logits.dim(1), logits.dim(2), align_corners,
                                    cross_entropy_problem(op, logits, labels.shape(), options, y)};
  const CrossEntropyResult out = cross_entropy_result(p.loss, logits, want_gradient, want_pixel_losses);
  dispatch(op, "resize_cross_entropy.forward", resize_cross_entropy_impl::table, p,
           {out.loss, out.gradient, out.pixel_losses}, logits, y, out);
  return out;
}

std::vector<std::string> resize_cross_entropy_candidates(std::string_view entry,
                                                         const ResizeCrossEntropyProblem& problem,
                                                         Device device) {
  if (entry == "forward") return candidates(resize_cross_entropy_impl::table, problem, device);
  unknown_entry("resize_cross_entropy", entry);
}

}  // namespace atrous::kernels
