#include "tests/kernels/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/sim/sim.h"

namespace atrous::cases {
namespace {

// "" or which unwritten memory an element comes from: the simulator fills both with NaNs that survive
// arithmetic and rounding to bf16.
std::string origin_of(const Tensor& contiguous, int64_t i) {
  uint32_t bits = 0;
  const size_t size = size_of(contiguous.dtype());
  if (size > sizeof(bits)) return "";
  std::memcpy(&bits, contiguous.raw() + i * static_cast<int64_t>(size), size);
  if (size == 2) bits |= bits << 16;
  bits &= ~0x00400040u;  // set by arithmetic
  const uint32_t upper = bits >> 16;
  if (upper == simulator::shared_poison >> 16) return "; this is unwritten shared memory";
  if (upper == 0xFFA1) return "; this is unwritten global memory";
  return "";
}

// `got` is contiguous.
std::string compare_values(const Tensor& got, const Tensor& want, double allowed) {
  // Exact means: the reference, rounded once.
  const Tensor rounded = allowed == 0 ? want.to(got.dtype()) : want;
  const Tensor a = got.to(DType::f64);
  const Tensor b = rounded.to(DType::f64).contiguous_copy_if_needed();
  double scale = 0;
  for (int64_t i = 0; i < b.numel(); ++i) {
    if (std::isfinite(b.data<double>()[i])) scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    const bool same = x == y || (std::isnan(x) && std::isnan(y));
    if (!same && !(std::abs(x - y) <= allowed * scale)) {
      return fmt::format("element {} of {}: got {:.9g}, wanted {:.9g} (allowed {:.2e} of {:.3g}){}", i,
                         a.shape().str(), x, y, allowed, scale, origin_of(got, i));
    }
  }
  return "";
}

}  // namespace

double tolerance(DType output, int64_t accumulation, const kernels::ImplementationInfo& implementation) {
  using kernels::Accuracy;
  if (!is_floating(output)) return 0;
  if (implementation.accuracy == Accuracy::exact) return 0;
  double allowed = 1.2e-7 * (6.0 + 2.0 * std::sqrt(static_cast<double>(accumulation)));
  if (implementation.accuracy == Accuracy::winograd) allowed *= 2;
  if (implementation.accuracy == Accuracy::tf32) allowed += 0x1p-9;  // both factors of a product keep 10 bits
  if (output == DType::bf16) allowed += 0x1p-8;
  // Outputs wider than bf16 show the rounding of a prologue, too.
  if (output == DType::f64 && implementation.rounds_prologue) allowed += 0x1p-9;
  return allowed;
}

std::string compare(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                    const Allowed& relative) {
  if (got.size() != want.size() || got.empty())
    return fmt::format("{} outputs, wanted {}", got.size(), want.size());
  for (size_t t = 0; t < got.size(); ++t) {
    if (got[t].defined() != want[t].defined()) return fmt::format("output {} is missing", t);
    if (!got[t].defined()) continue;
    if (got[t].shape() != want[t].shape()) {
      return fmt::format("output {} has shape {}, wanted {}", t, got[t].shape().str(), want[t].shape().str());
    }
    const std::string problem =
        compare_values(got[t].to(Device::cpu).contiguous_copy_if_needed(), want[t], relative(got[t].dtype()));
    if (!problem.empty()) return fmt::format("output {} {}", t, problem);
  }
  return "";
}

std::string compare_schedules(const std::vector<Tensor>& first, const std::vector<Tensor>& second) {
  for (size_t t = 0; t < first.size(); ++t) {
    if (first[t].defined() && std::memcmp(first[t].raw(), second[t].raw(), first[t].bytes()) != 0) {
      return fmt::format("output {} has other bits under another schedule", t);
    }
  }
  return "";
}

}  // namespace atrous::cases
