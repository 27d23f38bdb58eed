#include "layers/receptive_field.h"

#include <algorithm>

#include "core/error.h"

namespace atrous::layers {
namespace {

struct Plane {
  int64_t rows, cols;
};

// What has no spatial axes has one position.
Plane plane_of(const Shape& s) {
  return s.rank() == 4 ? Plane{s[1], s[2]} : Plane{1, 1};
}

bool any(const std::vector<char>& set) {
  return std::ranges::find(set, 1) != set.end();
}

Extent extent_of(const std::vector<char>& set, bool clipped) {
  const auto first = std::ranges::find(set, 1);
  const auto last = std::find(set.rbegin(), set.rend(), 1);
  return {first - set.begin(), static_cast<int64_t>(set.rend() - last) - 1, clipped};
}

// Marks what the positions of `out` read along one axis of `size` positions; whether some lay outside.
bool mark(const std::vector<char>& out, const Reach::Axis& axis, int64_t size, std::vector<char>& in) {
  bool outside = false;
  for (size_t o = 0; o < out.size(); ++o) {
    if (!out[o]) continue;
    const Taps taps = axis(static_cast<int64_t>(o));
    for (int64_t t = 0; t < taps.count; ++t) {
      const int64_t i = taps.first + t * taps.step;
      if (i >= 0 && i < size)
        in[static_cast<size_t>(i)] = 1;
      else
        outside = true;
    }
  }
  return outside;
}

// What was pooled, if a node is the unpooling of a pool's own values: they go back to where they came from.
// (Of values that a layer has changed in between only the window is known.)
const OpGraph::Operand* undone_pool(const OpGraph& graph, const OpGraph::Node& node) {
  if (node.entry != "max_pool2d.unpool") return nullptr;
  const auto writer = [&](size_t read) {
    const std::vector<int>& values = node.reads[read].values;
    return values.size() == 1 ? graph.values()[static_cast<size_t>(values[0])].node : -1;
  };
  const int pool = writer(0);
  if (pool < 0 || pool != writer(1)) return nullptr;
  return &graph.nodes()[static_cast<size_t>(pool)].reads[0];
}

const OpGraph::Node in_place{};  // reads the position that it writes

void add_all(std::vector<char>& to, const std::vector<char>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i] |= from[i];
}

}  // namespace

ReceptiveField::ReceptiveField(const OpGraph& graph, int input) : graph_(graph), input_(input) {
  ATROUS_ASSERT(graph.values().at(static_cast<size_t>(input)).shape.rank() == 4);
}

void ReceptiveField::pull(const OpGraph::Node& node, const Taken& out, const OpGraph::Operand& operand,
                          std::vector<Taken>& taken) const {
  const Plane to = plane_of(operand.shape);
  Taken in{std::vector<char>(static_cast<size_t>(to.rows)), std::vector<char>(static_cast<size_t>(to.cols)),
           out.whole, out.clipped};
  const auto all = [&] {
    std::ranges::fill(in.rows, 1);
    std::ranges::fill(in.cols, 1);
    in.whole = in.whole || to.rows > 1 || to.cols > 1;
  };
  const bool one = to.rows == 1 && to.cols == 1;  // a vector, or a map of one position
  if (one || node.reach.kind == Reach::Kind::whole ||
      (out.rows.size() == 1 && out.cols.size() == 1 && node.reach.kind == Reach::Kind::same)) {
    all();
  } else if (node.reach.kind == Reach::Kind::axes) {
    const bool above = mark(out.rows, node.reach.rows, to.rows, in.rows);
    const bool beside = mark(out.cols, node.reach.cols, to.cols, in.cols);
    if (!any(in.rows) || !any(in.cols)) return;  // padding only
    in.clipped = in.clipped || above || beside;
  } else {
    ATROUS_CHECK(in.rows.size() == out.rows.size() && in.cols.size() == out.cols.size(), ErrorKind::internal,
                 "[receptive field] the op must say which positions it reads. Got {} ({}), which makes {}x{} "
                 "of {}x{}. Give its entry a Reach.",
                 node.entry, node.problem, out.rows.size(), out.cols.size(), to.rows, to.cols);
    in.rows = out.rows;
    in.cols = out.cols;
  }
  for (const int value : operand.values) {
    const Plane plane = plane_of(graph_.values()[static_cast<size_t>(value)].shape);
    Taken& t = taken[static_cast<size_t>(value)];
    if (t.rows.empty()) {
      t.rows.resize(static_cast<size_t>(plane.rows));
      t.cols.resize(static_cast<size_t>(plane.cols));
    }
    t.whole = t.whole || in.whole;
    t.clipped = t.clipped || in.clipped;
    if (t.rows.size() == in.rows.size() && t.cols.size() == in.cols.size()) {
      add_all(t.rows, in.rows);
      add_all(t.cols, in.cols);
    } else {  // read through a view of another shape: where its positions lie is not followed
      std::ranges::fill(t.rows, 1);
      std::ranges::fill(t.cols, 1);
      t.whole = t.whole || plane.rows > 1 || plane.cols > 1;
    }
  }
}

std::optional<FieldOfPosition> ReceptiveField::at(int value, int64_t row, int64_t col) const {
  std::vector<Taken> taken(graph_.values().size());
  {
    const Plane plane = plane_of(graph_.values().at(static_cast<size_t>(value)).shape);
    ATROUS_ASSERT(row >= 0 && row < plane.rows && col >= 0 && col < plane.cols);
    Taken& start = taken[static_cast<size_t>(value)];
    start.rows.resize(static_cast<size_t>(plane.rows));
    start.cols.resize(static_cast<size_t>(plane.cols));
    start.rows[static_cast<size_t>(row)] = start.cols[static_cast<size_t>(col)] = 1;
  }
  for (auto node = graph_.nodes().rbegin(); node != graph_.nodes().rend(); ++node) {
    for (const int written : node->writes) {
      if (taken[static_cast<size_t>(written)].rows.empty()) continue;
      const Taken out = taken[static_cast<size_t>(written)];
      if (const OpGraph::Operand* pooled = undone_pool(graph_, *node)) {
        pull(in_place, out, *pooled, taken);
        continue;
      }
      for (const OpGraph::Operand& operand : node->reads) {
        // Indices carry no gradient.
        if (is_floating(graph_.values()[static_cast<size_t>(operand.values[0])].dtype))
          pull(*node, out, operand, taken);
      }
    }
  }
  const Taken& t = taken[static_cast<size_t>(input_)];
  if (t.rows.empty() || !any(t.rows) || !any(t.cols)) return std::nullopt;
  return FieldOfPosition{extent_of(t.rows, t.clipped), extent_of(t.cols, t.clipped), t.whole};
}

std::optional<LayerField> ReceptiveField::of(int value, int64_t positions) const {
  const Plane plane = plane_of(graph_.values().at(static_cast<size_t>(value)).shape);
  const int64_t count = std::min(positions, plane.rows), first = (plane.rows - count) / 2;
  LayerField field;
  std::optional<Extent> begin, end;
  for (int64_t i = 0; i < count; ++i) {
    const auto at_row = at(value, first + i, std::min(first + i, plane.cols - 1));
    if (!at_row) return std::nullopt;
    field.whole = field.whole || at_row->whole;
    field.clipped = field.clipped || at_row->rows.clipped;
    const int64_t size = std::max(at_row->rows.size(), at_row->cols.size());
    field.largest = std::max(field.largest, size);
    field.smallest = i ? std::min(field.smallest, at_row->rows.size()) : at_row->rows.size();
    if (i == 0) begin = at_row->rows;
    end = at_row->rows;
  }
  const auto centre = [](const Extent& e) { return static_cast<double>(e.first + e.last + 1) / 2; };
  if (count > 1) field.jump = (centre(*end) - centre(*begin)) / static_cast<double>(count - 1);
  field.start = centre(*begin) - static_cast<double>(first) * field.jump;
  return field;
}

}  // namespace atrous::layers
