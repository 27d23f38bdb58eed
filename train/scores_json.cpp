#include "train/scores_json.h"

namespace atrous::train {
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

JsonValue scores_to_json(const eval::SemanticScores& s) {
  JsonValue out = JsonValue::make_object();
  out["miou"] = JsonValue::of(s.miou);
  out["pixel_accuracy"] = JsonValue::of(s.pixel_accuracy);
  out["mean_accuracy"] = JsonValue::of(s.mean_accuracy);
  out["fw_iou"] = JsonValue::of(s.fw_iou);
  out["mean_dice"] = JsonValue::of(s.mean_dice);
  if (s.boundary_f1) out["boundary_f1"] = JsonValue::of(*s.boundary_f1);
  out["classes_in_mean"] = JsonValue::of(s.classes_in_mean);
  JsonValue& rows = out["per_class"];
  rows.kind = JsonValue::Kind::array;
  for (const eval::ClassScore& c : s.per_class) {
    JsonValue row = JsonValue::make_object();
    row["name"] = JsonValue::of(c.name);
    row["iou"] = JsonValue::of(c.iou);
    row["accuracy"] = JsonValue::of(c.accuracy);
    row["precision"] = JsonValue::of(c.precision);
    row["dice"] = JsonValue::of(c.dice);
    if (s.boundary_f1) row["boundary_f1"] = JsonValue::of(c.boundary_f1);
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
  for (const eval::CrfNumber& n : eval::crf_numbers()) out[n.key] = JsonValue::of(options.*n.member);
  out["normalization"] = JsonValue::of(layers::name_of(options.normalization));
  out["spatial"] = JsonValue::of(layers::name_of(options.spatial));
  out["text"] = JsonValue::of(eval::crf_text(options));
  return out;
}

JsonValue confusion_to_json(const eval::ConfusionMatrix& confusion) {
  JsonValue rows;
  rows.kind = JsonValue::Kind::array;
  for (int64_t g = 0; g < confusion.num_classes(); ++g) {
    std::vector<int64_t> row;
    for (int64_t p = 0; p < confusion.num_classes(); ++p) row.push_back(confusion.at(g, p));
    rows.array.push_back(JsonValue::of(row));
  }
  return rows;
}

eval::SemanticScores scores_from_json(const JsonValue& json) {
  eval::SemanticScores s;
  s.miou = maybe(json, "miou");
  s.pixel_accuracy = maybe(json, "pixel_accuracy");
  s.mean_accuracy = maybe(json, "mean_accuracy");
  s.fw_iou = maybe(json, "fw_iou");
  s.mean_dice = maybe(json, "mean_dice");
  s.boundary_f1 = maybe(json, "boundary_f1");
  s.classes_in_mean = count(json, "classes_in_mean");
  const JsonValue* rows = json.find("per_class");
  if (!rows) return s;
  for (const JsonValue& row : rows->array) {
    eval::ClassScore c;
    if (const JsonValue* name = row.find("name")) c.name = name->string;
    c.ground_truth = count(row, "ground_truth");
    c.predicted = count(row, "predicted");
    c.iou = maybe(row, "iou");
    c.accuracy = maybe(row, "accuracy");
    c.precision = maybe(row, "precision");
    c.dice = maybe(row, "dice");
    c.boundary_f1 = maybe(row, "boundary_f1");
    const JsonValue* excluded = row.find("excluded");
    c.excluded = excluded && excluded->boolean;
    s.excluded_classes += c.excluded;
    s.absent_classes += !c.iou && !c.excluded;
    s.pixels += c.ground_truth;
    s.per_class.push_back(std::move(c));
  }
  return s;
}

eval::ConfusionMatrix confusion_from_json(const JsonValue& json) {
  const size_t k = json.array.size();
  for (const JsonValue& row : json.array) {
    if (row.array.size() != k) return eval::ConfusionMatrix(0);
  }
  eval::ConfusionMatrix result(static_cast<int64_t>(k));
  for (size_t r = 0; r < k; ++r) {
    for (size_t c = 0; c < k; ++c)
      result.add_pixels(static_cast<int64_t>(r), static_cast<int64_t>(c), json.array[r].array[c].integer);
  }
  return result;
}

}  // namespace atrous::train
