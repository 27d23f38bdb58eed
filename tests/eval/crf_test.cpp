// A dense CRF as a step of inference: its parameters as text, images in parts, scores before and after,
// search.
#include "eval/crf.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include "core/allocator.h"
#include "core/error.h"
#include "core/parallel.h"
#include "eval/crf_search.h"
#include "eval/prediction_store.h"
#include "tests/eval/fake_models.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using namespace atrous::eval;
using namespace atrous::eval_test;
using Catch::Contains;

namespace {

// Discs of two colours on a third, a little noise.
Tensor discs(int64_t h, int64_t w) {
  Rng rng(7);
  const Tensor image = Tensor::empty({h, w, 3}, DType::u8);
  for (int64_t i = 0; i < h * w; ++i) {
    const int64_t y = i / w % 40 - 20, x = i % w % 40 - 20;
    const int64_t kind = y * y + x * x > 196 ? 0 : 1 + (i / w / 40 + i % w / 40) % 2;
    for (int64_t c = 0; c < 3; ++c)
      image.data<uint8_t>()[i * 3 + c] = static_cast<uint8_t>((kind == c ? 180 : 50) + rng.integer(0, 12));
  }
  return image;
}

// Probabilities that know the discs, with much noise.
Tensor noisy_probabilities(const Tensor& image) {
  Rng rng(9);
  const Tensor p = Tensor::empty({image.dim(0), image.dim(1), 3});
  for (int64_t i = 0; i < p.numel() / 3; ++i) {
    float* row = p.data<float>() + 3 * i;
    float sum = 0;
    for (int64_t c = 0; c < 3; ++c) {
      const bool own = image.data<uint8_t>()[i * 3 + c] > 120;
      row[c] = static_cast<float>(std::exp((own ? 1.0 : 0.0) + 2.0 * rng.uniform()));
      sum += row[c];
    }
    for (int64_t c = 0; c < 3; ++c) row[c] /= sum;
  }
  return p;
}

CrfOptions small_kernels() {
  CrfOptions o;
  o.enabled = true;
  o.iterations = 5;
  o.bilateral_xy = 8;
  o.bilateral_rgb = 13;
  return o;
}

int64_t wrong_pixels(const Tensor& image, const Tensor& labels) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const uint8_t* pixel = image.data<uint8_t>() + 3 * i;
    wrong += labels.data<uint8_t>()[i] != std::max_element(pixel, pixel + 3) - pixel;
  }
  return wrong;
}

}  // namespace

TEST_CASE("text of CRF parameters: what is printed is read back") {
  const CrfOptions plain;
  CHECK(crf_text(plain) ==
        "iterations=10,gaussian_weight=3,gaussian_xy=3,bilateral_weight=4,bilateral_xy=49,bilateral_rgb=5,"
        "normalization=symmetric,spatial=exact");
  CrfOptions o = parse_crf(
      "iterations=0,gaussian_weight=0.1,bilateral_xy=1e2,normalization=after,spatial=lattice", plain, "t");
  CHECK(o.iterations == 0);
  CHECK(o.gaussian_weight == 0.1);
  CHECK(o.bilateral_xy == 100);
  CHECK(o.normalization == layers::CrfNormalization::after);
  CHECK(o.spatial == layers::CrfSpatial::lattice);
  CHECK(o.bilateral_rgb == 5);
  CHECK(crf_text(parse_crf(crf_text(o), plain, "t")) == crf_text(o));
  for (const layers::DenseCrfPreset& preset : layers::dense_crf_presets()) {
    o = parse_crf(std::string("bilateral_xy=31,preset=") + preset.name, plain, "t");
    layers::DenseCrfOptions want = preset.options;
    want.bilateral_xy = 31;  // what is named counts, wherever the preset stands
    CHECK(crf_text(o) == crf_text(want));
  }
  o.max_memory = 7;
  CHECK(parse_crf("", o, "t").max_memory == 7);
  CHECK(parse_crf("preset=deeplab_v1", o, "t").max_memory == 7);
}

TEST_CASE("text of CRF parameters: what is wrong is named") {
  const std::pair<const char*, const char*> cases[] = {
      {"bilateral_yx=3", "Did you mean \"bilateral_xy\""},
      {"x=3", "gaussian_weight, gaussian_xy, bilateral_weight"},
      {"enabled=1", "unknown parameter"},
      {"iterations=3,iterations=3", "iterations twice"},
      {"preset=deeplab_v2,preset=deeplab_v2", "preset twice"},
      {"iterations=2.5", "whole number from 0 to 1000"},
      {"iterations=-1", "whole number from 0"},
      {"bilateral_xy=0", "above 0"},
      {"bilateral_rgb=-3", "above 0"},
      {"gaussian_weight=-1", "at least 0"},
      {"gaussian_xy=1e9", "at most 10000"},
      {"gaussian_xy=three", "must be a number"},
      {"gaussian_xy=3px", "must be a number"},
      {"gaussian_xy=nan", "must be a number"},
      {"gaussian_xy=", "must be a number"},
      {"gaussian_xy", "key=value"},
      {"=3", "key=value"},
      {"iterations=3,,gaussian_xy=2", "key=value"},
      {"normalization=both", "symmetric, before, after, none"},
      {"spatial=both", "one of exact, lattice"},
      {"preset=deeplab", "deeplab_v1, deeplab_v2"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_crf(text, {}, "--crf"), Contains("[--crf]") && Contains(message));
    try {
      parse_crf(text, {}, "--crf");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::usage);
    }
  }
}

TEST_CASE("a CRF mends noisy probabilities, and equals the layer where the image fits") {
  const Tensor image = discs(80, 120), p = noisy_probabilities(image);
  const CrfOptions o = small_kernels();
  const CrfRefined r = refine(image, p, o);
  CHECK(r.tiles == 1);
  CHECK(max_difference(r.probabilities, layers::DenseCrf(image, o).refine(p)) == 0);
  const int64_t before = wrong_pixels(image, labels_of(p)),
                after = wrong_pixels(image, labels_of(r.probabilities));
  CHECK(before > 1000);
  CHECK(after < before / 10);
  // Grey images are colours with equal channels.
  const Tensor grey = Tensor::empty({80, 120, 1}, DType::u8), as_rgb = Tensor::empty({80, 120, 3}, DType::u8);
  for (int64_t i = 0; i < grey.numel(); ++i) {
    grey.data<uint8_t>()[i] = image.data<uint8_t>()[3 * i];
    std::fill_n(as_rgb.data<uint8_t>() + 3 * i, 3, grey.data<uint8_t>()[i]);
  }
  CHECK(max_difference(refine(grey, p, o).probabilities, refine(as_rgb, p, o).probabilities) == 0);
}

TEST_CASE("a large image is refined in parts: the same but near seams") {
  const Tensor image = discs(200, 1600), p = noisy_probabilities(image);
  CrfOptions o = small_kernels();
  const Tensor whole = refine(image, p, o).probabilities;
  o.max_memory = 60;
  const CrfRefined parts = refine(image, p, o);
  CHECK(parts.tiles >= 2);
  // A part sees three standard deviations beyond itself.
  CHECK(different_pixels(labels_of(parts.probabilities), labels_of(whole)) <= whole.numel() / 3 / 1000);
  double sum = 0;
  for (int64_t i = 0; i < whole.numel(); ++i)
    sum += std::abs(static_cast<double>(parts.probabilities.data<float>()[i] - whole.data<float>()[i]));
  CHECK(sum / static_cast<double>(whole.numel()) < 2e-3);
  CHECK(sum > 0);  // it was not the whole image after all
}

TEST_CASE("the memory that a CRF takes stays within its bound") {
  const Tensor photo = discs(400, 600), noise = random_image(400, 600, 3);
  for (const Tensor& image : {photo, noise}) {
    const Tensor p = noisy_probabilities(image);
    for (const auto& [bound, spatial] :
         {std::pair<int64_t, layers::CrfSpatial>{60, layers::CrfSpatial::exact},
          {110, layers::CrfSpatial::exact},
          {4096, layers::CrfSpatial::exact},
          {60, layers::CrfSpatial::lattice},
          {4096, layers::CrfSpatial::lattice}}) {
      CrfOptions o = small_kernels();
      o.max_memory = bound;
      o.spatial = spatial;
      release_cached_memory();
      reset_peak_memory();
      const int64_t held = allocator_stats().bytes_in_use;
      const CrfRefined r = refine(image, p, o);
      const int64_t result = static_cast<int64_t>(r.probabilities.bytes());
      const double taken = static_cast<double>(allocator_stats().peak_in_use - held - result) / (1 << 20);
      CAPTURE(bound, r.tiles, taken);
      CHECK(taken <= static_cast<double>(bound));
      CHECK((bound == 4096) == (r.tiles == 1));
    }
  }
}

TEST_CASE("where nothing fits, the least memory that works is told") {
  struct Case {
    int64_t height, width, classes;
    double bilateral_xy;
  };
  // A part cannot be halved; parts see all of the image; they see a piece; many classes on noise, where the
  // updates need more than the lattice.
  for (const Case& c : {Case{90, 120, 3, 49}, Case{150, 140, 3, 49}, Case{130, 300, 3, 4},
                        Case{90, 120, 40, 8}, Case{130, 300, 40, 4}}) {
    const Tensor image = random_image(c.height, c.width, 3);
    const Tensor p = Tensor::full({c.height, c.width, c.classes}, 1.0 / static_cast<double>(c.classes));
    CrfOptions o = small_kernels();
    o.iterations = 1;
    o.bilateral_xy = c.bilateral_xy;
    o.max_memory = 1;
    std::string message;
    try {
      refine(image, p, o);
    } catch (const Error& e) {
      message = e.what();
      CHECK(e.kind() == ErrorKind::usage);
    }
    const std::string says = "The least that works is ";
    const size_t at = message.find(says);
    CAPTURE(message);
    REQUIRE(at != std::string::npos);
    const int64_t least = std::stoll(message.substr(at + says.size()));
    o.max_memory = least;
    CHECK_NOTHROW(refine(image, p, o));
    o.max_memory = least - 1;
    CHECK_THROWS_WITH(refine(image, p, o), Contains(says + std::to_string(least) + " MiB"));
  }
}

TEST_CASE("a CRF refuses what it cannot do") {
  const Tensor image = discs(80, 120), p = noisy_probabilities(image);
  CrfOptions o = small_kernels();
  CHECK_THROWS_WITH(refine(discs(80, 119), p, o), Contains("one size") && Contains("80 x 119"));
  CHECK_THROWS_WITH(refine(Tensor::zeros({80, 120, 4}, DType::u8), p, o), Contains("[H, W, 3]"));
  CHECK_THROWS_WITH(refine(Tensor::zeros({80, 120, 2}, DType::u8), p, o), Contains("[H, W, 3]"));
  CHECK_THROWS_WITH(refine(image, Tensor::full({80, 120, 3}, 0.5), o), Contains("sum to 1"));
  o.max_memory = 1;
  CHECK_THROWS_WITH(refine(image, p, o),
                    Contains("The least that works is 8 MiB") && Contains("allowed are 1 MiB"));
  CHECK_THROWS_WITH(whole_crf(image, 3, Device::cpu, o), Contains("allowed are 1 MiB"));
}

TEST_CASE("evaluate with a CRF gives the scores before and after it") {
  Pointwise model;
  const MemoryDataset set(model, 3);
  InferenceOptions with;
  with.crf = small_kernels();
  with.flip = true;
  InferenceOptions without = with;
  without.crf.enabled = false;
  int64_t seen = 0;
  EvaluationHooks hooks;
  hooks.image = [&](const ScoredImage& image) {
    const Tensor& photo = image.sample.image;
    CHECK(different_pixels(image.prediction, predict_labels(model, photo, plain_data(), with)) == 0);
    CHECK(different_pixels(image.prediction_before, predict_labels(model, photo, plain_data(), without)) ==
          0);
    REQUIRE(image.score_before);
    // From the photograph as it is, whatever the network sees.
    const Tensor p = predict_probabilities(model, photo, plain_data(), without);
    CHECK(max_difference(predict_probabilities(model, photo, plain_data(), with),
                         refine(photo, p, with.crf).probabilities) == 0);
    ++seen;
  };
  const EvaluationResult r = evaluate(model, set, plain_data(), with, true, hooks);
  CHECK(seen == 3);
  const EvaluationResult want = evaluate(model, set, plain_data(), without, true);
  CHECK_FALSE(want.before_crf);
  REQUIRE(r.before_crf);
  CHECK(r.before_crf->scores["miou"] == want.scores["miou"]);
  CHECK(r.before_crf->scores["boundary_f1"] == want.scores["boundary_f1"]);
  CHECK(r.before_crf->loss == want.loss);
  CHECK(r.before_crf->images.size() == 3);
  CHECK(r.scores["miou"] != want.scores["miou"]);  // noise is smoothed
  // Same bits on any number of threads.
  const int threads = num_threads();
  set_num_threads(threads == 1 ? 3 : 1);
  const EvaluationResult again = evaluate(model, set, plain_data(), with, true);
  set_num_threads(threads);
  CHECK(again.loss == r.loss);
  CHECK(again.scores["miou"] == r.scores["miou"]);
}

TEST_CASE("grids of CRF parameters") {
  const std::vector<CrfAxis> grid =
      parse_crf_grid("bilateral_xy=30:100:10,gaussian_xy=1:2:0.25,iterations=5", "t");
  REQUIRE(grid.size() == 3);
  CHECK(grid[0].values == std::vector<double>{30, 40, 50, 60, 70, 80, 90, 100});
  CHECK(grid[0].step == 10);
  CHECK(grid[1].values == std::vector<double>{1, 1.25, 1.5, 1.75, 2});
  CHECK(grid[2].values == std::vector<double>{5});
  CHECK(parse_crf_grid("bilateral_rgb=3:6:2", "t")[0].values == std::vector<double>{3, 5});
  CHECK(parse_crf_grid("bilateral_weight=0.1:0.4:0.1", "t")[0].values ==
        std::vector<double>{0.1, 0.2, 0.3, 0.4});
  for (const char* text : {"", "bilateral_xy", "bilateral_xy=", "bilateral_xy=1:2", "bilateral_xy=1:2:0",
                           "bilateral_xy=2:1:1", "bilateral_xy=1:2:-1", "bilateral_xy=0:5:1", "color=3",
                           "iterations=1:2:0.5", "bilateral_xy=1:2:1,bilateral_xy=3", "bilateral_xy=1:a:1",
                           "gaussian_xy=1:1000:1,bilateral_xy=1:1000:1", "normalization=none"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_crf_grid(text, "--grid"), Contains("[--grid]"));
  }
}

TEST_CASE("predictions are kept in memory up to a bound and in a file beyond it") {
  const TemporaryFolder folder;
  {
    PredictionStore store(100, folder.path());
    std::vector<Tensor> kept;
    for (int64_t i = 0; i < 5; ++i) {
      const Tensor t = Tensor::empty({2, 3 + i});
      std::iota(t.data<float>(), t.data<float>() + t.numel(), static_cast<float>(100 * i));
      store.add(t);
      kept.push_back(t.clone());
    }
    CHECK(store.file_bytes() == 4 * 2 * (6 + 7));
    for (size_t i = 0; i < 5; ++i) CHECK(max_difference(store.get(i), kept[i]) == 0);
    CHECK(std::filesystem::is_empty(folder.path()));  // nobody has to clean up
  }
  std::filesystem::remove_all(folder.path());
  PredictionStore nowhere(0, folder.path());
  CHECK_THROWS_WITH(nowhere.add(Tensor::zeros({1})), Contains(folder.path()));
}

TEST_CASE("the search finds what evaluate with the same parameters scores, and survives being stopped") {
  Smooth model;
  const MemoryDataset set(model, 4);
  CrfSearchOptions o;
  o.base = small_kernels();
  o.base.iterations = 3;
  o.grid = parse_crf_grid("bilateral_weight=1:5:2,bilateral_xy=4:8:4,iterations=2:3:1", "t");
  o.cache_bytes = 2000;  // a part goes to the file
  const TemporaryFolder folder;
  o.temporary_folder = folder.path();
  int64_t rows = 0, tried = 0, total = 0;
  CrfSearchHooks hooks;
  hooks.rows = [&](const CrfSearchResult& r) {
    CHECK(static_cast<int64_t>(r.trials.size()) == 6 * rows);  // two groups of weights and iterations
    ++rows;
  };
  hooks.tried = [&](int64_t done, int64_t all) { tried = done, total = all; };
  const CrfSearchResult r = search_crf(model, set, plain_data(), {}, o, hooks);
  CHECK(rows == 3);
  CHECK(tried == 48);
  CHECK(total == 48);
  REQUIRE(r.trials.size() == 12);
  CHECK(r.before.scores["miou"] == evaluate(model, set, plain_data(), {}, true).scores["miou"]);
  double best = -1;
  for (const CrfTrial& t : r.trials) {
    InferenceOptions with;
    static_cast<layers::DenseCrfOptions&>(with.crf) = t.options;
    with.crf.enabled = true;
    const EvaluationResult want = evaluate(model, set, plain_data(), with, true);
    CHECK(t.scores["miou"] == want.scores["miou"]);
    CHECK(t.scores["boundary_f1"] == want.scores["boundary_f1"]);
    best = std::max(best, t.scores["miou"].value());
  }
  REQUIRE(r.best >= 0);
  CHECK(r.trials[static_cast<size_t>(r.best)].scores["miou"] == best);

  o.rounds = 2;
  o.metric = "boundary_f1";
  o.images = 2;
  const CrfSearchResult finer = search_crf(model, set, plain_data(), {}, o);
  CHECK(finer.images == 2);
  CHECK(finer.trials.size() > 12);
  CHECK(finer.trials.back().round == 2);
  std::set<std::string> different;
  for (const CrfTrial& t : finer.trials) different.insert(crf_text(t.options));
  CHECK(different.size() == finer.trials.size());  // nothing is tried twice

  int64_t asked = 0;
  hooks = {};
  hooks.stop = [&] { return ++asked > 4 + 4 + 2; };  // in the second group
  o.rounds = 1;
  o.images = 0;
  const CrfSearchResult stopped = search_crf(model, set, plain_data(), {}, o, hooks);
  CHECK(stopped.stopped);
  CHECK(stopped.trials.size() == 6);
  CHECK(stopped.best >= 0);
}
