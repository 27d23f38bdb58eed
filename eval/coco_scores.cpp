#include "eval/coco_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/coco_metrics.h"

namespace atrous::eval {
namespace {

using Detection = CocoImageMatches::Detection;
using Curve = std::array<double, coco::recalls>;  // precision by recall; all -1 if there are no objects

constexpr size_t ranges = coco::areas, thresholds = coco::thresholds, recalls = coco::recalls;
constexpr size_t limits = coco::detection_limits.size();

// Equal to NumPy's sum of a contiguous array: its blocks, its eight partial sums, its halving.
double numpy_sum(const double* v, size_t n) {
  constexpr size_t lanes = 8, block = 128;
  if (n < lanes) return std::accumulate(v, v + n, 0.0);
  if (n <= block) {
    double r[lanes];
    std::copy_n(v, lanes, r);
    size_t i = lanes;
    for (; i < n - n % lanes; i += lanes) {
      for (size_t k = 0; k < lanes; ++k) r[k] += v[i + k];
    }
    const double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    return std::accumulate(v + i, v + n, sum);
  }
  const size_t half = n / 2 - n / 2 % lanes;
  return numpy_sum(v, half) + numpy_sum(v + half, n - half);
}

// Mean of the values that exist; -1 if none does.
double mean_of_existing(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !(v > -1); });
  return values.empty() ? -1 : numpy_sum(values.data(), values.size()) / static_cast<double>(values.size());
}

// Precision at the recall points of detections in falling order of score: true if it found an object.
Curve precision_curve(const std::vector<uint8_t>& found, int64_t objects) {
  static const std::array<double, recalls> points = coco::recall_points();
  constexpr double spacing =
      2.220446049250313e-16;  // keeps pycocotools from dividing by 0; it reaches the last bit
  std::vector<double> recall(found.size()), precision(found.size());
  double hits = 0, misses = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    (found[i] ? hits : misses) += 1;
    recall[i] = hits / static_cast<double>(objects);
    precision[i] = hits / (misses + hits + spacing);
  }
  for (size_t i = found.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);
  Curve curve{};
  size_t at = 0;
  for (size_t r = 0; r < recalls; ++r) {
    while (at < found.size() && recall[at] < points[r]) ++at;
    if (at == found.size()) break;
    curve[r] = precision[at];
  }
  return curve;
}

double average(const Curve& curve) {
  return mean_of_existing({curve.begin(), curve.end()});
}

// All detections and objects of one class, over the images by rising id.
struct ClassPool {
  std::vector<const Detection*> ranked;  // by falling score; equals in the order of images
  std::array<int64_t, ranges> objects{};
  int64_t missed = 0;
  // Objects found among the first detections of each image, by detection limit.
  std::array<std::array<std::array<int64_t, ranges>, thresholds>, limits> hits{};

  void add(const CocoImageMatches::Class& image) {
    for (size_t a = 0; a < ranges; ++a) objects[a] += image.objects[a];
    missed += image.missed;
    for (size_t i = 0; i < image.detections.size(); ++i) {
      const Detection& d = image.detections[i];
      ranked.push_back(&d);
      for (size_t a = 0; a < ranges; ++a) {
        const int real = d.found[a] & ~d.ignored[a];
        for (size_t t = 0; real >> t != 0; ++t) {
          const int64_t one = real >> t & 1;
          for (size_t m = 0; m < limits; ++m) hits[m][t][a] += i < coco::detection_limits[m] ? one : 0;
        }
      }
    }
  }
  void rank() {
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Detection* a, const Detection* b) { return a->score > b->score; });
  }
  Curve curve(size_t threshold, size_t area) const {
    Curve none;
    none.fill(-1);
    if (objects[area] == 0) return none;
    std::vector<uint8_t> found;
    for (const Detection* d : ranked) {
      if (!(d->ignored[area] >> threshold & 1)) found.push_back(d->found[area] >> threshold & 1);
    }
    return precision_curve(found, objects[area]);
  }
  double recall(size_t detections, size_t threshold, size_t area) const {
    if (objects[area] == 0) return -1;
    return static_cast<double>(hits[detections][threshold][area]) / static_cast<double>(objects[area]);
  }
};

// AP at IoU 0.5 if errors of one kind are fixed; none: as it is. `arrivals`: scores of other classes'
// detections that then match objects of this class.
double mended_ap(const ClassPool& pool, DetectionError kind, const std::vector<double>& arrivals) {
  struct Entry {
    double score;
    bool found;
  };
  std::vector<Entry> entries;
  for (const Detection* d : pool.ranked) {
    if (d->ignored[0] & 1) continue;
    if (d->error != kind || kind == DetectionError::none) {
      entries.push_back({d->score, d->object >= 0});
    } else if (kind == DetectionError::localisation && d->mended) {
      entries.push_back({d->score, true});
    }
  }
  for (double score : arrivals) entries.push_back({score, true});
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.score > b.score; });
  const int64_t objects = pool.objects[0] - (kind == DetectionError::missed ? pool.missed : 0);
  if (objects == 0) return 1;
  std::vector<uint8_t> found;
  for (const Entry& e : entries) found.push_back(e.found);
  return average(precision_curve(found, objects));
}

void score_errors(const std::vector<ClassPool>& pools, CocoSummary& summary) {
  std::vector<std::vector<double>> arrivals(pools.size());
  for (size_t c = 0; c < pools.size(); ++c) {
    for (const Detection* d : pools[c].ranked) {
      ++summary.classes[c].errors[static_cast<size_t>(d->error)].count;
      if (d->error == DetectionError::classification && d->mended)
        arrivals[static_cast<size_t>(d->target)].push_back(d->score);
    }
    summary.classes[c].errors[static_cast<size_t>(DetectionError::missed)].count = pools[c].missed;
  }
  parallel_for(static_cast<int64_t>(pools.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto c = static_cast<size_t>(begin); c < static_cast<size_t>(end); ++c) {
      CocoClassScores& scores = summary.classes[c];
      scores.errors[0] = {};
      if (pools[c].objects[0] == 0) continue;
      const double ap50 = mended_ap(pools[c], DetectionError::none, {});
      for (size_t e = 1; e < detection_errors; ++e) {
        const auto kind = static_cast<DetectionError>(e);
        const bool moves = kind == DetectionError::classification;
        scores.errors[e].ap_gain =
            mended_ap(pools[c], kind, moves ? arrivals[c] : std::vector<double>{}) - ap50;
      }
    }
  });
  int64_t scored = 0;
  for (size_t c = 0; c < pools.size(); ++c) scored += pools[c].objects[0] > 0;
  for (size_t e = 1; e < detection_errors; ++e) {
    double gains = 0;
    for (const CocoClassScores& c : summary.classes) {
      summary.errors[e].count += c.errors[e].count;
      if (scored > 0) gains += c.errors[e].ap_gain.value_or(0) / static_cast<double>(scored);
    }
    if (scored > 0) summary.errors[e].ap_gain = gains;
  }
}

using Precisions = std::array<std::array<Curve, ranges>, thresholds>;

CocoClassScores class_scores(const data::CocoCategory& c, const ClassPool& pool, const Precisions& p) {
  CocoClassScores s;
  s.id = c.id;
  s.name = c.name;
  s.objects = pool.objects[0];
  s.detections = static_cast<int64_t>(pool.ranked.size());
  const auto mean_over_thresholds = [&](size_t area) {
    std::vector<double> values;
    for (size_t t = 0; t < thresholds; ++t) values.insert(values.end(), p[t][area].begin(), p[t][area].end());
    return mean_of_existing(std::move(values));
  };
  s.ap = mean_over_thresholds(0);
  s.ap_small = mean_over_thresholds(1);
  s.ap_medium = mean_over_thresholds(2);
  s.ap_large = mean_over_thresholds(3);
  s.ap50 = average(p[0][0]);
  s.ap75 = average(p[5][0]);
  std::vector<double> recall;
  for (size_t t = 0; t < thresholds; ++t) recall.push_back(pool.recall(2, t, 0));
  s.ar = mean_of_existing(std::move(recall));
  if (pool.objects[0] == 0) return s;
  s.precision50.assign(p[0][0].begin(), p[0][0].end());
  s.precision75.assign(p[5][0].begin(), p[5][0].end());
  s.precision.assign(recalls, 0);
  for (size_t r = 0; r < recalls; ++r) {
    for (size_t t = 0; t < thresholds; ++t) s.precision[r] += p[t][0][r] / coco::thresholds;
  }
  return s;
}

// Means in the order in which NumPy walks them: threshold, recall, class.
double mean_precision(const std::vector<Precisions>& all, size_t first, size_t last, size_t area) {
  std::vector<double> values;
  values.reserve((last - first) * recalls * all.size());
  for (size_t t = first; t < last; ++t) {
    for (size_t r = 0; r < recalls; ++r) {
      for (const Precisions& p : all) values.push_back(p[t][area][r]);
    }
  }
  return mean_of_existing(std::move(values));
}

double mean_recall(const std::vector<ClassPool>& pools, size_t detections, size_t area) {
  std::vector<double> values;
  for (size_t t = 0; t < thresholds; ++t) {
    for (const ClassPool& pool : pools) values.push_back(pool.recall(detections, t, area));
  }
  return mean_of_existing(std::move(values));
}

}  // namespace

// As NumPy's linspace makes them; 5 * step + 0.5 and 0.75 happen to be the same number.
std::array<double, coco::thresholds> coco::iou_thresholds() {
  std::array<double, thresholds> t{};
  const double step = (0.95 - 0.5) / (thresholds - 1);
  for (size_t i = 0; i < t.size(); ++i) t[i] = static_cast<double>(i) * step + 0.5;
  t.back() = 0.95;
  return t;
}

std::array<double, coco::recalls> coco::recall_points() {
  std::array<double, recalls> r{};
  for (size_t i = 0; i < r.size(); ++i) r[i] = static_cast<double>(i) * (1.0 / (recalls - 1));
  r.back() = 1;
  return r;
}

std::optional<double> existing(double score) {
  return score < 0 ? std::nullopt : std::optional(score);
}

CocoScores::CocoScores(IouType type, std::vector<data::CocoCategory> classes)
    : type_(type), classes_(std::move(classes)) {}

CocoSummary CocoScores::summary() const {
  std::vector<const CocoImageMatches*> images;
  for (const CocoImageMatches& i : images_) images.push_back(&i);
  std::sort(images.begin(), images.end(),
            [](const auto* a, const auto* b) { return a->image_id < b->image_id; });
  for (size_t i = 1; i < images.size(); ++i) {
    ATROUS_CHECK(images[i]->image_id != images[i - 1]->image_id, ErrorKind::data,
                 "[coco scores] each image is scored once. Image {} came twice.", images[i]->image_id);
  }
  const size_t classes = classes_.size();
  std::vector<ClassPool> pools(classes);
  for (const CocoImageMatches* image : images) {
    for (const CocoImageMatches::Class& c : image->classes) pools[static_cast<size_t>(c.category)].add(c);
  }
  CocoSummary summary{.stats = {}, .classes = std::vector<CocoClassScores>(classes), .errors = {}};
  std::vector<Precisions> precisions(classes);
  parallel_for(static_cast<int64_t>(classes), 1, [&](int64_t begin, int64_t end) {
    for (auto c = static_cast<size_t>(begin); c < static_cast<size_t>(end); ++c) {
      pools[c].rank();
      for (size_t t = 0; t < thresholds; ++t) {
        for (size_t a = 0; a < ranges; ++a) precisions[c][t][a] = pools[c].curve(t, a);
      }
      summary.classes[c] = class_scores(classes_[c], pools[c], precisions[c]);
    }
  });
  for (size_t i = 0; i < summary.stats.size(); ++i) {
    const CocoMetric& m = coco_metrics()[i];
    summary.stats[i] =
        m.recall ? mean_recall(pools, m.limit, m.area) : mean_precision(precisions, m.first, m.last, m.area);
  }
  score_errors(pools, summary);
  summary.images = static_cast<int64_t>(images.size());
  for (const CocoClassScores& c : summary.classes) {
    summary.objects += c.objects;
    summary.detections += c.detections;
  }
  return summary;
}

CocoScores score_coco_results(const data::CocoAnnotations& annotations,
                              const std::vector<data::CocoResult>& results, IouType type, IdZero id_zero) {
  std::vector<std::vector<CocoObject>> objects(annotations.images.size());
  std::vector<std::vector<CocoDetection>> detections(annotations.images.size());
  for (const data::CocoAnnotation& a : annotations.annotations) {
    ATROUS_CHECK(type == IouType::bbox ? a.has_box : a.has_mask(), ErrorKind::data,
                 "[{}: annotation {}] must have a \"{}\" to be scored by {}. It has none.", annotations.path,
                 a.id, type == IouType::bbox ? "bbox" : "segmentation",
                 type == IouType::bbox ? "boxes" : "masks");
    const bool never_found = a.id == 0 && id_zero == IdZero::never_found;
    objects[static_cast<size_t>(a.image)].push_back(
        {a.category, a.box, &a.mask, a.area, a.crowd, never_found});
  }
  for (const data::CocoResult& r : results)
    detections[static_cast<size_t>(r.image)].push_back({r.category, r.score, r.box, &r.mask, r.area});
  CocoScores scores(type, annotations.categories);
  std::vector<CocoImageMatches> matches(annotations.images.size());
  parallel_for(static_cast<int64_t>(matches.size()), 4, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      matches[i] = scores.match(annotations.images[i].id, objects[i], detections[i]);
  });
  for (CocoImageMatches& m : matches) scores.add(std::move(m));
  return scores;
}

}  // namespace atrous::eval
