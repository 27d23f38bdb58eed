// Label smoothing, by numbers of PyTorch's cross_entropy in double precision.
#include <catch2/catch.hpp>

#include "layers/losses.h"

using namespace atrous;

namespace {

struct Expected {
  std::vector<double> weights;
  double loss;
  std::vector<double> gradient;
};

// Two labelled pixels and an ignored one, three classes.
const std::vector<double> logits = {1, 2, -1, 0.5, 0, 3, 0, 0, 0};
const Expected unweighted{{},
                          0.3947759209021102,
                          {0.1130815635045429, -0.11397441031754607, 0.0008928468130031987,
                           0.01959405617370721, 0.005326573479362256, -0.024920629653069515, 0, 0, 0}};
const Expected weighted{{1, 2, 0.5},
                        0.44232057008599945,
                        {0.18561395292918798, -0.20587187359801504, 0.020257920668827124,
                         0.0031048610209694887, -0.01669639780046689, 0.013591536779497364, 0, 0, 0}};

layers::LossOptions smoothed(const std::vector<double>& weights) {
  layers::LossOptions o;
  o.terms = {layers::LossTerm{}};
  o.terms[0].label_smoothing = 0.1;
  o.class_weights = weights;
  return o;
}

}  // namespace

TEST_CASE("label smoothing has PyTorch's loss and gradient, with class weights too") {
  for (const Expected& e : {unweighted, weighted}) {
    for (const Device device : {Device::cpu, Device::sim}) {
      for (const DType dtype : {DType::f32, DType::f64}) {
        if (device == Device::sim && dtype == DType::f64) continue;
        const Variable z(Tensor::from<double>({1, 1, 3, 3}, logits).to(dtype).to(device), true);
        const Tensor labels = Tensor::empty({1, 1, 3}, DType::u8);
        const uint8_t values[] = {1, 2, 255};
        std::copy_n(values, 3, labels.data<uint8_t>());
        layers::SegmentationOutput out;
        out.logits = z;
        out.region = {0, 0, 1, 3};
        const Variable loss = layers::segmentation_loss(out, labels, smoothed(e.weights));
        const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
        CHECK(loss.value().item() == Approx(e.loss).margin(tolerance).epsilon(0));
        backward(loss, Tensor::scalar(1, loss.dtype()));
        const Tensor gradient = z.grad().to(Device::cpu).to(DType::f64);
        for (int64_t i = 0; i < 9; ++i)
          CHECK(gradient.data<double>()[i] ==
                Approx(e.gradient[static_cast<size_t>(i)]).margin(tolerance).epsilon(0));
      }
    }
  }
}

TEST_CASE("label smoothing of resized logits is that of the resized map, and classes may have number 255") {
  layers::SegmentationOutput coarse;
  const Variable z(Tensor::from<double>({1, 1, 1, 2}, {1, -0.5}).to(DType::f32), true);
  coarse.logits = z;
  coarse.region = {0, 0, 2, 3};
  const Tensor labels = Tensor::zeros({1, 2, 3}, DType::u8);
  layers::SegmentationOutput one;
  one.logits = Variable(z.value().clone());
  one.region = {0, 0, 1, 1};
  const layers::LossOptions options = smoothed({});
  CHECK(layers::segmentation_loss(coarse, labels, options).value().item() ==
        Approx(layers::segmentation_loss(one, Tensor::zeros({1, 1, 1}, DType::u8), options).value().item()));

  layers::LossOptions images = smoothed({});
  images.ignore_index = -1;
  layers::SegmentationOutput many;
  many.logits = Variable(Tensor::zeros({1, 1, 1, 300}));
  many.region = {0, 0, 1, 1};
  CHECK(layers::segmentation_loss(many, Tensor::full({1, 1, 1}, 255, DType::i32), images).value().item() ==
        Approx(std::log(300.0)));
}

TEST_CASE("auxiliary heads have the weight of the options, each") {
  layers::SegmentationOutput out;
  const Variable z(Tensor::zeros({1, 1, 1, 4}));
  out.logits = out.aux = z;
  out.more_aux = {z};
  out.region = {0, 0, 1, 1};
  layers::LossOptions options;
  options.aux_weight = 0.3;
  CHECK(layers::segmentation_loss(out, Tensor::zeros({1, 1, 1}, DType::u8), options).value().item() ==
        Approx(1.6 * std::log(4.0)));
}
