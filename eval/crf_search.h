// The parameters of a dense CRF that score best on a validation set, from a grid as in the papers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/evaluate.h"

namespace atrous::eval {

// One parameter and the values to try. `step` is 0 for a list or a single value, which is not refined.
struct CrfAxis {
  std::string key;
  std::vector<double> values;
  double step = 0;
};
// "bilateral_xy=30:100:10,bilateral_rgb=3:6:1,iterations=10": first, last (included if the steps meet it) and
// step, or one value. Error(usage) for what parse_crf refuses, a step that is not positive, more than
// crf_most_trials combinations. DeepLab's range is crf_usual_grid.
std::vector<CrfAxis> parse_crf_grid(const std::string& text, const char* where);
inline constexpr int64_t crf_most_trials = 100000;
inline constexpr const char* crf_usual_grid =
    "bilateral_xy=30:100:10,bilateral_rgb=3:6:1,bilateral_weight=3:6:1";

struct CrfTrial {
  layers::DenseCrfOptions options;
  int64_t round = 1;
  SemanticScores scores;  // with the boundary metrics
};

struct CrfSearchOptions {
  std::vector<CrfAxis> grid;
  CrfOptions base;              // parameters that the grid does not name; max_memory bounds one image
  int64_t rounds = 1;           // each further one tries half the step on either side of the best so far
  std::string metric = "miou";  // the metric that selects the best: a key of eval/semantic_metrics.h
  int64_t images = 0;           // spread evenly over the set; 0: all
  int64_t cache_bytes = int64_t{2} << 30;  // of predictions in memory; the rest goes to a temporary file
  std::string temporary_folder = ".";      // for that file
};

struct CrfSearchResult {
  SetScores before;              // without CRF
  std::vector<CrfTrial> trials;  // in the order in which they were tried
  int64_t best = -1;             // index of the best trial, the first among equals; -1: none
  int64_t images = 0;
  bool stopped = false;
};

struct CrfSearchHooks {
  // While the network predicts: images done and all. Then images times trials of the round.
  std::function<void(int64_t done, int64_t total)> predicted, tried;
  // After the network and whenever trials have come: for tables that survive an interruption.
  std::function<void(const CrfSearchResult& so_far)> rows;
  std::function<bool()> stop;  // called before each image; true ends the search with the trials so far
};

// Runs the network once over the images and keeps its probabilities; then tries the grid. All weights and
// numbers of iterations of one pair of standard deviations are tried on an image before the next one: its
// lattice is built once for them. Trials are therefore finished by groups. Errors: those of evaluate and
// refine; an image whose CRF needs more than base.max_memory MiB (usage).
CrfSearchResult search_crf(layers::SegmentationModel& model, const data::Dataset& dataset,
                           const data::DataOptions& data, const InferenceOptions& inference,
                           const CrfSearchOptions& options, const CrfSearchHooks& hooks = {});

}  // namespace atrous::eval
