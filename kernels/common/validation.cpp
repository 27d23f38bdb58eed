#include "kernels/common/validation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "core/env.h"
#include "core/terminal.h"

namespace atrous::kernels {
namespace {

// Prints at the end of the process what was compared: otherwise "nothing compared" would look like success.
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

bool validation_is_on() {
  static const bool on = [] {
    const bool wanted = env::validate_against_ref();
    if (wanted) summary();  // so that the summary is printed even if nothing will be compared
    return wanted;
  }();
  return on;
}

Tensor Validation::copy_of(const Tensor& t, Access access) const {
  if (!t.defined()) return t;
  const DType dtype = narrow_ && t.dtype() == DType::bf16 ? DType::f32 : t.dtype();
  if (access == Access::write || access == Access::scratch) return Tensor::empty(t.shape(), dtype);
  if (device_ != Device::cpu) return t.to(Device::cpu).to(dtype);
  const bool overwritten =
      std::ranges::any_of(written_, [&](const Tensor& w) { return w.defined() && w.shares_memory_with(t); });
  return overwritten ? t.clone() : t;
}

void Validation::check(const char* entry, const std::string& problem, const char* name,
                       Accuracy accuracy) const {
  std::vector<Tensor> results;
  for (const Tensor& t : chosen_) results.push_back(t.defined() ? t.to(Device::cpu) : t);
  compare_with_reference(entry, problem, name, accuracy, results, expected_);
}

void compare_with_reference(const char* entry, const std::string& problem, const char* name,
                            Accuracy accuracy, const std::vector<Tensor>& chosen,
                            const std::vector<Tensor>& reference) {
  int64_t values = 0;
  double largest = 0;
  for (size_t t = 0; t < chosen.size(); ++t) {
    if (!chosen[t].defined()) continue;
    const Tensor a = chosen[t].to(DType::f64).contiguous_copy_if_needed();
    // Exact: the reference, rounded once.
    const bool exact = accuracy == Accuracy::exact;
    const Tensor rounded = exact ? reference[t].to(chosen[t].dtype()) : reference[t];
    const Tensor b = rounded.to(DType::f64).contiguous_copy_if_needed();
    // What the dtype of the output and the arithmetic of the implementation cannot hold.
    const double allowed = exact                              ? 0
                           : chosen[t].dtype() == DType::bf16 ? 0x1p-7
                           : accuracy == Accuracy::tf32       ? 0x1p-8
                           : accuracy == Accuracy::bf16       ? 0x1p-6
                                                              : 1e-4;
    ATROUS_CHECK(chosen[t].shape() == reference[t].shape(), ErrorKind::internal,
                 "[{}] {} writes {} as output {}, the reference {}. Got {}. Report this.", entry, name,
                 chosen[t].describe(), t, reference[t].describe(), problem);
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
