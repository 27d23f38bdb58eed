#include "kernels/box_iou/box_iou.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, int64_t a, int64_t b, bool bad_boxes, const char* network = "") {
  const kernels::BoxIouProblem p{a, b};
  OpCase c{.op = "box_iou", .entry = "pairs", .descriptor = p.str() + (bad_boxes ? " bad boxes" : "")};
  c.inputs = {boxes_input(a, bad_boxes), boxes_input(b, bad_boxes)};
  c.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::box_iou(in_f32(in[0]), in_f32(in[1]))};
  };
  c.bytes = 4.0 * static_cast<double>(a * b);
  c.flops = 16.0 * static_cast<double>(a * b);
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

}  // namespace

void add_box_iou_cases(CaseList& list) {
  add(list, 1, 1, false);
  add(list, 5, 7, false);
  add(list, 33, 129, false);   // one more than a strip and than a block
  add(list, 64, 1030, false);  // one run and a bit on the CPU
  add(list, 40, 50, true);
  add(list, 0, 5, false);
  add(list, 5, 0, false);
  add(list, 20, 268569, false, "maskrcnn_800x1344");
  add(list, 2000, 300, false, "maskrcnn_rois");
  list.not_differentiable.push_back("box_iou");

  const auto bad = [&](const char* what, const Tensor& a, const Tensor& b, const char* text) {
    list.bad_inputs.push_back({.op = "box_iou",
                               .descriptor = what,
                               .call = [=] { kernels::box_iou(a, b); },
                               .expected_text = text});
  };
  const Tensor good = Tensor::zeros({3, 4});
  bad("five columns", good, Tensor::zeros({3, 5}),
      "[box_iou] the second list must be f32 [n, 4]: x1, y1, x2, y2. Got f32 [3, 5]");
  bad("one box without a list", Tensor::zeros({4}), good, "the first list must be f32 [n, 4]");
  bad("integers", good, Tensor::zeros({3, 4}, DType::i32), "Got i32 [3, 4]");
  bad("nothing", Tensor(), good, "Got undefined");
  bad("two devices", good, good.to(Device::sim), "one device");
}

}  // namespace atrous::cases
