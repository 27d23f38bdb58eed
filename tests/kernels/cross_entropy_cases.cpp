#include "kernels/cross_entropy/cross_entropy.h"

#include <cmath>

#include "kernels/loss_scale/loss_scale.h"
#include "layers/cross_entropy.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::CrossEntropyOptions;
using kernels::LossReduction;

struct Variant {
  bool class_weights = false;
  bool pixel_weights = false;
  LossReduction reduction = LossReduction::mean;
  double gamma = 0;
  double label_smoothing = 0;
};

// Inputs: logits, labels, then class weights and pixel weights if the variant has them.
std::vector<Input> inputs_of(const Shape& logits, const Variant& v) {
  const Shape pixels{logits[0], logits[1], logits[2]};
  std::vector<Input> in = {{.shape = logits}, {.shape = pixels, .fill = Fill::labels, .classes = logits[3]}};
  if (v.class_weights)
    in.push_back({.shape = {logits[3]}, .fill = Fill::positive, .differentiable = false, .parameter = true});
  if (v.pixel_weights)
    in.push_back({.shape = pixels, .fill = Fill::unit, .differentiable = false, .parameter = true});
  return in;
}

template <class T, class ValueOf>
CrossEntropyOptions options_of(const Variant& v, const std::vector<T>& in, ValueOf value) {
  CrossEntropyOptions o{.reduction = v.reduction, .gamma = v.gamma, .label_smoothing = v.label_smoothing};
  size_t next = 2;
  if (v.class_weights) o.class_weights = value(in[next++]);
  if (v.pixel_weights) o.pixel_weights = value(in[next++]);
  return o;
}

std::string descriptor_of(const Shape& s, const Variant& v) {
  return fmt::format("n{} {}x{} k{}{}{}{} gamma {}{}", s[0], s[1], s[2], s[3],
                     v.class_weights ? " class_weights" : "", v.pixel_weights ? " pixel_weights" : "",
                     v.reduction == LossReduction::sum ? " sum" : "", v.gamma,
                     v.label_smoothing != 0 ? fmt::format(" label_smoothing {}", v.label_smoothing) : "");
}

void add(CaseList& list, const Shape& logits, const Variant& v, const char* network = "") {
  OpCase c{.op = "cross_entropy",
           .entry = "forward",
           .descriptor = descriptor_of(logits, v),
           .inputs = inputs_of(logits, v)};
  c.run = [v](const std::vector<Tensor>& in) {
    const auto r = kernels::cross_entropy(in[0], in[1], options_of(v, in, [](const Tensor& t) { return t; }),
                                          true, true);
    return std::vector<Tensor>{r.loss, r.gradient, r.pixel_losses};
  };
  c.exact = false;  // exponentials
  c.accumulation = logits[3];
  c.bytes = 8.0 * static_cast<double>(logits.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

void add_gradient(CaseList& list, const Shape& logits, const Variant& v) {
  list.gradients.push_back({.op = "cross_entropy",
                            .descriptor = descriptor_of(logits, v),
                            .inputs = inputs_of(logits, v),
                            .function = [v](const std::vector<Variable>& in) {
                              return layers::cross_entropy(
                                  in[0], in[1].value(),
                                  options_of(v, in, [](const Variable& x) { return x.value(); }));
                            }});
}

void add_bad_inputs(CaseList& list) {
  const Tensor logits = Tensor::zeros({2, 3, 4, 5});
  auto labels_with = [](int32_t value) {
    const Tensor y = Tensor::zeros({2, 3, 4}, DType::i32);
    y.data<int32_t>()[12 + 4 + 3] = value;
    y.data<int32_t>()[12 + 8] = value;
    return y;
  };
  auto bad = [&](const char* what, const Tensor& y, const CrossEntropyOptions& o, const char* text,
                 ErrorKind kind) {
    list.bad_inputs.push_back({.op = "cross_entropy",
                               .descriptor = what,
                               .call = [=] { kernels::cross_entropy(logits, y, o, false); },
                               .expected_text = text,
                               .kind = kind});
  };
  bad("label past the classes", labels_with(5), {},
      "ignore_index 255. Got label 5 at image 1 of the batch, row 1, column 3, with 5 classes",
      ErrorKind::data);
  bad("negative label", labels_with(-1), {}, "Got label -1", ErrorKind::data);
  bad("255 without ignoring it", labels_with(255), {.ignore_index = -100}, "Got label 255", ErrorKind::data);
  bad("labels of another size", Tensor::zeros({2, 4, 4}, DType::i32), {}, "shape [2, 3, 4]",
      ErrorKind::usage);
  bad("labels of another type", Tensor::zeros({2, 3, 4}), {}, "labels must be i32 or u8", ErrorKind::usage);
  bad("too few class weights", labels_with(0), {.class_weights = Tensor::zeros({4})},
      "one number per class: [5]", ErrorKind::usage);
  bad("negative class weight", labels_with(0), {.class_weights = Tensor::full({5}, -1)}, "Got -1 for class 0",
      ErrorKind::usage);
  bad("pixel weights of another shape", labels_with(0), {.pixel_weights = Tensor::zeros({3, 4})},
      "one number per pixel", ErrorKind::usage);
  // On a device the loss does not wait for the answer: it is NaN, and the report says why.
  for (DType dtype : {DType::i32, DType::u8}) {
    list.bad_inputs.push_back(
        {.op = "cross_entropy",
         .descriptor = fmt::format("{} label past the classes, on a device", name_of(dtype)),
         .call =
             [=] {
               kernels::report_bad_labels();  // nothing is left of other cases
               const Tensor good = Tensor::zeros({2, 3, 4}, dtype, Device::sim);
               const auto loss = [&](const Tensor& y) {
                 return kernels::cross_entropy(logits.to(Device::sim), y, {}, true).loss.item();
               };
               ATROUS_CHECK(std::abs(loss(good) - std::log(5.0)) < 1e-6, ErrorKind::usage, "wrong loss");
               kernels::report_bad_labels();
               ATROUS_CHECK(std::isnan(loss(labels_with(7).to(dtype).to(Device::sim))), ErrorKind::usage,
                            "a bad label went unseen");
               loss(good);  // hides nothing
               try {
                 kernels::report_bad_labels();
               } catch (const Error&) {
                 kernels::report_bad_labels();  // said once
                 throw;
               }
             },
         .expected_text = "Got label 7 at image 1 of the batch, row 1, column 3, with 5 classes",
         .kind = ErrorKind::data});
  }
  list.bad_inputs.push_back({.op = "cross_entropy",
                             .descriptor = "labels on another device",
                             .call =
                                 [=] {
                                   const Tensor y = labels_with(0).to(Device::sim);
                                   kernels::cross_entropy(logits, y, {}, false);
                                 },
                             .expected_text = "one device"});
  bad("label smoothing of a focal loss", labels_with(0), {.gamma = 2, .label_smoothing = 0.1}, "and gamma 2",
      ErrorKind::usage);
  bad("negative label smoothing", labels_with(0), {.label_smoothing = -0.1}, "must be in [0, 1]",
      ErrorKind::usage);
  bad("negative gamma", labels_with(0), {.gamma = -1}, "gamma must be", ErrorKind::usage);
}

}  // namespace

void add_cross_entropy_cases(CaseList& list) {
  // Numbers of classes on both sides of each bound of an implementation.
  for (int64_t k : {1, 2, 3, 4, 7, 11, 16, 19, 21, 30, 33, 64, 95, 96, 150}) add(list, {2, 5, 7, k}, {});
  add(list, {1, 1, 1, 21}, {});
  add(list, {130, 1, 1, 91}, {});  // rows, as the head of a detector has them
  add(list, {3, 47, 61, 11}, {});
  add(list, {2, 5, 7, 300}, {});
  add(list, {0, 5, 7, 21}, {});
  add(list, {0, 5, 7, 300}, {});
  for (LossReduction reduction : {LossReduction::mean, LossReduction::sum}) {
    add(list, {2, 5, 7, 21}, {true, false, reduction, 0});
    add(list, {2, 5, 7, 11}, {false, true, reduction, 0});
    add(list, {2, 5, 7, 11}, {true, true, reduction, 2});
  }
  add(list, {2, 5, 7, 19}, {false, false, LossReduction::mean, 0.5});
  // Classes on both sides of the bounds of the implementations; a batch of images has one pixel each.
  for (int64_t k : {1, 5, 16, 21, 33, 300})
    add(list, {2, 5, 7, k}, {false, false, LossReduction::mean, 0, 0.1});
  add(list, {16, 1, 1, 1000}, {true, false, LossReduction::mean, 0, 0.1});
  for (LossReduction reduction : {LossReduction::mean, LossReduction::sum})
    add(list, {2, 5, 7, 11}, {true, true, reduction, 0, 0.3});
  add(list, {8, 144, 192, 11}, {}, "unet16_camvid");
  add(list, {1, 512, 512, 21}, {}, "deeplab_head");
  add(list, {2, 512, 1024, 19}, {true, false, LossReduction::mean, 0}, "cityscapes");

  for (int64_t k : {2, 5}) {
    add_gradient(list, {2, 3, 2, k}, {});
    add_gradient(list, {2, 3, 2, k}, {true, true, LossReduction::mean, 0});
    add_gradient(list, {1, 2, 3, k}, {true, false, LossReduction::sum, 2});
    add_gradient(list, {1, 2, 3, k}, {false, false, LossReduction::mean, 0.5});
    add_gradient(list, {2, 3, 2, k}, {false, false, LossReduction::mean, 0, 0.1});
    add_gradient(list, {2, 3, 2, k}, {true, true, LossReduction::sum, 0, 0.4});
  }
  add_bad_inputs(list);
}

}  // namespace atrous::cases
