#include "cli/scores.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace atrous::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string cell(const std::optional<double>& v) {
  return v ? fmt::format("{:.4f}", *v) : "-";
}
Json value(const std::optional<double>& v) {
  return v ? Json(*v) : Json();
}

std::vector<std::string> absent_classes(const eval::SemanticScores& scores) {
  std::vector<std::string> names;
  for (const eval::ClassScore& c : scores.per_class) {
    if (!c.iou) names.push_back(c.name);
  }
  return names;
}

}  // namespace

void print_scores(std::FILE* out, const ScoresReport& report) {
  const eval::SemanticScores& s = report.scores;
  size_t width = 5;
  for (const eval::ClassScore& c : s.per_class) width = std::max(width, c.name.size());
  fmt::print(out, "{:<{}}  {:>7} {:>7} {:>7} {:>7} {:>12} {:>12}\n", "class", width, "IoU", "recall",
             "precis.", "Dice", "labelled px", "predicted px");
  for (const eval::ClassScore& c : s.per_class) {
    fmt::print(out, "{:<{}}  {:>7} {:>7} {:>7} {:>7} {:>12} {:>12}\n", c.name, width, cell(c.iou),
               cell(c.accuracy), cell(c.precision), cell(c.dice), c.ground_truth, c.predicted);
  }
  fmt::print(out, "\nmIoU            {:.4f}  over {} of {} classes\n", s.miou, s.classes_in_mean,
             s.per_class.size());
  fmt::print(
      out, "pixel accuracy  {:.4f}\nmean accuracy   {:.4f}\nfw IoU          {:.4f}\nmean Dice       {:.4f}\n",
      s.pixel_accuracy, s.mean_accuracy, s.fw_iou, s.mean_dice);
  if (s.boundary_f1)
    fmt::print(out, "boundary F1     {:.4f}  (Csurka 2013, within 0.75 % of the diagonal)\n", *s.boundary_f1);
  if (report.loss) fmt::print(out, "cross-entropy   {:.4f}  per scored pixel\n", *report.loss);
  const auto all = static_cast<double>(std::max<int64_t>(1, s.pixels + s.ignored_pixels));
  fmt::print(out, "\nscored          {} pixels of {} images; {} ignored ({:.2f} %)\n", s.pixels,
             report.images, s.ignored_pixels, 100 * static_cast<double>(s.ignored_pixels) / all);
  std::string absent;
  for (const std::string& name : absent_classes(s)) absent += (absent.empty() ? "" : ", ") + name;
  fmt::print(out, "absent classes  {}\n",
             absent.empty() ? "none" : absent + " (neither labelled nor predicted: not in the means)");
  fmt::print(out, "definition      one confusion matrix over the set; IoU = TP / (TP + FP + FN)\n");
  for (const auto& [name, text] : report.facts) fmt::print(out, "{:<15} {}\n", name, text);
}

std::string scores_json(const ScoresReport& report) {
  const eval::SemanticScores& s = report.scores;
  Json j;
  j["miou"] = s.miou;
  j["pixel_accuracy"] = s.pixel_accuracy;
  j["mean_accuracy"] = s.mean_accuracy;
  j["fw_iou"] = s.fw_iou;
  j["mean_dice"] = s.mean_dice;
  j["boundary_f1"] = value(s.boundary_f1);
  j["loss"] = value(report.loss);
  j["images"] = report.images;
  j["pixels"] = s.pixels;
  j["ignored_pixels"] = s.ignored_pixels;
  j["classes_in_mean"] = s.classes_in_mean;
  j["absent_classes"] = absent_classes(s);
  j["per_class"] = Json::array();
  for (const eval::ClassScore& c : s.per_class) {
    j["per_class"].push_back({{"name", c.name},
                              {"iou", value(c.iou)},
                              {"accuracy", value(c.accuracy)},
                              {"precision", value(c.precision)},
                              {"dice", value(c.dice)},
                              {"ground_truth", c.ground_truth},
                              {"predicted", c.predicted}});
  }
  j["confusion"] = Json::array();
  for (int64_t g = 0; g < report.confusion.num_classes(); ++g) {
    Json row = Json::array();
    for (int64_t p = 0; p < report.confusion.num_classes(); ++p) row.push_back(report.confusion.at(g, p));
    j["confusion"].push_back(row);
  }
  j["per_image"] = Json::array();
  for (const eval::ImageScore& i : report.image_scores) {
    j["per_image"].push_back(
        {{"id", i.id}, {"miou", value(i.miou)}, {"pixel_accuracy", i.pixel_accuracy}, {"loss", i.loss}});
  }
  for (const auto& [name, text] : report.facts) {
    std::string key = name;
    std::replace(key.begin(), key.end(), ' ', '_');
    j[key] = text;
  }
  return j.dump(2);
}

}  // namespace atrous::cli
