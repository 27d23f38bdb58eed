#include "eval/coco_metrics.h"

#include <fmt/format.h>

namespace atrous::eval {
namespace {

constexpr size_t at50 = 0, at75 = 5;
using C = CocoClassScores;

constexpr std::array<CocoMetric, 12> rows = {{
    {.key = "ap",
     .title = "AP",
     .of_class = &C::ap,
     .column = "AP",
     .card = true,
     .validation = true,
     .curve = true},
    {.key = "ap50",
     .title = "AP50",
     .first = at50,
     .last = at50 + 1,
     .of_class = &C::ap50,
     .column = "AP50",
     .card = true,
     .validation = true,
     .curve = true},
    {.key = "ap75",
     .title = "AP75",
     .first = at75,
     .last = at75 + 1,
     .of_class = &C::ap75,
     .column = "AP75",
     .card = true,
     .validation = true},
    {.key = "ap_small", .title = "AP small", .area = 1, .of_class = &C::ap_small, .column = "small"},
    {.key = "ap_medium", .title = "AP medium", .area = 2, .of_class = &C::ap_medium, .column = "medium"},
    {.key = "ap_large", .title = "AP large", .area = 3, .of_class = &C::ap_large, .column = "large"},
    {.key = "ar_1", .title = "AR, 1 detection", .recall = true, .limit = 0},
    {.key = "ar_10", .title = "AR, 10 detections", .recall = true, .limit = 1},
    {.key = "ar", .title = "AR", .recall = true, .of_class = &C::ar, .column = "AR", .card = true},
    {.key = "ar_small", .title = "AR small", .recall = true, .area = 1},
    {.key = "ar_medium", .title = "AR medium", .recall = true, .area = 2},
    {.key = "ar_large", .title = "AR large", .recall = true, .area = 3},
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
