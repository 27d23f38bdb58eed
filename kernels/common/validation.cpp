#include "kernels/common/validation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <string_view>

#include "core/env.h"
#include "core/terminal.h"
#include "kernels/common/bf16_products.h"

namespace atrous::kernels {
namespace {

// Tells at the end of the process what was compared: silence would look the same if nothing was.
class Summary {
 public:
  ~Summary() {
    std::string text = "ATROUS_VALIDATE=ref: no op ran that was not the reference itself\n";
    if (calls_ > 0) {
      text = fmt::format("ATROUS_VALIDATE=ref: {} calls of ops, {} values, agree with the reference", calls_,
                         values_);
      text += worst_ > 0
                  ? fmt::format("; largest difference {:.1e} of the largest value, in {}\n", worst_, where_)
                  : " bit for bit\n";
    }
    write_text(stderr, text);
  }
  void add(int64_t values, double difference, const char* entry, const char* name) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    values_ += values;
    if (difference <= worst_) return;
    worst_ = difference;
    where_ = fmt::format("{} ({})", entry, name);
  }

 private:
  std::mutex mutex_;
  int64_t calls_ = 0, values_ = 0;
  double worst_ = 0;
  std::string where_;
};

Summary& summary() {
  static Summary instance;
  return instance;
}

}  // namespace

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
  static const bool on = [] {
    const bool wanted = env::validate_against_ref();
    if (wanted) summary();  // which is then told even if nothing will be compared
    return wanted;
  }();
  return on;
}

void compare_with_reference(const char* entry, const std::string& problem, const char* name,
                            const std::vector<Tensor>& chosen, const std::vector<Tensor>& reference) {
  int64_t values = 0;
  double largest = 0;
  for (size_t t = 0; t < chosen.size(); ++t) {
    if (!chosen[t].defined()) continue;
    const Tensor a = chosen[t].to(DType::f64).contiguous_copy_if_needed();
    const Tensor b = reference[t].to(DType::f64).contiguous_copy_if_needed();
    // What the dtype of the output and the arithmetic of the implementation cannot hold.
    const double allowed = chosen[t].dtype() == DType::bf16                                ? 0x1p-7
                           : std::string_view(name).find("tf32") != std::string_view::npos ? 0x1p-8
                           : bf16_products() && std::string_view(name).find("bf16") != std::string_view::npos
                               ? 0x1p-6
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
    values += a.numel();
    if (scale > 0) largest = std::max(largest, worst / scale);
  }
  summary().add(values, largest, entry, name);
}

}  // namespace atrous::kernels
