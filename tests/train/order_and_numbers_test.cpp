// The arithmetic around an optimiser step and the order of a run's events, by numbers worked out by hand.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/safetensors.h"
#include "layers/pointwise.h"
#include "layers/reduce.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "tests/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/class_weights.h"
#include "train/plan.h"
#include "train/step.h"
#include "train/weight_average.h"

using namespace atrous;
using namespace atrous::train;

namespace {

struct OneWeight : layers::Module {
  OneWeight() : weight(register_parameter("weight", Tensor::zeros({1}))) {
    count = register_buffer("count", Tensor::full({}, 0, DType::i64));
  }
  std::string kind() const override { return "OneWeight"; }
  Variable weight;
  Tensor count;
};

// Four pixels: three of class 0, one of class 1. Class 2 is absent.
class FourPixels final : public data::Dataset {
 public:
  int64_t size() const override { return 1; }
  std::string id(int64_t) const override { return "four"; }
  data::Sample load(int64_t) const override {
    data::Sample s;
    s.image = Tensor::zeros({2, 2, 3}, DType::u8);
    s.label = Tensor::from<uint8_t>({2, 2}, {0, 0, 0, 1});
    return s;
  }
  int64_t num_classes() const override { return 3; }
  int64_t in_channels() const override { return 3; }
  const std::vector<data::ClassInfo>& classes() const override { return classes_; }
  std::string describe() const override { return "four pixels"; }

 private:
  std::vector<data::ClassInfo> classes_;
};

// p after one step whose gradient is 3 before clipping, from p = 1 with learning rate 0.1.
double after_one_step(const OptimizerOptions& options) {
  const Variable p(Tensor::full({1}, 1), true);
  Optimizer optimizer(options, {{"p", p}});
  backward(layers::mean(layers::scale(p, 3)));
  optimizer.step(0.1, optimizer.gradient_norm());
  return static_cast<double>(p.value().data<float>()[0]);
}

Tensor tensor_of(const TensorFile& file, const std::string& name) {
  for (const auto& [key, tensor] : file.tensors) {
    if (key == name) return tensor;
  }
  FAIL("no tensor " << name);
  return {};
}

// Runs whose validations all score the same: the steps change nothing.
const std::vector<std::string> standing_still = {"model.norm=none", "optimizer.lr=1e-30",
                                                 "optimizer.weight_decay=0", "train.ema_decay=0",
                                                 "train.validate_every=1"};

}  // namespace

// d = min(decay, (1 + t) / (10 + t)), a += (1 - d) (w - a)
TEST_CASE("the weight average warms up from 2 / 11 to its decay") {
  OneWeight model;
  WeightAverage average(model, {.decay = 0.9});
  const auto follow = [&](int64_t step, double weight) {
    model.weight.value().fill(weight);
    model.count.fill(static_cast<double>(step));
    average.update(step);
    return static_cast<double>(average.averages()[0].second.data<float>()[0]);
  };
  CHECK(follow(1, 110) == Approx(90));   // 9/11 of the way
  CHECK(follow(2, 10) == Approx(30));    // 3/4 of the way back
  CHECK(follow(80, 130) == Approx(40));  // 81/90 is the decay
  CHECK(follow(1000, 240) == Approx(60));
  CHECK(average.averages()[1].second.data<int64_t>()[0] == 1000);  // counters are copied
}

TEST_CASE("accumulated batches: the step and the loss are those of their mean") {
  OptimizerOptions options;
  options.momentum = 0;
  for (const double clip : {0.0, 1.5, 100.0}) {
    CAPTURE(clip);
    options.clip_norm = clip;
    const Variable p(Tensor::full({1}, 1), true);
    Optimizer optimizer(options, {{"p", p}});
    int64_t taken = 0;
    // The losses 2 p and 4 p.
    const auto next = [&] {
      const double factor = 2 * static_cast<double>(++taken);
      return TrainingBatch{{"image"},
                           [&p, factor] { return BatchLoss{layers::mean(layers::scale(p, factor))}; }};
    };
    const StepResult r = train_step(optimizer, next, 2, 0, 0.1);
    CHECK(r.loss == Approx(3));
    CHECK(r.gradient_norm == Approx(3));
    CHECK(r.images == 2);
    // The norm of the mean is clipped, and never enlarged.
    CHECK(p.value().data<float>()[0] == Approx(clip == 1.5 ? 0.85 : 0.7).epsilon(1e-6));
  }
}

TEST_CASE("clipping comes before weight decay, for every rule") {
  OptimizerOptions options;
  options.weight_decay = 0.2;
  options.clip_norm = 0.5;
  for (const double momentum : {0.0, 0.9}) {
    options.momentum = momentum;
    CHECK(after_one_step(options) == Approx(1 - 0.1 * (0.5 + 0.2)).epsilon(1e-6));
  }
  // Adam's first step is g / (|g| + eps): 0.7 / (0.7 + 0.7).
  options.name = OptimizerKind::adam;
  options.eps = 0.7;
  CHECK(after_one_step(options) == Approx(1 - 0.1 * 0.5).epsilon(1e-6));
  // sqrt(0.64 * 0.7^2) = 0.56
  options.name = OptimizerKind::rmsprop;
  options.momentum = 0;
  options.alpha = 0.36;
  options.eps = 0.14;
  CHECK(after_one_step(options) == Approx(1 - 0.1).epsilon(1e-6));
}

TEST_CASE("eps is added to the root of the corrected second moment") {
  OptimizerOptions options;
  options.eps = 1;
  for (const OptimizerKind name : {OptimizerKind::adam, OptimizerKind::adamw}) {
    options.name = name;
    CHECK(after_one_step(options) == Approx(1 - 0.1 * 3 / (3 + 1)).epsilon(1e-6));
  }
  // The mean square is 0.25 * 9.
  options.name = OptimizerKind::rmsprop;
  options.alpha = 0.75;
  options.eps = 0.5;
  CHECK(after_one_step(options) == Approx(1 - 0.1 * 3 / (1.5 + 0.5)).epsilon(1e-6));
}

TEST_CASE("a plan counts the last step of an epoch, and validates nearest to its end") {
  Config c;
  c.data.batch_size = 2;
  c.train.accumulate = 2;
  c.train.epochs = 3;
  Plan plan = make_plan(c, 7);  // 1.75 steps per epoch
  CHECK(plan.steps_per_epoch == 1.75);
  CHECK(plan.total_steps == 6);
  CHECK(plan.validate_every == 2);
  CHECK(plan.checkpoint_every == 2);
  CHECK(make_plan(c, 5).validate_every == 1);  // 1.25
  CHECK(make_plan(c, 5).total_steps == 4);     // 3.75
  CHECK(make_plan(c, 1).total_steps == 1);
  CHECK(make_plan(c, 1).validate_every == 1);
  c.train.epochs = 0;
  c.train.max_steps = 11;
  CHECK(make_plan(c, 7).total_steps == 11);
}

TEST_CASE("expectations pass at the target less the tolerance, and not below") {
  Config c;
  c.expected["miou"] = {0.75, 0.25};
  RunState state;
  const auto met = [&](double score) {
    state.best["miou"] = score;
    return check_expectations(c, state).met;
  };
  CHECK(met(0.5));
  CHECK_FALSE(met(std::nextafter(0.5, 0)));
  CHECK(met(0.99));
  state.best.clear();
  CHECK_FALSE(check_expectations(c, state).met);
}

TEST_CASE("class weights by their names") {
  const FourPixels set;
  const auto counted = [&] { return data::label_histogram(set); };
  // Frequencies 3/4 and 1/4, whose median is 1/2.
  const std::vector<double> plain = class_weights("median_frequency", counted, 3);
  const std::vector<double> root = class_weights("sqrt_median_frequency", counted, 3);
  REQUIRE(plain.size() == 3);
  CHECK(plain[0] == Approx(2.0 / 3));
  CHECK(plain[1] == Approx(2));
  CHECK(plain[2] == 1);
  CHECK(root[0] == Approx(std::sqrt(2.0 / 3)));
  CHECK(root[1] == Approx(std::sqrt(2.0)));
  CHECK(class_weights("none", counted, 3).empty());
}

TEST_CASE("the first step has the schedule's first value, the last one the value before its end") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  run_training(
      tiny_config(folder.path(), {"schedule.name=poly", "schedule.power=1", "schedule.warmup_steps=0",
                                  "optimizer.lr=0.008", "train.max_steps=4", "train.log_every=1"}),
      out_folder(folder / "run"));
  std::vector<double> rates;
  for (const JsonValue& line : read_metrics(folder / "run/metrics.jsonl")) {
    if (line.find("lr")) rates.push_back(line.find("lr")->number);
  }
  REQUIRE(rates.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(rates[i] == Approx(0.008 - 0.002 * static_cast<double>(i)));
}

TEST_CASE("the running average counts from the first step, and is what is validated and kept as the best") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  const Config config =
      tiny_config(folder.path(), {"train.max_steps=1", "train.ema_decay=0.99", "schedule.warmup_steps=0"});
  run_training(config, out_folder(folder / "run"));
  const TensorFile last = read_safetensors(folder / "run/checkpoints/last.safetensors");
  const TensorFile best = read_safetensors(folder / "run/checkpoints/best.safetensors");
  const auto start = nets::make_model(config.model, config.seed);
  double moved = 0;
  for (const auto& [name, before] : layers::state_dict(*start)) {
    if (before.dtype() != DType::f32) continue;
    INFO(name);
    const Tensor now = tensor_of(last, name), average = tensor_of(last, "average." + name),
                 kept = tensor_of(best, name);
    for (int64_t i = 0; i < before.numel(); ++i) {
      const double a = before.data<float>()[i], b = now.data<float>()[i];
      moved += std::abs(b - a);
      REQUIRE(average.data<float>()[i] == Approx(a + (b - a) * 9 / 11).margin(1e-6));
      REQUIRE(kept.data<float>()[i] == average.data<float>()[i]);
    }
  }
  CHECK(moved > 0.1);
}

TEST_CASE(
    "equal scores: the first stays the best, and patience ends the run after as many without a better one") {
  const TemporaryFolder folder;
  make_pictures(folder.path());
  const Quiet quiet;
  std::vector<std::string> set = standing_still;
  set.push_back("train.patience=2");
  const RunResult r = run_training(tiny_config(folder.path(), set), out_folder(folder / "run"));
  CHECK(r.steps == 3);  // the best at step 1, none better at 2 and 3
  CHECK(content_of(folder / "run/best.json").find("\"step\": 1,") != std::string::npos);
}
