#include "eval/report/semantic_json.h"

#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

std::optional<double> maybe(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  if (!v || !v->is_number()) return std::nullopt;
  return v->number;
}
int64_t count(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v ? v->integer : 0;
}

}  // namespace

JsonValue scores_to_json(const SemanticScores& s) {
  JsonValue out = JsonValue::make_object();
  for (const SemanticMetric& m : semantic_metrics()) {
    if (m.value && was_computed(m, s)) out[m.key] = JsonValue::of(s[m.key]);
  }
  out["classes_in_mean"] = JsonValue::of(s.classes_in_mean);
  JsonValue& rows = out["per_class"];
  rows.kind = JsonValue::Kind::array;
  for (const ClassScore& c : s.per_class) {
    JsonValue row = JsonValue::make_object();
    row["name"] = JsonValue::of(c.name);
    for (const SemanticMetric& m : semantic_metrics()) {
      if (m.of_class.key && was_computed(m, s)) row[m.of_class.key] = JsonValue::of(c[m.of_class.key]);
    }
    row["ground_truth"] = JsonValue::of(c.ground_truth);
    row["predicted"] = JsonValue::of(c.predicted);
    if (c.excluded) row["excluded"] = JsonValue::of(true);
    rows.array.push_back(std::move(row));
  }
  return out;
}

JsonValue crf_to_json(const layers::DenseCrfOptions& options) {
  JsonValue out = JsonValue::make_object();
  out["iterations"] = JsonValue::of(options.iterations);
  for (const CrfNumber& n : crf_numbers()) out[n.key] = JsonValue::of(options.*n.member);
  out["normalization"] = JsonValue::of(atrous::name_of(options.normalization));
  out["spatial"] = JsonValue::of(atrous::name_of(options.spatial));
  out["text"] = JsonValue::of(crf_text(options));
  return out;
}

JsonValue confusion_to_json(const ConfusionMatrix& confusion) {
  JsonValue rows;
  rows.kind = JsonValue::Kind::array;
  for (int64_t g = 0; g < confusion.num_classes(); ++g) {
    std::vector<int64_t> row;
    for (int64_t p = 0; p < confusion.num_classes(); ++p) row.push_back(confusion.at(g, p));
    rows.array.push_back(JsonValue::of(row));
  }
  return rows;
}

SemanticScores scores_from_json(const JsonValue& json) {
  SemanticScores s;
  for (const SemanticMetric& m : semantic_metrics()) s[m.key] = maybe(json, m.key);
  s.classes_in_mean = count(json, "classes_in_mean");
  const JsonValue* rows = json.find("per_class");
  if (!rows) return s;
  for (const JsonValue& row : rows->array) {
    ClassScore c;
    if (const JsonValue* name = row.find("name")) c.name = name->string;
    c.ground_truth = count(row, "ground_truth");
    c.predicted = count(row, "predicted");
    for (const SemanticMetric& m : semantic_metrics()) {
      if (m.of_class.key) c[m.of_class.key] = maybe(row, m.of_class.key);
    }
    const JsonValue* excluded = row.find("excluded");
    c.excluded = excluded && excluded->boolean;
    s.excluded_classes += c.excluded;
    s.absent_classes += !c["iou"] && !c.excluded;
    s.pixels += c.ground_truth;
    s.per_class.push_back(std::move(c));
  }
  return s;
}

ConfusionMatrix confusion_from_json(const JsonValue& json) {
  const size_t k = json.array.size();
  for (const JsonValue& row : json.array) {
    if (row.array.size() != k) return ConfusionMatrix(0);
  }
  ConfusionMatrix result(static_cast<int64_t>(k));
  for (size_t r = 0; r < k; ++r) {
    for (size_t c = 0; c < k; ++c)
      result.add_pixels(static_cast<int64_t>(r), static_cast<int64_t>(c), json.array[r].array[c].integer);
  }
  return result;
}

}  // namespace atrous::eval
