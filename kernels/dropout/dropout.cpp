#include "kernels/dropout/dropout.h"

#include "kernels/common/dispatch.h"
#include "kernels/dropout/dropout_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const DropoutProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<DropoutProblem, DropoutFn> table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, dropout_vectorised),
    ATROUS_ON_GPU("scalar", why_not_f64, dropout_scalar),
    {"cpu", Device::cpu, only_f32, dropout_cpu},
    {"ref", Device::cpu, why_not_bf16, dropout_ref},
};

}  // namespace

std::string DropoutProblem::str() const {
  return fmt::format("{} {} p {}{}", name_of(dtype), shape.str(), p, by_channel ? " by channel" : "");
}

void dropout(const Tensor& x, double p, bool by_channel, RandomKey key, const Tensor& y) {
  ATROUS_CHECK(p >= 0 && p < 1, ErrorKind::usage, "[dropout] the probability must be in [0, 1). Got {}.", p);
  ATROUS_CHECK(x.defined() && is_floating(x.dtype()), ErrorKind::usage,
               "[dropout] the input must be f32, f64 or bf16. Got {}.", x.describe());
  ATROUS_CHECK(!by_channel || x.rank() >= 2, ErrorKind::usage,
               "[dropout] dropping by channel needs [N, ..., C]. Got {}.", x.describe());
  ATROUS_CHECK(y.shape() == x.shape() && y.dtype() == x.dtype(), ErrorKind::usage,
               "[dropout] the output must have the shape and dtype of the input. Got {} for {}.",
               y.describe(), x.describe());
  check_same_device("dropout", {x, y});
  if (x.numel() == 0) return;
  const Tensor source = validation_is_on() && y.shares_memory_with(x) ? x.clone() : x;
  dispatch("dropout", "dropout.forward", table, DropoutProblem{x.shape(), x.dtype(), p, by_channel, key}, {y},
           source, y);
  y.bump_version();
}

std::vector<std::string> dropout_candidates(std::string_view entry, const DropoutProblem& problem,
                                            Device device) {
  if (entry == "forward") return candidates(table, problem, device);
  unknown_entry("dropout", entry);
}

}  // namespace atrous::kernels
