#include "eval/crf_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "eval/crf.h"
#include "eval/eval_mode.h"
#include "eval/prediction_store.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

using Parameters = layers::DenseCrfOptions;

double number_of(const std::string& item, const std::string& text, const char* where) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  ATROUS_CHECK(
      error == std::errc() && stop == end && std::isfinite(value), ErrorKind::usage,
      "[{}] a range is first:last:step, or one value. Got \"{}\". Write e.g. bilateral_xy=30:100:10.", where,
      item);
  return value;
}

// Without the noise of repeated addition, so that 3 + 10 * 0.1 is 4 and equal trials are known as equal.
double rounded(double value) {
  return std::round(value * 1e9) / 1e9;
}

std::vector<double> range(const std::string& item, double first, double last, double step,
                          const char* where) {
  ATROUS_CHECK(step > 0 && last >= first && (last - first) / step < crf_most_trials, ErrorKind::usage,
               "[{}] a range goes up, in at most {} steps. Got \"{}\". Write e.g. bilateral_xy=30:100:10.",
               where, crf_most_trials, item);
  std::vector<double> values;
  const auto count = static_cast<int64_t>(std::floor((last - first) / step + 1e-9)) + 1;
  for (int64_t i = 0; i < count; ++i) values.push_back(rounded(first + static_cast<double>(i) * step));
  return values;
}

// All combinations, the last axis the fastest.
std::vector<Parameters> combinations(const std::vector<CrfAxis>& grid, const Parameters& base) {
  std::vector<Parameters> all = {base};
  for (const CrfAxis& axis : grid) {
    std::vector<Parameters> more;
    for (const Parameters& p : all) {
      for (const double value : axis.values)
        set_crf_number(more.emplace_back(p), axis.key, value, "crf search");
    }
    all = std::move(more);
  }
  return all;
}

double value_of(const Parameters& p, const std::string& key) {
  if (key == "iterations") return static_cast<double>(p.iterations);
  for (const CrfNumber& n : crf_numbers()) {
    if (n.key == key) return p.*n.member;
  }
  return 0;
}

// Half the step on either side of the best; values out of a parameter's range are left out.
std::vector<CrfAxis> around(const Parameters& best, const std::vector<CrfAxis>& grid) {
  std::vector<CrfAxis> finer = grid;
  for (CrfAxis& axis : finer) {
    const double center = value_of(best, axis.key);
    axis.step /= 2;
    if (axis.key == "iterations") axis.step = std::floor(axis.step);
    axis.values.clear();
    for (const double value : {center - axis.step, center, center + axis.step}) {
      Parameters probe = best;
      try {
        set_crf_number(probe, axis.key, rounded(value), "crf search");
      } catch (const Error&) {
        continue;
      }
      if (axis.values.empty() || rounded(value) != axis.values.back()) axis.values.push_back(rounded(value));
    }
  }
  return finer;
}

// Trials of one group have the same kernels: the same lattice and row sums.
auto kernels_of(const Parameters& p) {
  return std::tuple(p.gaussian_xy, p.bilateral_xy, p.bilateral_rgb, p.gaussian_weight != 0,
                    p.bilateral_weight != 0);
}

// Memory that the set's images need for all trials.
class Searcher {
 public:
  Searcher(layers::SegmentationModel& model, const data::Dataset& dataset, const CrfSearchOptions& options,
           const CrfSearchHooks& hooks)
      : model_(model),
        dataset_(dataset),
        options_(options),
        hooks_(hooks),
        classes_(scored_classes(dataset)),
        store_(options.cache_bytes, options.temporary_folder) {
    const int64_t all = dataset.size();
    const int64_t count = options.images > 0 ? std::min(options.images, all) : all;
    for (int64_t i = 0; i < count; ++i) indices_.push_back(i * all / count);
    result.images = count;
  }

  void predict_all(const data::DataOptions& data, const InferenceOptions& inference) {
    const EvalMode mode(model_);
    SetScorer scorer(model_.num_classes(), classes_, true);
    for (size_t i = 0; i < indices_.size() && !stopped(); ++i) {
      const data::Sample sample = dataset_.load(indices_[i]);
      check_labelled(sample);
      const Prediction p = predict(model_, sample.image, data, inference);
      const Tensor probabilities = p.probabilities.to(Device::cpu);
      scorer.add(sample, p.labels, probabilities);
      store_.add(probabilities);
      if (hooks_.predicted) hooks_.predicted(static_cast<int64_t>(i + 1), result.images);
    }
    result.before = scorer.scores();
    ATROUS_CHECK(
        result.stopped || result.before.scores["miou"], ErrorKind::data,
        "[crf-search] a search needs scored pixels. Got {} in which all pixels of the labels are ignored. "
        "Choose another --split, or more images (--images 0: all).",
        counted(result.images, "image"));
    if (!result.stopped && hooks_.rows) hooks_.rows(result);
  }

  void try_round(int64_t round, const std::vector<Parameters>& trials) {
    std::vector<Parameters> fresh;
    for (const Parameters& p : trials) {
      if (tried_.insert(crf_text(p)).second) fresh.push_back(p);
    }
    std::stable_sort(fresh.begin(), fresh.end(),
                     [](const auto& a, const auto& b) { return kernels_of(a) < kernels_of(b); });
    done_ = 0;
    total_ = static_cast<int64_t>(fresh.size()) * result.images;
    for (size_t begin = 0; begin < fresh.size() && !result.stopped;) {
      size_t end = begin;
      while (end < fresh.size() && kernels_of(fresh[end]) == kernels_of(fresh[begin])) ++end;
      try_group(round, {fresh.begin() + static_cast<std::ptrdiff_t>(begin),
                        fresh.begin() + static_cast<std::ptrdiff_t>(end)});
      begin = end;
    }
  }

  CrfSearchResult result;

 private:
  bool stopped() {
    if (hooks_.stop && hooks_.stop()) result.stopped = true;
    return result.stopped;
  }

  void try_group(int64_t round, const std::vector<Parameters>& group) {
    std::vector<SetScorer> scorers(group.size(), SetScorer(model_.num_classes(), classes_, true));
    for (size_t i = 0; i < indices_.size(); ++i) {
      if (stopped()) return;  // an unfinished group has no scores
      const data::Sample sample = dataset_.load(indices_[i]);
      CrfOptions first = options_.base;
      static_cast<Parameters&>(first) = group.front();
      const Tensor probabilities = store_.get(i).to(model_.device());
      const layers::DenseCrf crf = whole_crf(sample.image, model_.num_classes(), model_.device(), first);
      for (size_t t = 0; t < group.size(); ++t) {
        scorers[t].add(sample, labels_of(crf.with(group[t]).refine(probabilities).to(Device::cpu)));
        if (hooks_.tried) hooks_.tried(++done_, total_);
      }
    }
    for (size_t t = 0; t < group.size(); ++t) {
      result.trials.push_back({group[t], round, scorers[t].scores().scores});
      const auto score = [&](int64_t trial) {
        return result.trials[static_cast<size_t>(trial)].scores[options_.metric].value();
      };
      const auto own = static_cast<int64_t>(result.trials.size()) - 1;
      const Better better = semantic_metric(options_.metric).better;
      if (result.best < 0 || is_better(better, score(own), score(result.best))) result.best = own;
    }
    if (hooks_.rows) hooks_.rows(result);
  }

  layers::SegmentationModel& model_;
  const data::Dataset& dataset_;
  const CrfSearchOptions& options_;
  const CrfSearchHooks& hooks_;
  const ScoredClasses classes_;
  PredictionStore store_;
  std::vector<int64_t> indices_;
  std::set<std::string> tried_;
  int64_t done_ = 0, total_ = 0;
};

}  // namespace

std::vector<CrfAxis> parse_crf_grid(const std::string& text, const char* where) {
  std::vector<CrfAxis> grid;
  double trials = 1;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t sign = item.find('=');
    const std::string key = item.substr(0, sign),
                      values = sign == std::string::npos ? "" : item.substr(sign + 1);
    std::vector<double> numbers;
    for (size_t at = 0; at <= values.size();) {
      const size_t colon = std::min(values.find(':', at), values.size());
      numbers.push_back(number_of(item, values.substr(at, colon - at), where));
      at = colon + 1;
    }
    ATROUS_CHECK(
        numbers.size() == 1 || numbers.size() == 3, ErrorKind::usage,
        "[{}] a range is first:last:step, or one value. Got \"{}\". Write e.g. bilateral_xy=30:100:10.",
        where, item);
    CrfAxis axis{key, numbers, 0};
    if (numbers.size() == 3) {
      axis.values = range(item, numbers[0], numbers[1], numbers[2], where);
      axis.step = numbers[2];
    }
    Parameters probe;
    for (const double value : axis.values) set_crf_number(probe, key, value, where);
    for (const CrfAxis& other : grid) {
      ATROUS_CHECK(other.key != key, ErrorKind::usage,
                   "[{}] a parameter may be given once. Got {} twice. Leave one out.", where, key);
    }
    trials *= static_cast<double>(axis.values.size());
    grid.push_back(std::move(axis));
  }
  ATROUS_CHECK(
      !grid.empty() && trials <= crf_most_trials, ErrorKind::usage,
      "[{}] a grid has 1 to {} combinations. Got {:.0f}. Take larger steps, and refine them in further "
      "rounds.",
      where, crf_most_trials, grid.empty() ? 0 : trials);
  return grid;
}

CrfSearchResult search_crf(layers::SegmentationModel& model, const data::Dataset& dataset,
                           const data::DataOptions& data, const InferenceOptions& inference,
                           const CrfSearchOptions& options, const CrfSearchHooks& hooks) {
  Searcher searcher(model, dataset, options, hooks);
  searcher.predict_all(data, inference);
  std::vector<CrfAxis> grid = options.grid;
  for (int64_t round = 1; round <= options.rounds && !searcher.result.stopped; ++round) {
    const CrfSearchResult& r = searcher.result;
    if (round > 1) grid = around(r.trials[static_cast<size_t>(r.best)].options, grid);
    const Parameters& base = options.base;
    searcher.try_round(round, combinations(grid, base));
  }
  return searcher.result;
}

}  // namespace atrous::eval
