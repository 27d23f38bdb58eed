#include "kernels/anchors/anchors.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::AnchorProblem;
using kernels::CellAnchors;

// Anchors depend on no tensor; the input says on which device to make them.
void add(CaseList& list, const AnchorProblem& p, const char* network = "") {
  OpCase c{.op = "anchors", .entry = "grid", .descriptor = p.str()};
  c.inputs = {{.shape = {1}, .parameter = true}};
  c.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::anchors(p, in[0].device())};
  };
  c.bytes = 16.0 * static_cast<double>(p.height * p.width) * static_cast<double>(p.cell.size());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

}  // namespace

void add_anchors_cases(CaseList& list) {
  const std::vector<double> ratios{0.5, 1, 2};
  const CellAnchors three = kernels::rounded_cell_anchors({32}, ratios);
  const CellAnchors nine = kernels::exact_cell_anchors({128, 256, 512}, ratios);
  add(list, {1, 1, 64, 64, three});
  add(list, {13, 21, 61, 64, three});
  add(list, {25, 11, 32, 31, nine});
  add(list, {5, 3, 16, 16, {{-1, -2, 3, 4}}});
  add(list, {4, 9, 8, 8, kernels::exact_cell_anchors(std::vector<double>(23, 32), ratios)});  // 69 at a place
  add(list, {0, 3, 16, 16, three});
  add(list, {4, 3, 16, 16, {}});
  add(list, {200, 336, 4, 4, three}, "maskrcnn_800x1344_p2");
  list.not_differentiable.push_back("anchors");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "anchors", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  bad(
      "no ratios", [] { kernels::rounded_cell_anchors({32}, {}); },
      "[anchors] at least one of the ratios is needed. Got none");
  bad(
      "negative size", [] { kernels::exact_cell_anchors({-32}, {1}); },
      "[anchors] sizes must be positive and finite. Got -32");
  bad(
      "stride 0",
      [=] {
        kernels::anchors({2, 2, 0, 4, three});
      },
      "strides at least 1. Got 2x2 stride 0x4 k3");
  bad(
      "too many",
      [=] {
        kernels::anchors({1 << 20, 1 << 20, 4, 4, three});
      },
      "at most 2^31 - 1 anchors");
}

}  // namespace atrous::cases
