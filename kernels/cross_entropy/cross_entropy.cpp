#include "kernels/cross_entropy/cross_entropy.h"

#include <cmath>

#include "kernels/common/dispatch.h"
#include "kernels/cross_entropy/cross_entropy_kernels.h"
#include "kernels/cross_entropy/labels.h"

namespace atrous::kernels {
namespace cross_entropy_impl {
namespace {

template <int lanes, Isa needed>
constexpr auto vectors_of = [](const CrossEntropyProblem& p) -> const char* {
  if (p.dtype != DType::f32) return "f32 only";
  if (p.classes > lanes * most_vectors) return "too many classes";
  return cpu_isa() < needed ? "needs a newer instruction set" : nullptr;
};

template <int64_t most>
constexpr auto up_to = [](const CrossEntropyProblem& p) -> const
    char* { return p.classes > most ? "too many classes" : why_not_f64(p); };

constexpr Implementation<CrossEntropyProblem, Fn> table[] = {
    ATROUS_ON_GPU("staged", up_to<most_staged>, run_staged),
    ATROUS_ON_GPU("registers", up_to<most_in_registers>, run_registers),
    ATROUS_ON_GPU("warp", why_not_f64, run_warp),
    ATROUS_ON_GPU("naive", why_not_f64, run_naive),
    {"avx512", Device::cpu, vectors_of<16, Isa::avx512>, run_avx512},
    {"avx2", Device::cpu, vectors_of<8, Isa::avx2>, run_avx2},
    {"portable", Device::cpu, vectors_of<4, Isa::generic>, run_portable},
    {"ref", Device::cpu, why_not_bf16, run_ref},
};

}  // namespace
}  // namespace cross_entropy_impl

std::string CrossEntropyProblem::str() const {
  std::string s = fmt::format("n{} {}x{} k{} {}", n, h, w, classes, name_of(dtype));
  if (class_weights.defined()) s += " class_weights";
  if (pixel_weights.defined()) s += " pixel_weights";
  if (gamma != 0) s += fmt::format(" gamma {}", gamma);
  return s + (reduction == LossReduction::sum ? " sum" : "");
}

CrossEntropyProblem cross_entropy_problem(const char* op, const Tensor& logits, const Shape& pixels,
                                          const CrossEntropyOptions& options, Tensor& labels) {
  ATROUS_CHECK(logits.rank() == 4 && logits.channels() > 0 && is_floating(logits.dtype()), ErrorKind::usage,
               "[{}] logits must be f32, f64 or bf16 of shape [N, H, W, K]. Got {}.", op, logits.describe());
  ATROUS_CHECK(std::isfinite(options.gamma) && options.gamma >= 0, ErrorKind::usage,
               "[{}] gamma must be finite and not negative. Got {}.", op, options.gamma);
  const Tensor& weights = options.class_weights;
  check_same_device(op, {logits, labels, options.pixel_weights,
                         weights.defined() && weights.device() != Device::cpu ? weights : Tensor()});
  CrossEntropyProblem p{
      .n = pixels[0], .h = pixels[1], .w = pixels[2], .classes = logits.channels(), .dtype = logits.dtype()};
  p.ignore_index = narrow<int32_t>(options.ignore_index, op);
  narrow<int32_t>(p.classes, op);
  p.reduction = options.reduction;
  p.gamma = options.gamma;
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

CrossEntropyProblem on_host(const CrossEntropyProblem& problem, HostCopies& host) {
  CrossEntropyProblem p = problem;
  p.scale = host(p.scale);
  for (Tensor* weights : {&p.class_weights, &p.pixel_weights}) {
    if (weights->defined()) *weights = host(*weights).to(DType::f64);
  }
  return p;
}

CrossEntropyResult on_host(const CrossEntropyResult& result, HostCopies& host) {
  return {.loss = host(result.loss),
          .gradient = host(result.gradient),
          .pixel_losses = host(result.pixel_losses)};
}

CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& labels,
                                 const CrossEntropyOptions& options, bool want_gradient,
                                 bool want_pixel_losses) {
  const Shape pixels =
      logits.rank() == 4 ? Shape{logits.dim(0), logits.dim(1), logits.dim(2)} : Shape{0, 0, 0};
  Tensor y = labels;
  const CrossEntropyProblem p = cross_entropy_problem("cross_entropy", logits, pixels, options, y);
  const CrossEntropyResult out = cross_entropy_result(p, logits, want_gradient, want_pixel_losses);
  dispatch("cross_entropy", "cross_entropy.forward", cross_entropy_impl::table, p,
           {out.loss, out.gradient, out.pixel_losses}, logits, y, out);
  return out;
}

std::vector<std::string> cross_entropy_candidates(std::string_view entry, const CrossEntropyProblem& problem,
                                                  Device device) {
  if (entry == "forward") return candidates(cross_entropy_impl::table, problem, device);
  unknown_entry("cross_entropy", entry);
}

}  // namespace atrous::kernels
