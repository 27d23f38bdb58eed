#include "eval/coco_metrics.h"

#include <fmt/format.h>

namespace atrous::eval {
namespace {

constexpr size_t all = coco::thresholds, at50 = 0, at75 = 5;
using C = CocoClassScores;

constexpr std::array<CocoMetric, 12> rows = {{
    {"ap", "AP", false, 0, all, 0, 2, &C::ap, "AP", true, true, true},
    {"ap50", "AP50", false, at50, at50 + 1, 0, 2, &C::ap50, "AP50", true, true, true},
    {"ap75", "AP75", false, at75, at75 + 1, 0, 2, &C::ap75, "AP75", true, true},
    {"ap_small", "AP small", false, 0, all, 1, 2, &C::ap_small, "small"},
    {"ap_medium", "AP medium", false, 0, all, 2, 2, &C::ap_medium, "medium"},
    {"ap_large", "AP large", false, 0, all, 3, 2, &C::ap_large, "large"},
    {"ar_1", "AR, 1 detection", true, 0, all, 0, 0},
    {"ar_10", "AR, 10 detections", true, 0, all, 0, 1},
    {"ar", "AR", true, 0, all, 0, 2, &C::ar, "AR", true},
    {"ar_small", "AR small", true, 0, all, 1, 2},
    {"ar_medium", "AR medium", true, 0, all, 2, 2},
    {"ar_large", "AR large", true, 0, all, 3, 2},
}};

}  // namespace

const std::array<CocoMetric, 12>& coco_metrics() {
  return rows;
}

std::string coco_stat_name(const CocoMetric& m) {
  static constexpr const char* areas[coco::areas] = {"all", "small", "medium", "large"};
  const auto ious = coco::iou_thresholds();
  const std::string iou = m.last - m.first == 1
                              ? fmt::format("{:.2f}", ious[m.first])
                              : fmt::format("{:.2f}:{:.2f}", ious[m.first], ious[m.last - 1]);
  return fmt::format("{:<18} {} @[ IoU={:<9} | area={:>6} | maxDets={:>3} ]",
                     m.recall ? "Average Recall" : "Average Precision", m.recall ? "(AR)" : "(AP)", iou,
                     areas[m.area], coco::detection_limits[m.limit]);
}

}  // namespace atrous::eval
