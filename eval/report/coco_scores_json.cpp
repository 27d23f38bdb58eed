#include "eval/report/coco_scores_json.h"

#include <algorithm>

#include "eval/coco_metrics.h"

namespace atrous::eval {
namespace {

using Errors = std::array<DetectionErrorScore, detection_errors>;

struct CurveField {
  const char* key;
  std::vector<double> CocoClassScores::*member;
};
constexpr CurveField curve_fields[] = {
    {"iou50", &CocoClassScores::precision50},
    {"iou75", &CocoClassScores::precision75},
    {"mean", &CocoClassScores::precision},
};

JsonValue errors_to_json(const Errors& errors) {
  JsonValue out = JsonValue::make_object();
  for (size_t e = 1; e < errors.size(); ++e) {
    JsonValue& row = out[name_of(static_cast<DetectionError>(e))] = JsonValue::make_object();
    row["count"] = JsonValue::of(errors[e].count);
    row["ap50_gain"] = JsonValue::of(errors[e].ap_gain);
  }
  return out;
}

int64_t count(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v ? v->integer : 0;
}

std::vector<double> numbers(const JsonValue* list) {
  std::vector<double> out;
  if (list) {
    for (const JsonValue& v : list->array) out.push_back(v.is_number() ? v.number : -1);
  }
  return out;
}

Errors errors_from_json(const JsonValue* json) {
  Errors errors{};
  for (size_t e = 1; json && e < errors.size(); ++e) {
    const JsonValue* row = json->find(name_of(static_cast<DetectionError>(e)));
    if (!row) continue;
    errors[e].count = count(*row, "count");
    const JsonValue* gain = row->find("ap50_gain");
    if (gain && gain->is_number()) errors[e].ap_gain = gain->number;
  }
  return errors;
}

JsonValue class_to_json(const CocoClassScores& c) {
  JsonValue row = JsonValue::make_object();
  row["id"] = JsonValue::of(c.id);
  row["name"] = JsonValue::of(c.name);
  row["objects"] = JsonValue::of(c.objects);
  row["detections"] = JsonValue::of(c.detections);
  for (const CocoMetric& m : coco_metrics()) {
    if (m.of_class) row[m.key] = JsonValue::of(existing(c.*m.of_class));
  }
  row["errors"] = errors_to_json(c.errors);
  return row;
}

}  // namespace

JsonValue coco_to_json(const CocoSummary& s) {
  JsonValue out = JsonValue::make_object();
  std::vector<std::optional<double>> stats;
  for (const double score : s.stats) stats.push_back(existing(score));
  out["stats"] = JsonValue::of(stats);
  out["images"] = JsonValue::of(s.images);
  out["objects"] = JsonValue::of(s.objects);
  out["detections"] = JsonValue::of(s.detections);
  JsonValue classes = JsonValue::of(std::vector<int64_t>{}), curves = classes;
  for (const CocoClassScores& c : s.classes) {
    classes.array.push_back(class_to_json(c));
    if (c.precision.empty()) continue;
    JsonValue& row = curves.array.emplace_back(JsonValue::make_object());
    row["id"] = JsonValue::of(c.id);
    row["name"] = JsonValue::of(c.name);
    for (const CurveField& f : curve_fields) row[f.key] = JsonValue::of(c.*f.member);
  }
  out["per_class"] = std::move(classes);
  const auto recalls = coco::recall_points();
  JsonValue& pr = out["pr_curves"] = JsonValue::make_object();
  pr["recall"] = JsonValue::of(std::vector<double>(recalls.begin(), recalls.end()));
  pr["classes"] = std::move(curves);
  out["errors"] = errors_to_json(s.errors);
  return out;
}

CocoSummary coco_from_json(const JsonValue& json) {
  CocoSummary s;
  s.stats.fill(-1);
  const std::vector<double> stats = numbers(json.find("stats"));
  std::copy_n(stats.begin(), std::min(stats.size(), s.stats.size()), s.stats.begin());
  s.images = count(json, "images");
  s.objects = count(json, "objects");
  s.detections = count(json, "detections");
  s.errors = errors_from_json(json.find("errors"));
  const JsonValue* rows = json.find("per_class");
  const JsonValue* pr = json.find("pr_curves");
  const JsonValue* curves = pr ? pr->find("classes") : nullptr;
  if (!rows) return s;
  for (const JsonValue& row : rows->array) {
    CocoClassScores& c = s.classes.emplace_back();
    c.id = count(row, "id");
    if (const JsonValue* name = row.find("name")) c.name = name->string;
    c.objects = count(row, "objects");
    c.detections = count(row, "detections");
    for (const CocoMetric& m : coco_metrics()) {
      const JsonValue* v = m.of_class ? row.find(m.key) : nullptr;
      if (v && v->is_number()) c.*m.of_class = v->number;
    }
    c.errors = errors_from_json(row.find("errors"));
    for (size_t i = 0; curves && i < curves->array.size(); ++i) {
      if (count(curves->array[i], "id") != c.id) continue;
      for (const CurveField& f : curve_fields) c.*f.member = numbers(curves->array[i].find(f.key));
    }
  }
  return s;
}

JsonValue voc_to_json(const VocSummary& s, const std::string& rule) {
  JsonValue j = JsonValue::make_object();
  j["rule"] = JsonValue::of(rule);
  j["mean_ap"] = JsonValue::of(s.mean_ap);
  JsonValue& rows = j["per_class"] = JsonValue::of(std::vector<int64_t>{});
  for (const VocClassScores& c : s.classes) {
    JsonValue& row = rows.array.emplace_back(JsonValue::make_object());
    row["name"] = JsonValue::of(c.name);
    row["ap"] = JsonValue::of(c.ap);
    row["objects"] = JsonValue::of(c.objects);
    row["detections"] = JsonValue::of(c.detections);
  }
  return j;
}

}  // namespace atrous::eval
