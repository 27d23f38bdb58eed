#include "kernels/topk/topk.h"

#include "tests/kernels/box_inputs.h"

namespace atrous::cases {
namespace {

using kernels::TopKProblem;

void add(CaseList& list, const TopKProblem& p, bool bad_scores = false, const char* network = "") {
  int64_t length = 0;
  for (int64_t s : p.segments) length += s;
  OpCase c{.op = "topk", .entry = "largest", .descriptor = p.str() + (bad_scores ? " bad scores" : "")};
  c.inputs = {scores_input({p.rows, length})};
  c.run = [=](const std::vector<Tensor>& in) {
    const auto r = kernels::topk(bad_scores ? spoiled_scores(in[0]) : in_f32(in[0]), p.segments, p.k);
    // The values of bad scores are NaN and infinite, which no comparison takes; their places are enough.
    return bad_scores ? std::vector<Tensor>{r.indices} : std::vector<Tensor>{r.values, r.indices};
  };
  c.bytes = 4.0 * static_cast<double>(p.rows * length);
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

}  // namespace

void add_topk_cases(CaseList& list) {
  add(list, {1, {1}, 1});
  add(list, {1, {7}, 3});
  add(list, {2, {300, 41, 5, 1}, 20});  // segments longer and shorter than k
  add(list, {1, {1000}, 257});
  add(list, {1, {2500}, 2048});
  add(list, {1, {5000}, 2049});  // past what is selected in shared memory
  add(list, {2, {600, 0, 30}, 1000});
  add(list, {2, {9, 8, 7, 6, 5, 4, 3, 2, 1, 10}, 4});  // more segments than a launch takes
  add(list, {3, {64}, 0});
  add(list, {0, {64}, 5});
  add(list, {2, {}, 5});
  add(list, {2, {400, 33}, 150}, true);
  add(list, {1, {400}, 390}, true);
  add(list, {2, {201600, 50400, 12600, 3150, 819}, 2000}, false, "maskrcnn_800x1344_train");
  add(list, {1, {201600, 50400, 12600, 3150, 819}, 1000}, false, "maskrcnn_800x1344_test");
  list.not_differentiable.push_back("topk");

  const auto bad = [&](const char* what, const Tensor& v, const std::vector<int64_t>& segments, int64_t k,
                       const char* text) {
    list.bad_inputs.push_back({.op = "topk",
                               .descriptor = what,
                               .call = [=] { kernels::topk(v, segments, k); },
                               .expected_text = text});
  };
  const Tensor good = Tensor::zeros({2, 8});
  bad("one row without rows", Tensor::zeros({8}), {8}, 3, "[topk] values must be f32 [rows, A]. Got f32 [8]");
  bad("integers", Tensor::zeros({2, 8}, DType::i32), {8}, 3, "Got i32 [2, 8]");
  bad("segments too short", good, {4, 3}, 3, "Got the top 3 of [4, 3] for f32 [2, 8]");
  bad("negative segment", good, {10, -2}, 3, "must not be negative");
  bad("negative k", good, {8}, -1, "Got the top -1 of [8]");
}

}  // namespace atrous::cases
