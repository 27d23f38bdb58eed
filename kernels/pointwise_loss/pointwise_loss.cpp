#include "kernels/pointwise_loss/pointwise_loss.h"

#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/pointwise_loss/pointwise_loss_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<PointwiseLossProblem, PointwiseLossFn> forward{
    "pointwise_loss.forward",
    {
        ATROUS_ON_GPU("blocks", f32_or_bf16, pointwise_loss_blocks),
        ATROUS_ON_GPU("naive", f32_or_bf16, pointwise_loss_naive),
        {"chunks", Device::cpu, f32_only, pointwise_loss_chunks},
        {"ref", Device::cpu, f32_or_f64, pointwise_loss_ref},
    }};

const char* name_of(PointwiseLoss kind) {
  return kind == PointwiseLoss::smooth_l1 ? "smooth_l1" : "binary_cross_entropy";
}

PointwiseLossResult evaluate(PointwiseLossProblem p, const Tensor& x, const Tensor& targets,
                             LossReduction reduction, bool want_gradient) {
  const char* op = name_of(p.kind);
  ATROUS_CHECK(x.defined() && is_floating(x.dtype()), ErrorKind::usage,
               "[{}] x must be f32, f64 or bf16. Got {}.", op, x.describe());
  ATROUS_CHECK(targets.defined() && targets.shape() == x.shape() &&
                   (targets.dtype() == DType::f32 || targets.dtype() == DType::f64),
               ErrorKind::usage, "[{}] targets must be f32 or f64 {}, like x. Got {}.", op, x.shape().str(),
               targets.describe());
  p.shape = x.shape();
  p.dtype = x.dtype();
  p.scale = reduction == LossReduction::sum || x.numel() == 0 ? 1 : 1 / static_cast<double>(x.numel());
  const DType dtype = parameter_dtype(x.dtype());
  const PointwiseLossResult out{Tensor::empty({}, dtype, x.device()),
                                want_gradient ? Tensor::empty_like(x) : Tensor()};
  if (x.numel() == 0) {
    out.loss.fill(0);
    return out;
  }
  forward(p, x, targets.to(dtype).contiguous_copy_if_needed(), writes(out));
  return out;
}

}  // namespace

std::string PointwiseLossProblem::str() const {
  return fmt::format("{}{} {} {} scale {}", name_of(kind),
                     kind == PointwiseLoss::smooth_l1 ? fmt::format("({:.3g})", beta) : "",
                     atrous::name_of(dtype), shape.str(), scale);
}

PointwiseLossResult binary_cross_entropy_with_logits(const Tensor& x, const Tensor& targets,
                                                     LossReduction reduction, bool want_gradient) {
  return evaluate({.kind = PointwiseLoss::binary_cross_entropy, .shape = {}}, x, targets, reduction,
                  want_gradient);
}

PointwiseLossResult smooth_l1(const Tensor& x, const Tensor& targets, double beta, LossReduction reduction,
                              bool want_gradient) {
  ATROUS_CHECK(std::isfinite(beta) && beta >= 0, ErrorKind::usage,
               "[smooth_l1] beta must be finite and not negative. Got {}.", beta);
  return evaluate({.kind = PointwiseLoss::smooth_l1, .shape = {}, .beta = beta}, x, targets, reduction,
                  want_gradient);
}

EntryList pointwise_loss_entries() {
  return {&forward};
}

}  // namespace atrous::kernels
