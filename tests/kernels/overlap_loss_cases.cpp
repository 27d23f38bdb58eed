#include "kernels/overlap_loss/overlap_loss.h"

#include "layers/overlap_loss.h"
#include "layers/softmax.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::OverlapLossOptions;
using kernels::OverlapMeasure;

void add(CaseList& list, const Shape& p, const OverlapLossOptions& options, const char* network = "") {
  OpCase c{.op = "overlap_loss",
           .entry = "forward",
           .descriptor = kernels::OverlapLossProblem{p.numel() / p[-1], p[-1], options, DType::f32}.str(),
           .inputs = {{.shape = p, .fill = Fill::unit},
                      {.shape = {p[0], p[1], p[2]}, .fill = Fill::labels, .classes = p[-1]}}};
  c.run = [options](const std::vector<Tensor>& in) {
    const auto r = kernels::overlap_loss(in[0], in[1], options, true);
    return std::vector<Tensor>{r.loss, r.gradient};
  };
  c.exact = false;  // divisions
  c.bytes = 12.0 * static_cast<double>(p.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

}  // namespace

void add_overlap_loss_cases(CaseList& list) {
  for (OverlapMeasure measure : {OverlapMeasure::dice, OverlapMeasure::iou}) {
    for (bool squared : {false, true}) {
      const OverlapLossOptions options{.measure = measure, .smooth = squared ? 0.0 : 1.0, .squared = squared};
      for (int64_t k : {1, 2, 11, 21, 150}) add(list, {2, 5, 7, k}, options);
      add(list, {1, 1, 1, 3}, options);
      add(list, {0, 4, 3, 5}, options);
      add(list, {2, 61, 53, 11}, options);
      list.gradients.push_back(
          {.op = "overlap_loss",
           .descriptor = kernels::OverlapLossProblem{12, 3, options, DType::f64}.str(),
           .inputs = {{.shape = {2, 3, 2, 3}}, {.shape = {2, 3, 2}, .fill = Fill::labels, .classes = 3}},
           .function = [options](const std::vector<Variable>& in) {
             return layers::overlap_loss(layers::softmax(in[0]), in[1].value(), options);
           }});
    }
  }
  add(list, {8, 144, 192, 11}, {}, "unet16_camvid");

  auto bad = [&](const char* what, const Tensor& labels, double smooth, const char* text, ErrorKind kind) {
    list.bad_inputs.push_back(
        {.op = "overlap_loss",
         .descriptor = what,
         .call =
             [=] {
               kernels::overlap_loss(Tensor::zeros({1, 2, 2, 3}), labels, {.smooth = smooth}, false);
             },
         .expected_text = text,
         .kind = kind});
  };
  bad("label past the classes", Tensor::full({1, 2, 2}, 7, DType::u8), 1, "Got label 7 at image 0",
      ErrorKind::data);
  bad("labels of another shape", Tensor::zeros({1, 2, 3}, DType::u8), 1, "shape [1, 2, 2]", ErrorKind::usage);
  bad("negative smooth", Tensor::zeros({1, 2, 2}, DType::u8), -1,
      "smooth must be finite and not negative. Got -1", ErrorKind::usage);
}

}  // namespace atrous::cases
