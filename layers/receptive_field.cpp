#include "layers/receptive_field.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace atrous::layers {
namespace {

struct Plane {
  int64_t rows, cols;
  bool operator==(const Plane&) const = default;
};

// What has no spatial axes has one position.
Plane plane_of(const Shape& s) {
  return s.rank() == 4 ? Plane{s[1], s[2]} : Plane{1, 1};
}

// The hull of both.
void add(Extent& to, const Extent& from) {
  const bool clipped = to.clipped || from.clipped;
  if (from.size() > 0)
    to = to.size() > 0 ? Extent{std::min(to.first, from.first), std::max(to.last, from.last)} : from;
  to.clipped = clipped;
}

// What was pooled, if a node is the unpooling of a pool's own values: they return to where they came from.
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

// Bins of an adaptive pool grow with the image, so no image is large enough for them.
bool grows_with_image(const OpGraph::Node& node) {
  return node.entry == "adaptive_avg_pool2d.forward";
}

// Twice the centre, which is whole.
int64_t centre2(const Extent& e) {
  return e.first + e.last + 1;
}

}  // namespace

// Sizes, jump and start along one axis.
struct ReceptiveField::Pattern {
  int64_t smallest = 0, largest = 0;
  double jump = 0, start = 0;
  bool complete = false;  // a period was seen
};

ReceptiveField::ReceptiveField(const OpGraph& graph, int input)
    : graph_(graph), fields_(graph.values().size()) {
  const Shape& image = graph.values().at(static_cast<size_t>(input)).shape;
  ATROUS_ASSERT(image.rank() == 4);
  height_ = image[1];
  width_ = image[2];
  Field& pixels = fields_[static_cast<size_t>(input)];
  for (int64_t h = 0; h < height_; ++h) pixels.rows.at.push_back({h, h});
  for (int64_t w = 0; w < width_; ++w) pixels.cols.at.push_back({w, w});
  for (const OpGraph::Node& node : graph.nodes()) {
    for (const int written : node.writes) {
      const Shape& shape = graph.values()[static_cast<size_t>(written)].shape;
      Field field;
      if (const OpGraph::Operand* pooled = undone_pool(graph, node)) {
        field = pull(in_place, *pooled, shape);
      } else {
        for (const OpGraph::Operand& operand : node.reads) {
          // Indices carry no gradient.
          if (is_floating(graph.values()[static_cast<size_t>(operand.values[0])].dtype))
            merge(field, pull(node, operand, shape));
        }
      }
      fields_[static_cast<size_t>(written)] = std::move(field);
    }
  }
}

void ReceptiveField::add(Axis& to, const Axis& from) {
  if (to.at.empty()) {
    to = from;
    return;
  }
  to.coarsest = std::max(to.coarsest, from.coarsest);
  for (size_t i = 0; i < to.at.size() && i < from.at.size(); ++i) layers::add(to.at[i], from.at[i]);
}

void ReceptiveField::merge(Field& to, Field&& from) const {
  if (to.unknown.empty()) to.unknown = std::move(from.unknown);
  if (from.rows.at.empty()) return;
  add(to.rows, from.rows);
  add(to.cols, from.cols);
  to.whole = to.whole || from.whole;
}

// What each of `positions` outputs reads through its taps.
ReceptiveField::Axis ReceptiveField::read(const Axis& from, const Reach::Axis& reach, int64_t positions) {
  Axis to{std::vector<Extent>(static_cast<size_t>(positions)), from.coarsest};
  const auto size = static_cast<int64_t>(from.at.size());
  for (int64_t o = 0; o < positions; ++o) {
    const Taps taps = reach(o);
    Extent& extent = to.at[static_cast<size_t>(o)];
    for (int64_t t = 0; t < taps.count; ++t) {
      const int64_t i = taps.first + t * taps.step;
      if (i >= 0 && i < size)
        layers::add(extent, from.at[static_cast<size_t>(i)]);
      else
        extent.clipped = true;
    }
  }
  return to;
}

// What outputs read that depend on every position.
ReceptiveField::Axis ReceptiveField::read_everything(const Axis& from, int64_t positions) {
  Extent all;
  for (const Extent& e : from.at) layers::add(all, e);
  return {std::vector<Extent>(static_cast<size_t>(positions), all), from.coarsest};
}

// The positions of an operand depend on what those of its values do: several for a concatenation.
ReceptiveField::Field ReceptiveField::operand_field(const OpGraph::Operand& operand) const {
  const Plane plane = plane_of(operand.shape);
  Field field;
  for (const int value : operand.values) {
    Field part = fields_[static_cast<size_t>(value)];
    const Plane own = plane_of(graph_.values()[static_cast<size_t>(value)].shape);
    if (own != plane && !part.rows.at.empty()) {
      // Read through a view of another shape: where its positions lie is not followed.
      part.rows = read_everything(part.rows, plane.rows);
      part.cols = read_everything(part.cols, plane.cols);
      part.whole = part.whole || own.rows > 1 || own.cols > 1;
    }
    merge(field, std::move(part));
  }
  return field;
}

ReceptiveField::Field ReceptiveField::pull(const OpGraph::Node& node, const OpGraph::Operand& operand,
                                           const Shape& written) const {
  Field from = operand_field(operand);
  if (from.rows.at.empty()) return from;
  const Plane in = plane_of(operand.shape), out = plane_of(written);
  const bool vector = in == Plane{1, 1};  // or a map of one position: the same for all positions
  const bool global = node.reach.kind == Reach::Kind::whole || written.rank() != 4 ||  // statistics of a map
                      (node.reach.kind == Reach::Kind::same && out == Plane{1, 1});
  Field to{{}, {}, from.whole, std::move(from.unknown)};
  if (vector || global) {
    to.rows = read_everything(from.rows, out.rows);
    to.cols = read_everything(from.cols, out.cols);
    to.whole = to.whole || !vector;
  } else if (node.reach.kind == Reach::Kind::axes) {
    to.rows = read(from.rows, node.reach.rows, out.rows);
    to.cols = read(from.cols, node.reach.cols, out.cols);
    if (grows_with_image(node)) {
      for (Axis* axis : {&to.rows, &to.cols})
        for (Extent& e : axis->at) e.clipped = true;
    }
  } else if (in == out) {
    to.rows = std::move(from.rows);
    to.cols = std::move(from.cols);
  } else if (to.unknown.empty()) {
    to.unknown = fmt::format("{} ({}), which makes {}x{} of {}x{}", node.entry, node.problem, out.rows,
                             out.cols, in.rows, in.cols);
  }
  const auto pixels_per_position = [](int64_t pixels, int64_t positions) {
    return (pixels + positions - 1) / positions;
  };
  to.rows.coarsest = std::max(to.rows.coarsest, pixels_per_position(height_, out.rows));
  to.cols.coarsest = std::max(to.cols.coarsest, pixels_per_position(width_, out.cols));
  return to;
}

const ReceptiveField::Field& ReceptiveField::known(int value) const {
  const Field& field = fields_.at(static_cast<size_t>(value));
  ATROUS_CHECK(field.unknown.empty(), ErrorKind::internal,
               "[receptive field] the op must say which positions it reads. Got {}. Give its entry a Reach.",
               field.unknown);
  return field;
}

std::optional<FieldOfPosition> ReceptiveField::at(int value, int64_t row, int64_t col) const {
  const Field& field = known(value);
  if (field.rows.at.empty()) return std::nullopt;
  const Extent &rows = field.rows.at.at(static_cast<size_t>(row)),
               &cols = field.cols.at.at(static_cast<size_t>(col));
  if (rows.size() <= 0 || cols.size() <= 0) return std::nullopt;
  return FieldOfPosition{rows, cols, field.whole};
}

// Positions repeat with a period p: position o + p reads what o reads, some pixels further. In a run of at
// least 2p + 1 positions a smaller number cannot pass for p, if the run is also longer than two positions of
// the coarsest map on the way, where longer periods come from.
ReceptiveField::Pattern ReceptiveField::pattern_of(const Axis& axis, int64_t pixels) {
  const auto count = static_cast<int64_t>(axis.at.size());
  const auto at = [&](int64_t o) -> const Extent& { return axis.at[static_cast<size_t>(o)]; };
  int64_t first = 0, end = 0;  // the longest run that borders do not touch
  for (int64_t begin = 0, o = 0; o <= count; ++o) {
    if (o < count && at(o).size() > 0 && !at(o).clipped) continue;
    if (o - begin > end - first) first = begin, end = o;
    begin = o + 1;
  }
  const auto sizes = [&](int64_t from, int64_t to) {
    Pattern p;
    for (int64_t o = from; o < to; ++o) {
      const int64_t size = at(o).size();
      if (size <= 0) continue;
      p.smallest = p.largest ? std::min(p.smallest, size) : size;
      p.largest = std::max(p.largest, size);
    }
    return p;
  };
  const int64_t run = end - first;
  if (run * pixels <= 2 * axis.coarsest * count) return sizes(0, count);
  for (int64_t period = 1; 2 * period + 1 <= run; ++period) {
    const int64_t step = centre2(at(first + period)) - centre2(at(first));
    bool repeats = step > 0;
    for (int64_t o = first; repeats && o + period < end; ++o) {
      repeats = centre2(at(o + period)) - centre2(at(o)) == step && at(o + period).size() == at(o).size();
    }
    if (!repeats) continue;
    Pattern p = sizes(first, first + period);
    p.complete = true;
    p.jump = static_cast<double>(step) / static_cast<double>(2 * period);
    // mean of centre(o) - o*jump over a period, as one fraction
    int64_t sum = 0;
    for (int64_t o = first; o < first + period; ++o) sum += centre2(at(o)) * period - o * step;
    p.start = static_cast<double>(sum) / static_cast<double>(2 * period * period);
    return p;
  }
  return sizes(0, count);
}

std::optional<LayerField> ReceptiveField::of(int value) const {
  const Field& field = known(value);
  if (field.rows.at.empty()) return std::nullopt;
  const Pattern rows = pattern_of(field.rows, height_), cols = pattern_of(field.cols, width_);
  if (rows.largest == 0 || cols.largest == 0) return std::nullopt;
  return LayerField{.whole = field.whole,
                    .smallest = std::min(rows.smallest, cols.smallest),
                    .largest = std::max(rows.largest, cols.largest),
                    .jump = rows.jump,
                    .start = rows.start,
                    .clipped = !rows.complete || !cols.complete};
}

}  // namespace atrous::layers
