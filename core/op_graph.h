// The ops that ran, in order, with the tensors that they read and wrote: one record from which summary,
// receptive field and export are computed.
//
//   OpGraph graph;
//   { const OpGraph::Recording recording(graph); y = network.forward(x); }
//   for (const OpGraph::Node& node : graph.nodes()) ...
//
// Ops are recorded where they are entered (kernels/common/entry.h), copies in tensor.cpp; ops that an op
// calls inside are not. Works on every device; on Device::meta nothing is computed.
//
// Values are in static single assignment form: a write into memory that had a value makes a new one, so
// in-place ops and slices of a ConcatBuffer need no special handling by the reader.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/reach.h"
#include "core/tensor.h"

namespace atrous {

class OpGraph {
 public:
  // What a tensor held after one op wrote it.
  struct Value {
    Shape shape;
    DType dtype = DType::f32;
    int node = -1;  // that wrote it; -1: it was there before (an input, a parameter)
  };
  struct Operand {
    Shape shape;              // of the view that was read
    std::vector<int> values;  // that the memory of the view held; several for a concatenation
  };
  struct Node {
    std::string entry;        // "conv2d.forward"
    std::string problem;      // its one-line descriptor
    std::string module = {};  // dotted path of the module that ran
    uint64_t call = 0;        // the same for all ops of one call of the module (ModuleScope::call)
    double flops = 0;         // a multiply and an add count as two; 0 if unknown
    Reach reach = {};
    std::vector<Operand> reads = {};
    std::vector<int> writes = {};  // values
  };

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Value>& values() const { return values_; }
  // The values that a tensor holds now, in the order in which they were written. For a tensor that no op has
  // touched, a new value is made.
  std::vector<int> values_of(const Tensor& t);

  // While alive: this thread's ops go into the graph. Error(internal) if it records one already.
  class Recording {
   public:
    explicit Recording(OpGraph& graph);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
  };
  // While alive: nothing is recorded (an op's own calls).
  class Pause {
   public:
    Pause() : graph_(current_) { current_ = nullptr; }
    ~Pause() { current_ = graph_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    OpGraph* graph_;
  };
  // The graph that this thread records; null if none.
  static OpGraph* current() { return current_; }

  // Appends a node. `reads` and `writes` may hold undefined tensors, which are left out.
  void add(Node node, const std::vector<Tensor>& reads, const std::vector<Tensor>& writes);

 private:
  struct View {  // rows of bytes at a constant distance
    const std::byte* first;
    int64_t rows, bytes, stride;
  };
  struct Held {
    View view;
    int value;
  };
  using Memory = std::weak_ptr<std::byte>;  // identity only: keeps no tensor alive

  static View view_of(const Tensor& t);
  static bool overlap(const View& a, const View& b);
  static bool covers(const View& a, const View& b);
  int new_value(const Tensor& t, int node);
  void hold(const Tensor& t, int value);

  static inline thread_local OpGraph* current_ = nullptr;
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::map<Memory, std::vector<Held>, std::owner_less<>> held_;
};

}  // namespace atrous
