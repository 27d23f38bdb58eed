#include "kernels/loss_scale/loss_scale.h"

#include "kernels/labels/labels.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::LossScale;
using kernels::LossScaleProblem;

struct Sample {
  Shape pixels;
  int64_t classes;
  bool class_weights = false, pixel_weights = false, mean = true, bytes = false;
};

// One pixel, none; a label that ends a block of threads; several blocks on the CPU (16,384 pixels each) and
// on a GPU, past the most that it starts.
const Sample samples[] = {
    {{2, 5, 7}, 21},
    {{2, 5, 7}, 21, true},
    {{2, 5, 7}, 21, false, true},
    {{2, 5, 7}, 21, true, true},
    {{2, 5, 7}, 21, true, true, false},
    {{1, 1, 1}, 1},
    {{0, 4, 4}, 5},
    {{1, 3, 43}, 3, true, true, true, true},
    {{130, 1, 1}, 91, true},
    {{2, 131, 127}, 5, true, true, true, true},
};

void add(CaseList& list, const Sample& s) {
  const LossScaleProblem p{.mean = s.mean,
                           .n = s.pixels[0],
                           .h = s.pixels[1],
                           .w = s.pixels[2],
                           .classes = s.classes,
                           .class_weights = s.class_weights,
                           .pixel_weights = s.pixel_weights};
  OpCase c{.op = "loss_scale",
           .entry = "forward",
           .descriptor = p.str(),
           .inputs = {{.shape = s.pixels, .fill = Fill::labels, .classes = s.classes, .bytes = s.bytes}}};
  if (s.class_weights) c.inputs.push_back({.shape = {s.classes}, .fill = Fill::positive, .parameter = true});
  if (s.pixel_weights) c.inputs.push_back({.shape = s.pixels, .fill = Fill::positive, .parameter = true});
  c.run = [s](const std::vector<Tensor>& in) {
    const Tensor y = kernels::checked_labels("loss_scale", in[0], s.pixels, s.classes, 255);
    LossScale what{.mean = s.mean, .classes = s.classes};
    size_t next = 1;
    if (s.class_weights)
      what.class_weights = kernels::checked_class_weights("loss_scale", in[next++], s.classes, y.device());
    if (s.pixel_weights)
      what.pixel_weights = kernels::checked_pixel_weights("loss_scale", in[next++], s.pixels, y.device());
    return std::vector<Tensor>{kernels::loss_scale(what, y)};
  };
  c.accumulation = s.pixels.numel();
  c.bytes = static_cast<double>(s.pixels.numel()) * (s.bytes ? 1 : 4);
  list.cases.push_back(c);
}

// Numbers by hand, on every device: weights of the three pixels that count are 2 x 0.5, 1 x 1 and 2 x 1.
void add_by_hand(CaseList& list, Device device) {
  list.bad_inputs.push_back(
      {.op = "loss_scale",
       .descriptor = fmt::format("a label past the classes, {}", name_of(device)),
       .call =
           [device] {
             kernels::report_bad_labels();  // nothing is left of other cases
             const auto values = [](std::initializer_list<int32_t> four) {
               const Tensor y = Tensor::zeros({1, 2, 2}, DType::i32);
               std::copy(four.begin(), four.end(), y.data<int32_t>());
               return y;
             };
             const Tensor by_class = Tensor::full({2}, 1), by_pixel = Tensor::full({1, 2, 2}, 1);
             by_class.data<float>()[1] = 2;
             by_pixel.data<float>()[0] = 0.5f;
             const auto scale = [&](const Tensor& labels, bool mean) {
               const Tensor y = kernels::checked_labels("loss", labels.to(device), {1, 2, 2}, 2, 255);
               const LossScale what{
                   .mean = mean,
                   .classes = 2,
                   .class_weights = kernels::checked_class_weights("loss", by_class.to(device), 2, device),
                   .pixel_weights =
                       kernels::checked_pixel_weights("loss", by_pixel.to(device), {1, 2, 2}, device)};
               return kernels::loss_scale(what, y).item();
             };
             const Tensor good = values({1, 0, 255, 1});
             ATROUS_CHECK(scale(good, true) == 0.25 && scale(good, false) == 1, ErrorKind::usage, "wrong");
             ATROUS_CHECK(scale(values({255, 255, 255, 255}), true) == 0, ErrorKind::usage, "not 0");
             const double bad = scale(values({1, 0, 3, 7}), true);
             ATROUS_CHECK(bad != bad, ErrorKind::usage, "a bad label went unseen");
             scale(values({9, 0, 0, 0}), true);  // the first one is kept
             kernels::report_bad_labels();
           },
       .expected_text = "Got label 3 at image 0 of the batch, row 1, column 0, with 2 classes",
       .kind = ErrorKind::data});
}

}  // namespace

void add_loss_scale_cases(CaseList& list) {
  for (const Sample& s : samples) add(list, s);
  for (Device device : {Device::cpu, Device::sim}) add_by_hand(list, device);
  list.not_differentiable.push_back("loss_scale");
}

}  // namespace atrous::cases
