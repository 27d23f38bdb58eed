#include "layers/network_graph.h"

#include <map>
#include <set>

namespace atrous::layers {
namespace {

int64_t macs_of(const OpGraph::Node& node) {
  return static_cast<int64_t>(node.flops / 2);
}

// Modules without children, by their dotted paths.
void collect_leaves(const Module& module, const std::string& path,
                    std::map<std::string, const Module*>& leaves) {
  if (module.children().empty()) leaves.emplace(path, &module);
  for (const auto& [name, child] : module.children()) {
    collect_leaves(*child, path + (path.empty() || name.empty() ? "" : ".") + name, leaves);
  }
}

// The main input of a layer: of floating type and the first among the tensors that a node wrote, if there are
// any.
const OpGraph::Operand* main_input(const OpGraph& graph, const OpGraph::Node& node) {
  for (const OpGraph::Operand& operand : node.reads) {
    if (is_floating(graph.values()[static_cast<size_t>(operand.values[0])].dtype)) return &operand;
  }
  return nullptr;
}

}  // namespace

int64_t RecordedPass::macs() const {
  int64_t sum = 0;
  for (const OpGraph::Node& node : graph.nodes()) sum += macs_of(node);
  return sum;
}

RecordedPass record_pass(Model& model, const Shape& image) {
  RecordedPass pass;
  const Tensor x = Tensor::empty(image, model.compute_dtype(), model.device());
  pass.input = pass.graph.values_of(x)[0];
  const OpGraph::Recording recording(pass.graph);
  if (auto* detector = dynamic_cast<DetectionModel*>(&model)) {
    detector->run_heads(Variable(x), detector->regions(model.training()));
  } else {
    pass.result = dynamic_cast<SegmentationModel&>(model).forward(Variable(x));
    // In training the resize is part of the loss.
    const Tensor logits =
        model.training() ? pass.result.logits.value() : full_resolution_logits(pass.result).value();
    const std::vector<int> values = pass.graph.values_of(logits);
    ATROUS_ASSERT(values.size() == 1);  // not a concatenation, where only one part would be followed
    pass.output = values[0];
  }
  return pass;
}

std::vector<LayerRow> layer_rows(const Model& model, const OpGraph& graph) {
  std::map<std::string, const Module*> leaves;
  collect_leaves(model, "", leaves);
  std::vector<LayerRow> rows;
  std::set<const Module*> counted;
  uint64_t call = 0;  // of the module of the last row
  for (const OpGraph::Node& node : graph.nodes()) {
    if (node.writes.empty()) continue;
    const auto leaf = leaves.find(node.module);
    const bool is_leaf = leaf != leaves.end() && !node.module.empty();
    if (!is_leaf && node.reach.kind == Reach::Kind::same) continue;
    const OpGraph::Operand* input = main_input(graph, node);
    if (!input) continue;
    const int output = node.writes[0];
    if (!is_leaf || rows.empty() || node.call != call) {
      LayerRow row;
      row.name = node.module;
      row.kind = is_leaf ? leaf->second->kind() : node.entry.substr(0, node.entry.find('.'));
      row.arguments = is_leaf ? leaf->second->arguments() : node.problem;
      row.input = input->shape;
      if (is_leaf && counted.insert(leaf->second).second) {  // once, however often it is called
        for (const NamedParameter& p : leaf->second->parameters())
          row.parameters += p.variable.value().numel();
      }
      rows.push_back(std::move(row));
    }
    call = is_leaf ? node.call : 0;
    LayerRow& row = rows.back();
    row.macs += macs_of(node);
    row.output = graph.values()[static_cast<size_t>(output)].shape;
    row.value = output;
  }
  return rows;
}

}  // namespace atrous::layers
