#include "eval/classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>

#include "core/error.h"
#include "eval/eval_mode.h"
#include "layers/finite.h"

namespace atrous::eval {
namespace {

// f32 [1, H, W, C], mirrored.
Tensor mirrored(const Tensor& image) {
  const Tensor out = Tensor::empty(image.shape());
  const int64_t w = image.dim(2), c = image.dim(3);
  for (int64_t y = 0; y < image.dim(1); ++y) {
    for (int64_t x = 0; x < w; ++x)
      std::copy_n(image.data<float>() + (y * w + w - 1 - x) * c, c, out.data<float>() + (y * w + x) * c);
  }
  return out;
}

void add_probabilities(layers::SegmentationModel& model, const Tensor& input, double share,
                       std::vector<double>& sum) {
  const auto run = [&] { return model.forward(Variable(model.input_of(input))).logits.value(); };
  const Tensor there = run();
  if (!all_finite(there))
    layers::fail_not_finite(model, {.output = "the network's logits", .inputs = {&input, 1}, .repeat = run});
  const Tensor logits = there.to(Device::cpu).to(DType::f32).contiguous_copy_if_needed();
  const float* z = logits.data<float>();
  const double max = *std::max_element(z, z + logits.numel());
  double total = 0;
  for (int64_t k = 0; k < logits.numel(); ++k) total += std::exp(static_cast<double>(z[k]) - max);
  for (int64_t k = 0; k < logits.numel(); ++k)
    sum[static_cast<size_t>(k)] += share * std::exp(static_cast<double>(z[k]) - max) / total;
}

}  // namespace

std::vector<double> class_probabilities(layers::SegmentationModel& model, const Tensor& image,
                                        const data::DataOptions& data, const InferenceOptions& options) {
  const NoGradGuard no_tape;
  const Tensor view = data::center_view(image, data, options.short_side, options.crop);
  const Tensor input = data::normalize(view, data).reshape({1, view.dim(0), view.dim(1), view.dim(2)});
  std::vector<double> probabilities(static_cast<size_t>(model.num_classes()), 0.0);
  const double share = options.flip ? 0.5 : 1;
  add_probabilities(model, input, share, probabilities);
  if (options.flip) add_probabilities(model, mirrored(input), share, probabilities);
  return probabilities;
}

std::string describe_view(const data::DataOptions& data, const InferenceOptions& options) {
  std::string text = data.image_height > 0
                         ? fmt::format("resized to {}x{}", data.image_height, data.image_width)
                         : fmt::format("shorter side resized to {}, centre crop {}x{}", options.short_side,
                                       options.crop, options.crop);
  return options.flip ? text + "; mirrored images averaged" : text;
}

ClassificationResult evaluate(layers::SegmentationModel& model, const data::ImageFolders& dataset,
                              const data::DataOptions& data, const InferenceOptions& options,
                              const ClassifiedHooks& hooks) {
  const auto start = std::chrono::steady_clock::now();
  const EvalMode mode(model);
  std::vector<std::string> names;
  for (const data::ClassInfo& c : dataset.classes()) names.push_back(c.name);
  ClassificationResult result{ClassificationScores(names), 0};
  const int64_t total = dataset.size();
  auto load = [&dataset](int64_t i) { return dataset.load(i); };
  // Destroyed (and so waited for) before anything it uses, also when an image fails.
  std::future<data::ClassifiedImage> next;
  if (total > 0) next = std::async(std::launch::async, load, 0);
  for (int64_t i = 0; i < total && !(hooks.stop && hooks.stop()); ++i) {
    const data::ClassifiedImage image = next.get();
    if (i + 1 < total) next = std::async(std::launch::async, load, i + 1);
    const std::vector<double> probabilities = class_probabilities(model, image.image, data, options);
    result.scores.add(image.label, probabilities);
    if (hooks.image) hooks.image(image, probabilities);
    if (hooks.progress) hooks.progress(i + 1, total);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace atrous::eval
