#include "kernels/cross_entropy/cross_entropy.h"

#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/cross_entropy/cross_entropy_impl.h"
#include "kernels/labels/labels.h"
#include "kernels/loss_scale/loss_scale.h"

namespace atrous::kernels {
namespace cross_entropy_impl {
namespace {

template <int lanes>
constexpr auto vectors_of = [](const CrossEntropyProblem& p) {
  return p.classes > lanes * most_vectors ? "too many classes" : f32_only(p);
};

template <int64_t most>
constexpr auto up_to = [](const CrossEntropyProblem& p) {
  return p.classes > most ? "too many classes" : p.label_smoothing != 0 ? "label smoothing" : f32_or_bf16(p);
};

constexpr Entry<CrossEntropyProblem, Fn> forward{
    "cross_entropy.forward",
    {
        ATROUS_ON_GPU("staged", up_to<most_staged>, run_staged),
        ATROUS_ON_GPU("registers", up_to<most_in_registers>, run_registers),
        ATROUS_ON_GPU("warp", f32_or_bf16, run_warp),
        ATROUS_ON_GPU("naive", f32_or_bf16, run_naive),
        {"avx512", Device::cpu, vectors_of<16>, run_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, vectors_of<8>, run_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, vectors_of<4>, run_portable},
        {"ref", Device::cpu, f32_or_f64, run_ref},
    }};

}  // namespace
}  // namespace cross_entropy_impl

std::string CrossEntropyProblem::str() const {
  std::string s = fmt::format("n{} {}x{} k{} {}", n, h, w, classes, name_of(dtype));
  if (class_weights.defined()) s += " class_weights";
  if (pixel_weights.defined()) s += " pixel_weights";
  if (gamma != 0) s += fmt::format(" gamma {}", gamma);
  if (label_smoothing != 0) s += fmt::format(" label_smoothing {}", label_smoothing);
  return s + (reduction == LossReduction::sum ? " sum" : "");
}

CrossEntropyProblem cross_entropy_problem(const char* op, const Tensor& logits, const Shape& pixels,
                                          const CrossEntropyOptions& options, Tensor& labels) {
  ATROUS_CHECK(logits.rank() == 4 && logits.channels() > 0 && is_floating(logits.dtype()), ErrorKind::usage,
               "[{}] logits must be f32, f64 or bf16 of shape [N, H, W, K]. Got {}.", op, logits.describe());
  ATROUS_CHECK(std::isfinite(options.gamma) && options.gamma >= 0, ErrorKind::usage,
               "[{}] gamma must be finite and not negative. Got {}.", op, options.gamma);
  ATROUS_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1 &&
                   (options.label_smoothing == 0 || options.gamma == 0),
               ErrorKind::usage,
               "[{}] label_smoothing must be in [0, 1], and 0 with a focal loss. Got {} and gamma {}.", op,
               options.label_smoothing, options.gamma);
  const Tensor& weights = options.class_weights;
  check_same_device(op, {logits, labels, options.pixel_weights,
                         weights.defined() && weights.device() != Device::cpu ? weights : Tensor()});
  CrossEntropyProblem p{
      .n = pixels[0], .h = pixels[1], .w = pixels[2], .classes = logits.channels(), .dtype = logits.dtype()};
  p.ignore_index = narrow<int32_t>(options.ignore_index, op);
  narrow<int32_t>(p.classes, op);
  p.reduction = options.reduction;
  p.gamma = options.gamma;
  if (p.classes > 1) p.label_smoothing = options.label_smoothing;  // of one class the loss is 0 in any case
  p.class_weights = checked_class_weights(op, weights, p.classes, logits.device());
  p.pixel_weights = checked_pixel_weights(op, options.pixel_weights, pixels, logits.device());
  labels = checked_labels(op, labels, pixels, p.classes, p.ignore_index);
  p.scale = loss_scale(
      {p.reduction == LossReduction::mean, p.classes, p.ignore_index, p.class_weights, p.pixel_weights},
      labels);
  return p;
}

CrossEntropyResult cross_entropy_result(const CrossEntropyProblem& problem, const Tensor& logits,
                                        bool want_gradient, bool want_pixel_losses) {
  const DType dtype = parameter_dtype(problem.dtype);
  CrossEntropyResult out{
      .loss = Tensor::empty({}, dtype, logits.device()), .gradient = {}, .pixel_losses = {}};
  if (want_gradient) out.gradient = Tensor::empty_like(logits);
  if (want_pixel_losses)
    out.pixel_losses = Tensor::empty({problem.n, problem.h, problem.w}, dtype, logits.device());
  return out;
}

CrossEntropyProblem on_host(const CrossEntropyProblem& problem, Device device) {
  CrossEntropyProblem p = problem;
  if (device != Device::cpu && p.dtype == DType::bf16) p.dtype = DType::f32;
  for (Tensor* t : {&p.scale, &p.class_weights, &p.pixel_weights}) {
    if (t->defined()) *t = t->to(Device::cpu).to(DType::f64);
  }
  return p;
}

CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& labels,
                                 const CrossEntropyOptions& options, bool want_gradient,
                                 bool want_pixel_losses) {
  const Shape pixels =
      logits.rank() == 4 ? Shape{logits.dim(0), logits.dim(1), logits.dim(2)} : Shape{0, 0, 0};
  Tensor y = labels;
  const CrossEntropyProblem p = cross_entropy_problem("cross_entropy", logits, pixels, options, y);
  const CrossEntropyResult out = cross_entropy_result(p, logits, want_gradient, want_pixel_losses);
  cross_entropy_impl::forward(p, logits, y, writes(out));
  return out;
}

EntryList cross_entropy_entries() {
  return {&cross_entropy_impl::forward};
}

}  // namespace atrous::kernels
