#include "kernels/dropout/dropout.h"

#include "kernels/common/entry.h"
#include "kernels/dropout/dropout_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<DropoutProblem, DropoutFn> forward{
    "dropout.forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, dropout_vectorised),
        ATROUS_ON_GPU("scalar", f32_or_bf16, dropout_scalar),
        {"cpu", Device::cpu, f32_only, dropout_cpu},
        {"ref", Device::cpu, f32_or_f64, dropout_ref},
    }};

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
  if (x.numel() == 0) return;
  forward(DropoutProblem{x.shape(), x.dtype(), p, by_channel, key}, x, writes(y));
}

EntryList dropout_entries() {
  return {&forward};
}

}  // namespace atrous::kernels
