#include "cli/forward_detection.h"

#include <algorithm>
#include <memory>

#include "layers/finite.h"
#include "layers/state_dict.h"

namespace atrous::cli {
namespace {

using layers::Detections;

// Tensors of the file by name, checked.
class Inputs {
 public:
  explicit Inputs(const TensorFile& file) : file_(file) {}

  std::vector<Tensor> images() const {
    std::vector<Tensor> images;
    if (const Tensor* batch = file_.find("input")) {
      check(*batch, "input", batch->rank() == 4 && batch->dtype() == DType::f32, "float32 [N, C, H, W]");
      const Tensor nhwc = layers::from_file_layout(*batch);
      for (int64_t i = 0; i < nhwc.dim(0); ++i)
        images.push_back(nhwc.narrow_batch(i, 1).reshape({nhwc.dim(1), nhwc.dim(2), nhwc.dim(3)}));
    }
    for (const Tensor* t; (t = file_.find(fmt::format("input.{}", images.size())));) {
      const std::string name = fmt::format("input.{}", images.size());
      const int first = t->rank() == 4 && t->dim(0) == 1 ? 1 : 0;
      check(*t, name, t->rank() == 3 + first && t->dtype() == DType::f32, "float32 [C, H, W]");
      const int64_t c = t->dim(first), h = t->dim(first + 1), w = t->dim(first + 2);
      images.push_back(layers::from_file_layout(t->reshape({1, c, h, w})).reshape({h, w, c}));
    }
    ATROUS_CHECK(!images.empty(), ErrorKind::data,
                 "[forward {}] there must be \"input\" [N, C, H, W], or \"input.0\", \"input.1\", ... [C, H, "
                 "W]. Got neither.",
                 file_.origin);
    return images;
  }

  Instances target(size_t i, const Tensor& image, bool with_masks) const {
    Instances t{.height = image.dim(0), .width = image.dim(1)};
    const std::string boxes = fmt::format("boxes.{}", i), labels = fmt::format("labels.{}", i),
                      masks = fmt::format("masks.{}", i);
    t.boxes = file_.at(boxes);
    const int64_t count = t.boxes.rank() == 2 ? t.boxes.dim(0) : 0;
    check(t.boxes, boxes, t.boxes.shape() == Shape({count, 4}) && t.boxes.dtype() == DType::f32,
          "float32 [G, 4]");
    const Tensor given = file_.at(labels);
    check(given, labels,
          given.shape() == Shape({count}) && (given.dtype() == DType::i64 || given.dtype() == DType::i32),
          "int64 or int32 [G], one per box");
    const Tensor numbers = given.to(DType::i64);
    for (int64_t k = 0; k < count; ++k) {
      t.labels.push_back(
          static_cast<int32_t>(std::clamp<int64_t>(numbers.data<int64_t>()[k], -1, int64_t{1} << 30)));
    }
    if (!with_masks) return t;
    const Tensor planes = file_.at(masks);
    check(planes, masks, planes.shape() == Shape({count, t.height, t.width}) && planes.dtype() == DType::u8,
          "uint8 [G, H, W] of the image's size");
    for (int64_t k = 0; k < count; ++k)
      t.masks.push_back(Mask::of_value(planes.narrow_batch(k, 1).reshape({t.height, t.width}), 1));
    return t;
  }

 private:
  void check(const Tensor& t, const std::string& name, bool fits, const char* rule) const {
    ATROUS_CHECK(fits, ErrorKind::data, "[forward {}] \"{}\" must be {}. Got {}.", file_.origin, name, rule,
                 t.describe());
  }
  const TensorFile& file_;
};

Tensor for_file(const Tensor& t) {
  return layers::to_file_layout(t.to(Device::cpu));
}

void append(NamedTensors& out, const Detections& found, size_t i) {
  const int64_t n = found.size();
  const Tensor labels = Tensor::empty({n}, DType::i64);
  std::copy(found.labels.begin(), found.labels.end(), labels.data<int64_t>());
  out.emplace_back(fmt::format("boxes.{}", i), found.boxes);
  out.emplace_back(fmt::format("labels.{}", i), labels);
  out.emplace_back(fmt::format("scores.{}", i), Tensor::from<float>({n}, found.scores));
  if (!found.masks.defined()) return;
  out.emplace_back(fmt::format("masks.{}", i), layers::image_mask_probabilities(found).reshape(
                                                   {n, 1, found.image.height, found.image.width}));
}

}  // namespace

NamedTensors run_detection(layers::DetectionModel& model, const TensorFile& in, const DetectionPass& pass) {
  ATROUS_CHECK(pass.train_mode || !pass.backward, ErrorKind::usage,
               "[forward] --backward of a detection model needs its losses. Add --train-mode and targets.");
  const Inputs inputs(in);
  const std::vector<Tensor> images = inputs.images();
  NamedTensors out;
  layers::StageObserver observe;
  if (pass.stages) {
    observe = [&](const std::string& name, const Tensor& value) {
      out.emplace_back("stage." + name, for_file(value));
    };
  }
  if (!pass.train_mode) {
    const std::vector<Detections> found = model.detect(images, observe);
    for (size_t i = 0; i < found.size(); ++i) append(out, found[i], i);
    return out;
  }
  std::vector<Instances> targets;
  for (size_t i = 0; i < images.size(); ++i)
    targets.push_back(inputs.target(i, images[i], model.has_masks()));
  std::unique_ptr<NoGradGuard> no_tape;
  if (!pass.backward) no_tape = std::make_unique<NoGradGuard>();
  Rng rng(pass.seed);
  const layers::DetectionLosses losses = model.losses(images, targets, rng, observe);
  if (!all_finite(losses.total().value()))
    layers::fail_not_finite(model,
                            {.where = "forward", .output = "the losses", .inputs = images, .repeat = [&] {
                               Rng again(pass.seed);
                               model.losses(images, targets, again);
                             }});
  for (const auto& [name, loss] : losses.named()) out.emplace_back(name, loss.value().to(Device::cpu));
  if (!pass.backward) return out;
  backward(losses.total());
  for (const layers::NamedParameter& p : model.parameters()) {
    if (p.variable.grad().defined()) out.emplace_back("grad." + p.name, for_file(p.variable.grad()));
  }
  return out;
}

}  // namespace atrous::cli
