#include "cli/bench_net_cases.h"

#include <fmt/format.h>

#include "cli/bench_timing.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "kernels/paste_masks/paste_masks.h"
#include "layers/losses.h"
#include "layers/state_dict.h"
#include "nets/factory.h"
#include "train/math.h"
#include "train/optimizer.h"

namespace atrous::cli {
namespace {

constexpr size_t batches = 4;
constexpr int64_t objects_per_image = 8;
constexpr double learning_rate = 1e-3;
// The gradients of a detector with random weights and constant norms are large; it must find as many regions
// in the last step as in the first.
constexpr double detector_learning_rate = 1e-7;

// Batch norm over the single pixel of ASPP's mean needs two images in training.
constexpr NetCase cases[] = {
    {.network = "unet32", .model = "unet", .backbone = "", .base_width = 32, .batch = 1},
    {.network = "unet32", .model = "unet", .backbone = "", .base_width = 32, .batch = 4},
    {.network = "unet32",
     .model = "unet",
     .backbone = "",
     .base_width = 32,
     .batch = 16,
     .where = Where::gpu},
    {.network = "unet64", .model = "unet", .backbone = "", .batch = 1, .where = Where::gpu},
    {.network = "unet64", .model = "unet", .backbone = "", .batch = 4, .where = Where::gpu},
    {.network = "unet64", .model = "unet", .backbone = "", .batch = 16, .where = Where::gpu},
    {.network = "fcn8s_resnet18", .model = "fcn8s", .backbone = "resnet18", .batch = 1},
    {.network = "fcn8s_resnet18", .model = "fcn8s", .backbone = "resnet18", .batch = 4},
    {.network = "fcn8s_vgg16",
     .model = "fcn8s",
     .backbone = "vgg16",
     .height = 360,
     .width = 480,
     .where = Where::cpu},
    {.network = "deeplabv3plus_mobilenet_v2",
     .model = "deeplabv3plus",
     .backbone = "mobilenet_v2",
     .height = 360,
     .width = 480,
     .modes = Modes::inference,
     .where = Where::cpu},
    {.network = "deeplabv3plus_mobilenet_v2",
     .model = "deeplabv3plus",
     .backbone = "mobilenet_v2",
     .batch = 2,
     .height = 360,
     .width = 480,
     .modes = Modes::training,
     .where = Where::cpu},
    {.network = "unet_efficientnet_lite0",
     .model = "unet",
     .backbone = "efficientnet_lite0",
     .batch = 8,
     .height = 256,
     .width = 352,
     .where = Where::cpu},
    {.network = "deeplabv3_resnet50",
     .model = "deeplabv3_resnet50",
     .backbone = "",
     .height = 360,
     .width = 480,
     .modes = Modes::inference,
     .where = Where::cpu},
    {.network = "deeplabv3_resnet50",
     .model = "deeplabv3_resnet50",
     .backbone = "",
     .batch = 2,
     .height = 360,
     .width = 480,
     .modes = Modes::training,
     .where = Where::cpu},
    {.network = "maskrcnn_resnet50_fpn",
     .model = "maskrcnn_resnet50_fpn",
     .backbone = "",
     .height = 480,
     .width = 640,
     .classes = 91,
     .where = Where::cpu},
};

Tensor random_normal(const Shape& shape, uint64_t seed) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

Tensor random_labels(const NetCase& net, uint64_t seed) {
  const Tensor t = Tensor::empty({net.batch, net.height, net.width}, DType::u8);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, net.classes - 1));
  return t;
}

std::shared_ptr<train::Optimizer> make_sgd(const layers::Model& model) {
  train::OptimizerOptions sgd;  // momentum 0.9
  sgd.lr = learning_rate;
  return std::make_shared<train::Optimizer>(sgd, model.parameters(), nullptr,
                                            /*bf16_copies=*/model.compute_dtype() == DType::bf16);
}

OwnNet own_segmentation(const NetCase& net, bool training, const BenchOptions& bench,
                        const nets::ModelOptions& options) {
  const std::shared_ptr<layers::SegmentationModel> model = nets::make_model(options, 1);
  train::Config config;
  config.math = bench.math;
  train::use_math(config, *model);
  model->train(training);
  std::vector<Tensor> images, labels;
  for (uint64_t i = 0; i < batches; ++i) {
    images.push_back(model->input_of(random_normal({net.batch, net.height, net.width, 3}, i)));
    labels.push_back(random_labels(net, i).to(bench.device));
  }
  OwnNet own{.model = model, .step = {}, .save = {}};
  if (!training) {
    own.step = [model, images, device = bench.device](int64_t round) {
      return seconds_on(device, [&] {
        const NoGradGuard no_grad;
        layers::full_resolution_logits(
            model->forward(Variable(images[static_cast<size_t>(round) % images.size()])));
      });
    };
    return own;
  }
  own.step = [model, images, labels, optimizer = make_sgd(*model), device = bench.device](int64_t round) {
    const size_t i = static_cast<size_t>(round) % images.size();
    return seconds_on(device, [&] {
      const Variable loss = layers::segmentation_loss(model->forward(Variable(images[i])), labels[i], {});
      backward(loss, Tensor::scalar(1, loss.dtype()));  // known already: no device query is needed
      optimizer->step(learning_rate);
    });
  };
  return own;
}

// An ellipse in each of a few boxes.
Instances random_objects(const NetCase& net, Rng& rng) {
  Instances objects;
  objects.height = net.height;
  objects.width = net.width;
  objects.boxes = Tensor::empty({objects_per_image, 4});
  for (int64_t i = 0; i < objects_per_image; ++i) {
    Mask mask;
    mask.width = rng.integer(net.width / 12, net.width / 3);
    mask.height = rng.integer(net.height / 12, net.height / 3);
    mask.x0 = rng.integer(0, net.width - mask.width);
    mask.y0 = rng.integer(0, net.height - mask.height);
    for (int64_t y = 0; y < mask.height; ++y) {
      for (int64_t x = 0; x < mask.width; ++x) {
        const double dx = (static_cast<double>(x) + 0.5) / static_cast<double>(mask.width) - 0.5,
                     dy = (static_cast<double>(y) + 0.5) / static_cast<double>(mask.height) - 0.5;
        mask.pixels.push_back(dx * dx + dy * dy <= 0.25 ? 1 : 0);
      }
    }
    const int64_t corners[] = {mask.x0, mask.y0, mask.x0 + mask.width, mask.y0 + mask.height};
    for (int c = 0; c < 4; ++c) objects.box(i)[c] = static_cast<float>(corners[c]);
    objects.labels.push_back(static_cast<int32_t>(rng.integer(1, net.classes - 1)));
    objects.masks.push_back(std::move(mask));
    objects.crowd.push_back(0);
  }
  return objects;
}

struct DetectionBatch {
  std::vector<Tensor> images;
  std::vector<Instances> targets;
};

// Colours with some structure, so that a network with random weights does not see the same everywhere.
Tensor random_picture(const NetCase& net, const Instances& objects, Rng& rng) {
  const Tensor image = Tensor::empty({net.height, net.width, 3});
  float* p = image.data<float>();
  for (int64_t i = 0; i < image.numel(); ++i) p[i] = static_cast<float>(0.5 * rng.uniform());
  for (const Mask& mask : objects.masks) {
    const float colour[] = {static_cast<float>(rng.uniform()), static_cast<float>(rng.uniform()),
                            static_cast<float>(rng.uniform())};
    for (int64_t i = 0; i < mask.height * mask.width; ++i) {
      if (!mask.pixels[static_cast<size_t>(i)]) continue;
      float* pixel = p + 3 * ((mask.y0 + i / mask.width) * net.width + mask.x0 + i % mask.width);
      std::copy_n(colour, 3, pixel);
    }
  }
  return image;
}

// Weights under their names; "image.b.i" [H,W,3] and "boxes.b.i", "labels.b.i", "masks.b.i" of batch b.
void save_for_peer(const std::string& path, const layers::Model& model,
                   const std::vector<DetectionBatch>& inputs) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : layers::state_dict(model))
    tensors.emplace_back("weights." + name, tensor);
  for (size_t b = 0; b < inputs.size(); ++b) {
    for (size_t i = 0; i < inputs[b].images.size(); ++i) {
      const std::string which = fmt::format(".{}.{}", b, i);
      const Instances& objects = inputs[b].targets[i];
      const Tensor masks = Tensor::zeros({objects.size(), objects.height, objects.width}, DType::u8);
      for (size_t o = 0; o < objects.masks.size(); ++o) {
        const Mask& m = objects.masks[o];
        uint8_t* plane = masks.data<uint8_t>() + static_cast<int64_t>(o) * objects.height * objects.width;
        for (int64_t y = 0; y < m.height; ++y)
          std::copy_n(m.pixels.data() + y * m.width, m.width, plane + (m.y0 + y) * objects.width + m.x0);
      }
      tensors.emplace_back("image" + which, inputs[b].images[i]);
      tensors.emplace_back("boxes" + which, objects.boxes);
      tensors.emplace_back("labels" + which,
                           Tensor::from<int32_t>({objects.size()}, std::span<const int32_t>(objects.labels)));
      tensors.emplace_back("masks" + which, masks);
    }
  }
  write_safetensors(path, tensors);
}

OwnNet own_detector(const NetCase& net, bool training, const BenchOptions& bench,
                    const nets::ModelOptions& options) {
  const std::shared_ptr<layers::DetectionModel> model = nets::make_detector(options, 1);
  train::Config config;
  config.math = bench.math;
  train::use_math(config, *model);
  model->train(training);
  auto inputs = std::make_shared<std::vector<DetectionBatch>>(batches);
  Rng rng(1);
  for (DetectionBatch& batch : *inputs) {
    for (int64_t i = 0; i < net.batch; ++i) {
      batch.targets.push_back(random_objects(net, rng));
      batch.images.push_back(random_picture(net, batch.targets.back(), rng));
    }
  }
  OwnNet own{.model = model, .step = {}, .save = [model, inputs](const std::string& path) {
               save_for_peer(path, *model, *inputs);
             }};
  if (!training) {
    own.step = [model, inputs, device = bench.device](int64_t round) {
      return seconds_on(device, [&] {
        for (const layers::Detections& found :
             model->detect((*inputs)[static_cast<size_t>(round) % batches].images))
          layers::image_mask_probabilities(found);  // torchvision's results include them, too
      });
    };
    return own;
  }
  own.step = [model, inputs, optimizer = make_sgd(*model), device = bench.device](int64_t round) {
    const DetectionBatch& batch = (*inputs)[static_cast<size_t>(round) % batches];
    Rng sampler(static_cast<uint64_t>(round));
    return seconds_on(device, [&] {
      const Variable loss = model->losses(batch.images, batch.targets, sampler).total();
      backward(loss, Tensor::scalar(1, loss.dtype()));
      optimizer->step(detector_learning_rate);
    });
  };
  return own;
}

}  // namespace

bool NetCase::runs(bool training, Device device) const {
  if (modes == (training ? Modes::inference : Modes::training)) return false;
  return where == Where::everywhere || (where == Where::cpu) == (device == Device::cpu);
}

std::string NetCase::name(bool training) const {
  return fmt::format("{} {} batch {}", network, training ? "train" : "infer", batch);
}

std::span<const NetCase> net_cases() {
  return cases;
}

int64_t OwnNet::parameters() const {
  int64_t count = 0;
  for (const layers::NamedParameter& p : model->parameters()) count += p.variable.value().numel();
  return count;
}

OwnNet own_net(const NetCase& net, bool training, const BenchOptions& bench) {
  const layers::BuildDeviceGuard build_on(bench.device);
  nets::ModelOptions options;
  options.name = net.model;
  options.backbone = net.backbone;
  options.base_width = net.base_width;
  options.num_classes = net.classes;
  if (!nets::is_detector(options.name)) return own_segmentation(net, training, bench, options);
  // As fine-tuned from published weights: constant norms, the first stages fixed. The image is not
  // enlarged.
  options.norm = layers::NormKind::frozen;
  options.freeze = {"backbone.body.conv1.", "backbone.body.layer1."};
  options.detection.min_size = {std::min(net.height, net.width)};
  options.detection.max_size = std::max(net.height, net.width);
  return own_detector(net, training, bench, options);
}

}  // namespace atrous::cli
