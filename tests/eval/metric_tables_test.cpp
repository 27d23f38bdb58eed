// The tables of metrics: their keys, what "better" means, and that docs/metrics.md says what they say.
#include <catch2/catch.hpp>
#include <limits>
#include <regex>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "eval/classification_metrics.h"
#include "eval/coco_metrics.h"
#include "eval/semantic_metrics.h"
#include "eval/validation_metrics.h"

using namespace atrous;
using namespace atrous::eval;

namespace {

std::string code(const char* key) {
  return key && *key ? fmt::format(" `{}`", key) : "";
}

// The rows of the table under this heading, header excluded.
std::vector<std::string> documented(const std::string& heading) {
  const std::string page =
      read_file_if_present(std::string(ATROUS_SOURCE_DIR) + "/docs/metrics.md").value_or("");
  const size_t begin = page.find("\n## " + heading + "\n");
  REQUIRE(begin != std::string::npos);
  std::istringstream lines(page.substr(begin + 1, page.find("\n## ", begin + 1) - begin - 1));
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("| ")) rows.push_back(line);
  }
  REQUIRE(rows.size() > 1);
  rows.erase(rows.begin());
  return rows;
}

}  // namespace

TEST_CASE("metrics: docs/metrics.md has the tables of the program") {
  std::vector<std::string> semantic, coco;
  for (const SemanticMetric& m : semantic_metrics())
    semantic.push_back(fmt::format("|{} |{} | {} | {} | {} |", code(m.value ? m.key : nullptr),
                                   code(m.of_class.key), m.title,
                                   m.better == Better::higher ? "higher" : "lower", m.definition));
  CHECK(documented("Semantic segmentation") == semantic);
  for (const CocoMetric& m : coco_metrics())
    coco.push_back(fmt::format("|{} | {} |{} | `{}` |", code(m.of_class ? m.key : nullptr), m.title,
                               m.validation ? " yes" : "",
                               std::regex_replace(coco_stat_name(m), std::regex("\\|"), "\\|")));
  CHECK(documented("Detection") == coco);
  std::vector<std::string> classes;
  for (const ClassificationMetric& m : classification_metrics())
    classes.push_back(fmt::format("| `{}` | {} | {} | {} |", m.key, m.title,
                                  m.better == Better::higher ? "higher" : "lower", m.definition));
  CHECK(documented("Classification") == classes);
}

TEST_CASE("metrics: keys are unique, classes' titles fit their column, and no number is shown unnamed") {
  std::set<std::string> keys, class_keys;
  for (const SemanticMetric& m : semantic_metrics()) {
    CAPTURE(m.key);
    CHECK(keys.insert(m.key).second);
    CHECK((m.value || m.of_class.key));
    CHECK(std::string(m.title).size() <= 15);  // the column of the terminal
    CHECK(std::string(m.definition).size() > 10);
    if (!m.of_class.key) continue;
    CHECK(class_keys.insert(m.of_class.key).second);
    CHECK(m.of_class.value);
    CHECK(std::string(m.of_class.short_title).size() <= 7);
  }
  for (const CocoMetric& m : coco_metrics()) CHECK(keys.insert(m.key).second);
  const SemanticScores scores;
  CHECK_THROWS_WITH(scores["iou"], Catch::Contains("Got \"iou\""));  // a key of classes
  CHECK_THROWS_WITH(ClassScore()["miou"], Catch::Contains("Got \"miou\""));
}

TEST_CASE("metrics: what a validation gives, by network") {
  CHECK(validation_keys(TaskKind::detection) ==
        std::vector<std::string>{"box_ap", "box_ap50", "box_ap75", "mask_ap", "mask_ap50", "mask_ap75"});
  for (const std::string& key : validation_keys(TaskKind::semantic)) {
    CHECK(semantic_metric(key).source == MetricSource::confusion);
    CHECK(better_of(key) == semantic_metric(key).better);
  }
  CHECK(validation_keys(TaskKind::semantic).front() == "miou");
  CHECK(validation_keys(TaskKind::classification) ==
        std::vector<std::string>{"top1", "top5", "mean_class_accuracy"});
  CHECK(better_of("mask_ap75") == Better::higher);
  CHECK_THROWS_AS(better_of("boundary_f1"), Error);  // not computed then
}

TEST_CASE("metrics: better is higher or lower, and a tolerance counts on the worse side") {
  CHECK(is_better(Better::higher, 0.5, 0.4));
  CHECK_FALSE(is_better(Better::higher, 0.4, 0.4));
  CHECK(is_better(Better::lower, 0.4, 0.5));
  CHECK_FALSE(is_better(Better::lower, 0.5, 0.5));
  CHECK(meets(Better::higher, 0.58, 0.6, 0.03));
  CHECK_FALSE(meets(Better::higher, 0.56, 0.6, 0.03));
  CHECK(meets(Better::higher, 1, 0.6, 0.03));
  CHECK(meets(Better::lower, 0.62, 0.6, 0.03));
  CHECK_FALSE(meets(Better::lower, 0.64, 0.6, 0.03));
  CHECK(meets(Better::lower, 0, 0.6, 0.03));
  for (const Better better : {Better::higher, Better::lower})
    CHECK_FALSE(meets(better, std::numeric_limits<double>::quiet_NaN(), 0.6, 0.03));
}

TEST_CASE("metrics: tables before and after a CRF have the metrics by rank") {
  std::vector<std::string> keys;
  for (const SemanticMetric* m : crf_metrics(3)) keys.push_back(m->key);
  CHECK(keys == std::vector<std::string>{"miou", "boundary_f1", "pixel_accuracy"});
  for (const SemanticMetric* m : crf_metrics(2)) CHECK(m->of_class.key);
}
