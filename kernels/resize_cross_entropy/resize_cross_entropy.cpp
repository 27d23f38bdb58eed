#include "kernels/resize_cross_entropy/resize_cross_entropy.h"

#include "kernels/common/entry.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy_impl.h"

namespace atrous::kernels {
namespace resize_cross_entropy_impl {
namespace {

template <int lanes>
constexpr auto vectors_of = [](const ResizeCrossEntropyProblem& p) {
  return p.loss.classes > lanes * 64 ? "too many classes" : f32_only(p.loss);
};

constexpr auto on_gpu = of<&ResizeCrossEntropyProblem::loss, f32_or_bf16>;

constexpr auto tile_fits = [](const ResizeCrossEntropyProblem& p) {
  return tile_of(p.loss.classes).shared_bytes > most_shared ? "too many classes for shared memory"
                                                            : on_gpu(p);
};

constexpr Entry<ResizeCrossEntropyProblem, Fn> forward{
    "resize_cross_entropy.forward",
    {
        ATROUS_ON_GPU("tiled", tile_fits, run_tiled),
        ATROUS_ON_GPU("gather", on_gpu, run_gather),
        {"avx512", Device::cpu, vectors_of<16>, run_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, vectors_of<8>, run_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, vectors_of<4>, run_portable},
        {"ref", Device::cpu, of<&ResizeCrossEntropyProblem::loss, f32_or_f64>, run_ref},
    }};

}  // namespace
}  // namespace resize_cross_entropy_impl

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
  ATROUS_CHECK(options.label_smoothing == 0, ErrorKind::usage,
               "[{}] has no label smoothing. Got {}. Resize the logits and use cross_entropy.", op,
               options.label_smoothing);
  for (int64_t size : {logits.dim(1), logits.dim(2), labels.dim(1), labels.dim(2)}) narrow<int32_t>(size, op);
  Tensor y = labels;
  const ResizeCrossEntropyProblem p{logits.dim(1), logits.dim(2), align_corners,
                                    cross_entropy_problem(op, logits, labels.shape(), options, y)};
  const CrossEntropyResult out = cross_entropy_result(p.loss, logits, want_gradient, want_pixel_losses);
  resize_cross_entropy_impl::forward(p, logits, y, writes(out));
  return out;
}

EntryList resize_cross_entropy_entries() {
  return {&resize_cross_entropy_impl::forward};
}

}  // namespace atrous::kernels
