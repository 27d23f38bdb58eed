#include "tests/kernels/reach_check.h"

#include <algorithm>

#include "layers/receptive_field.h"

namespace atrous::cases {
namespace {

struct Span {
  int64_t first = INT64_MAX, last = -1;
  void add(int64_t i) { first = std::min(first, i), last = std::max(last, i); }
  bool within(const layers::Extent& e) const { return last < 0 || (first >= e.first && last <= e.last); }
};

}  // namespace

std::string check_reach(const GradientCase& c, const std::vector<Variable>& inputs) {
  const Tensor& x = inputs[0].value();
  if (!c.ops_alone || x.rank() != 4 || x.numel() == 0 || !inputs[0].requires_grad()) return "";
  OpGraph graph;
  const int input = graph.values_of(x)[0];
  Variable y;
  {
    const OpGraph::Recording recording(graph);
    y = c.function(inputs);
  }
  if (y.value().rank() != 4 || y.value().numel() == 0) return "";
  const std::vector<int> output = graph.values_of(y.value());
  const layers::ReceptiveField field(graph, input);
  const int64_t rows = y.dim(1), cols = y.dim(2), channels = y.dim(3);
  for (const auto& [row, col] :
       {std::pair<int64_t, int64_t>{0, cols - 1}, {rows / 2, cols / 2}, {rows - 1, 0}}) {
    std::vector<Variable> leaves;
    for (const Variable& v : inputs) leaves.emplace_back(v.value(), v.requires_grad());
    const Variable result = c.function(leaves);
    const Tensor seeds = Tensor::zeros(result.shape(), DType::f64);
    std::fill_n(seeds.data<double>() + (row * cols + col) * channels, channels, 1.0);
    backward(result, seeds);
    const Tensor gradient = leaves[0].grad();
    if (!gradient.defined()) return "";
    Span h, w;
    for (int64_t i = 0; i < x.dim(1) * x.dim(2) * x.dim(3); ++i) {  // of the first image
      if (gradient.data<double>()[i] == 0) continue;
      h.add(i / x.dim(3) / x.dim(2));
      w.add(i / x.dim(3) % x.dim(2));
    }
    const auto said = field.at(output.at(0), row, col);
    if (!said ? h.last >= 0 : !h.within(said->rows) || !w.within(said->cols))
      return fmt::format(
          "the Reach of the entry leaves out inputs: position ({}, {}) depends on rows {} to {}, columns {} "
          "to {}",
          row, col, h.first, h.last, w.first, w.last);
  }
  return "";
}

}  // namespace atrous::cases
