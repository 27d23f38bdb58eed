#include "kernels/nms/nms.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::NmsOptions;
using kernels::NmsProblem;

struct Sample {
  int64_t boxes;
  NmsOptions options{};
  bool bad_boxes = false;
  bool with_valid = false;
  const char* network = "";
};

// Borders of words, tiles, runs and sorts; groups without boxes; thresholds that keep nothing beside the best
// and that suppress nothing.
const Sample samples[] = {
    {1, {}},
    {2, {}},
    {33, {0.3, 1}},
    {100, {0.5, 5}},
    {100, {0.5, 5, 7}},
    {100, {0.5, 5}, false, true},
    {257, {0.2, 1}},
    {257, {0.7, 2, 30}},
    {300, {0.0, 3}},
    {300, {1.0, 1}},
    {700, {0.1, 1}},
    {1100, {0.9, 1}},
    {2100, {0.3, 20}},
    {200, {0.5, 3}, true},
    {200, {0.5, 1}, true, true},
    {0, {0.5, 3, 10}},
    {8819, {0.7, 5, 2000}, false, false, "maskrcnn_rpn_train"},
    {4507, {0.7, 5, 1000}, false, true, "maskrcnn_rpn_test"},
    {8000, {0.5, 5}, false, false, "five_groups"},
    {91000, {0.5, 91, 100}, false, true, "maskrcnn_classes"},
};

void add(CaseList& list, const Sample& s) {
  const NmsProblem p{s.boxes, s.options};
  OpCase c{.op = "nms", .entry = "suppress", .descriptor = p.str()};
  c.descriptor += fmt::format("{}{}", s.bad_boxes ? " bad boxes" : "", s.with_valid ? " some valid" : "");
  // Groups -1, a tenth, are left out. Valid is 0 for an eleventh or so.
  c.inputs = {boxes_input(s.boxes, s.bad_boxes),
              scores_input({s.boxes}),
              {.shape = {s.boxes}, .fill = Fill::labels, .classes = s.options.groups, .ignore_label = -1},
              {.shape = {s.boxes}, .fill = Fill::labels, .classes = 20, .ignore_label = 0, .bytes = true}};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor scores = s.bad_boxes ? spoiled_scores(in[1]) : in_f32(in[1]);
    const Tensor groups = s.options.groups > 1 ? in[2] : Tensor();
    const auto r = kernels::nms(in_f32(in[0]), scores, groups, s.with_valid ? in[3] : Tensor(), s.options);
    return std::vector<Tensor>{r.indices, r.count};
  };
  c.bytes = 28.0 * static_cast<double>(s.boxes);
  // Comparisons: pairs of a group, of which about half are left out since one is suppressed before.
  c.flops = 4.0 * static_cast<double>(s.boxes * s.boxes) / static_cast<double>(s.options.groups);
  c.benchmark = *s.network != 0;
  c.network = s.network;
  list.cases.push_back(c);
}

}  // namespace

void add_nms_cases(CaseList& list) {
  for (const Sample& s : samples) add(list, s);
  list.not_differentiable.push_back("nms");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "nms", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor boxes = Tensor::zeros({3, 4}), scores = Tensor::zeros({3}), none;
  bad(
      "no scores", [=] { kernels::nms(boxes, none, none, none, {}); }, "[nms] every box needs a score");
  bad(
      "scores of others", [=] { kernels::nms(boxes, Tensor::zeros({2}), none, none, {}); },
      "[nms] scores must be f32 [3], one per box. Got f32 [2]");
  bad(
      "groups of u8", [=] { kernels::nms(boxes, scores, Tensor::zeros({3}, DType::u8), none, {}); },
      "groups must be i32 [3], one per box. Got u8 [3]");
  bad(
      "valid of floats", [=] { kernels::nms(boxes, scores, none, scores, {}); }, "valid must be u8 [3]");
  bad(
      "threshold", [=] { kernels::nms(boxes, scores, none, none, {1.5}); },
      "the threshold must be in [0, 1]. Got 1.5");
  bad(
      "no groups",
      [=] {
        kernels::nms(boxes, scores, none, none, {0.5, 0});
      },
      "at least one group is needed");
  bad(
      "two devices", [=] { kernels::nms(boxes, scores.to(Device::sim), none, none, {}); }, "one device");
}

}  // namespace atrous::cases
