#include "kernels/match_boxes/match_boxes.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::MatchOptions;

struct Sample {
  int64_t truths, boxes;
  MatchOptions options{};
  bool bad_boxes = false;
  const char* network = "";
};

constexpr MatchOptions heads{0.5, 0.5, false};

// More truths than a tile, more boxes than a block and than a run; nothing on either side.
const Sample samples[] = {
    {1, 1, {}},
    {3, 20, {}},
    {7, 129, {}},
    {7, 129, heads},
    {129, 50, {}},
    {20, 1030, {}},
    {20, 300, {0.5, 0.4, true}},
    {20, 300, {0.0, 0.0, false}},
    {40, 90, {}, true},
    {40, 90, heads, true},
    {0, 50, {}},
    {5, 0, {}},
    {20, 268569, {}, false, "maskrcnn_800x1344"},
    {300, 268569, {}, false, "maskrcnn_800x1344_crowded"},
    {20, 2020, heads, false, "maskrcnn_rois"},
};

void add(CaseList& list, const Sample& s) {
  const kernels::MatchProblem p{s.truths, s.boxes, s.options};
  OpCase c{.op = "match_boxes", .entry = "match", .descriptor = p.str() + (s.bad_boxes ? " bad boxes" : "")};
  c.inputs = {boxes_input(s.truths, s.bad_boxes), boxes_input(s.boxes, s.bad_boxes)};
  c.run = [options = s.options](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::match_boxes(in_f32(in[0]), in_f32(in[1]), options)};
  };
  c.flops = 32.0 * static_cast<double>(s.truths) * static_cast<double>(s.boxes);
  c.bytes = 20.0 * static_cast<double>(s.boxes);
  c.benchmark = *s.network != 0;
  c.network = s.network;
  list.cases.push_back(c);
}

}  // namespace

void add_match_boxes_cases(CaseList& list) {
  for (const Sample& s : samples) add(list, s);
  list.not_differentiable.push_back("match_boxes");

  const auto bad = [&](const char* what, const Tensor& g, const Tensor& a, MatchOptions options,
                       const char* text) {
    list.bad_inputs.push_back({.op = "match_boxes",
                               .descriptor = what,
                               .call = [=] { kernels::match_boxes(g, a, options); },
                               .expected_text = text});
  };
  const Tensor good = Tensor::zeros({3, 4});
  bad("masks for boxes", Tensor::zeros({3, 4, 4}), good, {},
      "[match_boxes] the truths must be f32 [n, 4]: x1, y1, x2, y2. Got f32 [3, 4, 4]");
  bad("f64", good, Tensor::zeros({3, 4}, DType::f64), {}, "the boxes must be f32 [n, 4]");
  bad("thresholds swapped", good, good, {0.3, 0.7, true},
      "thresholds must be 0 <= low <= high <= 1. Got low 0.7 and high 0.3");
  bad("two devices", good, good.to(Device::sim), {}, "one device");
}

}  // namespace atrous::cases
