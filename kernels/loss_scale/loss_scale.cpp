#include "kernels/loss_scale/loss_scale.h"

#include <map>
#include <mutex>

#include "kernels/common/entry.h"
#include "kernels/loss_scale/loss_scale_impl.h"

namespace atrous::kernels {
namespace loss_scale_impl {
namespace {

constexpr Entry<LossScaleProblem, Fn> forward{"loss_scale.forward",
                                              {
                                                  ATROUS_ON_GPU("two_kernels", always, run_two_kernels),
                                                  {"blocks", Device::cpu, always, run_blocks},
                                                  {"ref", Device::cpu, always, run_ref},
                                              },
                                              reach_whole};

// The reports of all devices that have computed a loss. Never freed, since a device may be gone before the
// last static object.
struct Reports {
  std::mutex mutex;
  std::map<Device, Tensor> by_device;
};
Reports& reports() {
  static auto& all = *new Reports;
  return all;
}

// Made by the first loss on the device and kept: a graph that is recorded later writes to the same address
// each time. None on the CPU, where labels have been checked.
Tensor bad_label_report(Device device) {
  if (device == Device::cpu) return {};
  const std::lock_guard lock(reports().mutex);
  Tensor& report = reports().by_device[device];
  if (!report.defined()) report = Tensor::zeros({bad_label_words}, DType::i64, device);
  return report;
}

}  // namespace
}  // namespace loss_scale_impl

using namespace loss_scale_impl;

std::string LossScaleProblem::str() const {
  return fmt::format("n{} {}x{} k{} ignore{}{}{}{}", n, h, w, classes, ignore_index,
                     class_weights ? " class_weights" : "", pixel_weights ? " pixel_weights" : "",
                     mean ? "" : " sum");
}

Tensor loss_scale(const LossScale& what, const Tensor& checked) {
  const LossScaleProblem p{.mean = what.mean,
                           .n = checked.dim(0),
                           .h = checked.dim(1),
                           .w = checked.dim(2),
                           .classes = what.classes,
                           .ignore_index = what.ignore_index,
                           .class_weights = what.class_weights.defined(),
                           .pixel_weights = what.pixel_weights.defined()};
  const Tensor scale = Tensor::empty({}, DType::f64, checked.device());
  const Tensor report = bad_label_report(checked.device());
  forward(p, checked, what.class_weights, what.pixel_weights, writes(scale), updates(report));
  return scale;
}

void report_bad_labels() {
  const std::lock_guard lock(reports().mutex);
  for (const auto& [device, report] : reports().by_device) {
    const Tensor words = report.to(Device::cpu);
    const auto& bad = *reinterpret_cast<const BadLabel*>(words.data<int64_t>());
    if (!bad.found) continue;
    report.copy_from(Tensor::zeros({bad_label_words}, DType::i64));
    fail_bad_label("loss", bad);
  }
}

EntryList loss_scale_entries() {
  return {&forward};
}

}  // namespace atrous::kernels
