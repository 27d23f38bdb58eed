#include "core/op_graph.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/error.h"

namespace atrous {

OpGraph::View OpGraph::view_of(const Tensor& t) {
  const auto size = static_cast<int64_t>(size_of(t.dtype()));
  View v{t.device_raw(), t.pixels(), t.channels() * size, t.pixel_stride() * size};
  if (t.contiguous()) v = {v.first, 1, v.rows * v.bytes, v.rows * v.bytes};
  return v;
}

namespace {

int64_t extent(int64_t rows, int64_t bytes, int64_t stride) {
  return rows ? (rows - 1) * stride + bytes : 0;
}

}  // namespace

// Rows at the same distance are compared column by column, others by their extents.
bool OpGraph::overlap(const View& a, const View& b) {
  const int64_t shift = b.first - a.first;  // bytes; may be negative
  if (shift >= extent(a.rows, a.bytes, a.stride) || -shift >= extent(b.rows, b.bytes, b.stride)) return false;
  if (a.stride != b.stride || a.rows == 1 || b.rows == 1) {
    // A dense view overlaps every row that it reaches into; a single short row may lie in a gap.
    const View &wide = a.rows > 1 ? a : b, &other = a.rows > 1 ? b : a;
    if (wide.rows == 1 || other.rows > 1 || other.bytes >= wide.stride) return true;
    const int64_t at = ((other.first - wide.first) % wide.stride + wide.stride) % wide.stride;
    return at < wide.bytes || at + other.bytes > wide.stride;
  }
  const int64_t at = (shift % a.stride + a.stride) % a.stride;
  return at < a.bytes || at + b.bytes > a.stride;
}

// Whether a write of `a` overwrites all of `b`.
bool OpGraph::covers(const View& a, const View& b) {
  const int64_t shift = b.first - a.first;
  const bool within =
      shift >= 0 && shift + extent(b.rows, b.bytes, b.stride) <= extent(a.rows, a.bytes, a.stride);
  if (a.rows <= 1) return within;
  return within && a.stride == b.stride && shift % a.stride + b.bytes <= a.bytes;
}

int OpGraph::new_value(const Tensor& t, int node) {
  values_.push_back({t.shape(), t.dtype(), node});
  return static_cast<int>(values_.size()) - 1;
}

void OpGraph::hold(const Tensor& t, int value) {
  std::vector<Held>& held = held_[t.memory()];
  const View view = view_of(t);
  std::erase_if(held, [&](const Held& h) { return covers(view, h.view); });
  held.push_back({view, value});
}

std::vector<int> OpGraph::values_of(const Tensor& t) {
  std::vector<int> found;
  const View view = view_of(t);
  if (const auto it = held_.find(t.memory()); it != held_.end()) {
    for (const Held& h : it->second) {
      if (overlap(view, h.view)) found.push_back(h.value);
    }
  }
  if (found.empty()) {
    found.push_back(new_value(t, -1));
    hold(t, found.back());
  }
  return found;
}

void OpGraph::add(Node node, const std::vector<Tensor>& reads, const std::vector<Tensor>& writes) {
  node.module = ModuleScope::path();
  node.call = ModuleScope::call();
  for (const Tensor& t : reads) {
    if (t.defined()) node.reads.push_back({t.shape(), values_of(t)});
  }
  const auto number = static_cast<int>(nodes_.size());
  for (const Tensor& t : writes) {
    if (!t.defined()) continue;
    node.writes.push_back(new_value(t, number));
    hold(t, node.writes.back());
  }
  nodes_.push_back(std::move(node));
}

OpGraph::Recording::Recording(OpGraph& graph) {
  ATROUS_CHECK(!current_, ErrorKind::internal,
               "[op graph] a thread records one graph at a time. End the first recording.");
  current_ = &graph;
}

OpGraph::Recording::~Recording() {
  current_ = nullptr;
}

}  // namespace atrous
