#include "kernels/common/validation.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/env.h"

namespace atrous::kernels {

Tensor HostCopies::operator()(const Tensor& t) {
  if (!t.defined()) return t;
  for (const auto& [original, copy] : copies_) {
    if (original.device_raw() == t.device_raw() && original.shape() == t.shape()) return copy;
  }
  const Tensor copy = t.to(Device::cpu);
  copies_.emplace_back(t, copy.dtype() == DType::bf16 ? copy.to(DType::f32) : copy);
  return copies_.back().second;
}

bool validation_is_on() {
  static const bool on = env::validate_against_ref();
  return on;
}

void compare_with_reference(const char* entry, const std::string& problem, const char* name,
                            const std::vector<Tensor>& chosen, const std::vector<Tensor>& reference) {
  for (size_t t = 0; t < chosen.size(); ++t) {
    if (!chosen[t].defined()) continue;
    const Tensor a = chosen[t].to(DType::f64).contiguous_copy_if_needed();
    const Tensor b = reference[t].to(DType::f64).contiguous_copy_if_needed();
    // What the dtype of the output and the arithmetic of the implementation cannot hold.
    const double allowed = chosen[t].dtype() == DType::bf16                                ? 0x1p-7
                           : std::string_view(name).find("tf32") != std::string_view::npos ? 0x1p-8
                                                                                           : 1e-4;
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < a.numel(); ++i) {
      const double x = a.data<double>()[i], y = b.data<double>()[i];
      if (std::isfinite(y)) scale = std::max(scale, std::abs(y));
      if (x != y && !(std::isnan(x) && std::isnan(y)))
        worst = std::max(worst, std::isfinite(x - y) ? std::abs(x - y) : INFINITY);
    }
    ATROUS_CHECK(worst <= allowed * scale, ErrorKind::internal,
                 "[{}] {} differs from the reference by {:.3g} (largest value {:.3g}) in output {}. Got {}. "
                 "Report this.",
                 entry, name, worst, scale, t, problem);
  }
}

}  // namespace atrous::kernels
