#include "kernels/box_coder/box_coder.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::BoxCoderOptions;
using kernels::BoxCoderProblem;

constexpr BoxCoderOptions heads{.wx = 10, .wy = 10, .ww = 5, .wh = 5};

OpCase base_case(const char* entry, const BoxCoderProblem& p, const char* network) {
  OpCase c{.op = "box_coder", .entry = entry, .descriptor = p.str()};
  c.bytes = 48.0 * static_cast<double>(p.boxes * p.classes);
  c.benchmark = *network != 0;
  c.network = network;
  return c;
}

void add_encode(CaseList& list, int64_t n, const BoxCoderOptions& options, const char* network = "") {
  OpCase c = base_case("encode", {n, 1, options}, network);
  c.inputs = {boxes_input(n), boxes_input(n)};
  c.run = [options](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::encode_boxes(in_f32(in[0]), in_f32(in[1]), options)};
  };
  c.exact = false;  // log
  list.cases.push_back(c);
}

void add_decode(CaseList& list, int64_t n, int64_t classes, const BoxCoderOptions& options,
                const char* network = "") {
  OpCase c = base_case("decode", {n, classes, options}, network);
  c.inputs = {{.shape = {n, 4 * classes}, .parameter = true}, boxes_input(n)};
  c.run = [options](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::decode_boxes(in_f32(in[0]), in_f32(in[1]), options)};
  };
  c.exact = false;  // exp
  list.cases.push_back(c);
}

void add_clip(CaseList& list, int64_t n, bool bad_boxes) {
  OpCase c = base_case("clip", {.boxes = n}, "");
  if (bad_boxes) c.descriptor += " bad boxes";
  c.inputs = {boxes_input(n, bad_boxes)};
  c.run = [](const std::vector<Tensor>& in) {
    // Half of the boxes cross the border, whatever the run.
    return std::vector<Tensor>{kernels::clip_boxes(in_f32(in[0]), 5, 6.5),
                               kernels::clip_boxes(in_f32(in[0]), 500, 600)};
  };
  list.cases.push_back(c);
}

void add_usable(CaseList& list, int64_t n, bool bad_boxes, bool strict) {
  OpCase c = base_case("usable", {.boxes = n}, "");
  c.descriptor += fmt::format("{}{}", bad_boxes ? " bad boxes" : "", strict ? " strict" : "");
  c.inputs = {boxes_input(n, bad_boxes), scores_input({n})};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor boxes = in_f32(in[0]), scores = bad_boxes ? spoiled_scores(in[1]) : in_f32(in[1]);
    return std::vector<Tensor>{
        kernels::usable_boxes(boxes, scores, {.min_size = 2, .min_score = 1, .strict = strict}),
        kernels::usable_boxes(boxes, Tensor(), {.min_size = 200})};
  };
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "box_coder", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor three = Tensor::zeros({3, 4});
  bad(
      "encode: numbers differ",
      [=] {
        kernels::encode_boxes(three, Tensor::zeros({2, 4}));
      },
      "[encode_boxes] every proposal needs one reference. Got f32 [3, 4] for f32 [2, 4]");
  bad(
      "weight 0", [=] { kernels::encode_boxes(three, three, {.wx = 0}); },
      "weights must be positive and finite. Got 0");
  bad(
      "decode: six columns",
      [=] {
        kernels::decode_boxes(Tensor::zeros({3, 6}), three);
      },
      "[decode_boxes] deltas must be f32 [3, 4 k]. Got f32 [3, 6]");
  bad(
      "decode: other rows",
      [=] {
        kernels::decode_boxes(Tensor::zeros({2, 8}), three);
      },
      "Got f32 [2, 8]");
  bad(
      "clip: negative", [=] { kernels::clip_boxes(three, -1, 5); },
      "[clip_boxes] height and width must not be negative. Got -1 and 5");
  bad(
      "clip: no boxes",
      [=] {
        kernels::clip_boxes(Tensor::zeros({3, 5}), 1, 5);
      },
      "must be f32 [..., 4 k]");
  bad(
      "usable: scores of others", [=] { kernels::usable_boxes(three, Tensor::zeros({2}), {}); },
      "[usable_boxes] scores must be f32 [3]. Got f32 [2]");
}

}  // namespace

void add_box_coder_cases(CaseList& list) {
  for (int64_t n : {0, 1, 7, 129, 2049}) {
    add_encode(list, n, {});
    add_clip(list, n, false);
    add_usable(list, n, false, false);
  }
  add_encode(list, 64, heads);
  add_decode(list, 0, 3, {});
  add_decode(list, 1, 1, {});
  add_decode(list, 300, 1, {});
  add_decode(list, 33, 91, heads);
  add_decode(list, 2049, 2, heads);
  add_decode(list, 50, 3, {.wx = 0.25, .wy = 0.25, .ww = 0.25, .wh = 0.25});  // past the clamp
  add_clip(list, 90, true);
  add_usable(list, 90, true, false);
  add_usable(list, 90, true, true);
  add_encode(list, 268569, {}, "maskrcnn_800x1344");
  add_decode(list, 268569, 1, {}, "maskrcnn_800x1344");
  add_decode(list, 1000, 91, heads, "maskrcnn_rois");
  list.not_differentiable.push_back("box_coder");
  add_bad_inputs(list);
}

}  // namespace atrous::cases
