#include "kernels/conv2d/bf16_correlation.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/bf16_blocks.h"

namespace atrous::kernels {
namespace {

constexpr int64_t cached_weights = 256 * 1024;  // numbers

// 16 neighbouring output pixels of a row, or fewer.
struct Segment {
  int64_t p, q, count;
};

// The rounded rows of a task. Rows outside of the image share one of zeros.
struct Rows {
  Bf16Buffer buffer;
  int64_t first = 0;  // h of the first entry
  std::vector<const uint16_t*> row;

  const uint16_t* at(int64_t h) const { return row[static_cast<size_t>(h - first)]; }
};

// The filter of one phase in the order of its runs: [panel of 32 channels][step][vector][16 pairs][16][2].
class FilterPacker {
 public:
  FilterPacker(const Bf16CorrelationPlan& plan, size_t phase, const FilterView& filter)
      : plan_(plan), taps_(plan.shape.phases[phase].taps), filter_(filter), steps_(plan.steps(phase)) {
    for (const TapRun& r : plan.runs[phase]) run_of_.insert(run_of_.end(), static_cast<size_t>(r.steps), &r);
  }

  int64_t floats() const { return plan_.panels * steps_ * bf16_block; }

  FloatBuffer pack() const {
    FloatBuffer memory(floats());
    uint16_t* to = Bf16Buffer(memory).data();
    parallel_for(plan_.panels * steps_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / steps_, step = i % steps_, vectors = plan_.vectors(panel);
        const TapRun& run = *run_of_[static_cast<size_t>(step)];
        for (int64_t v = 0; v < vectors; ++v) {
          pack_block(run, (step - run.first_step) * bf16_step, panel * bf16_panel + v * bf16_lanes,
                     to + (panel * 2 * steps_ + step * vectors + v) * bf16_block);
        }
      }
    });
    return memory;
  }

 private:
  // Elements [first, first + 32) of a run's reduction for 16 output channels from k on.
  void pack_block(const TapRun& run, int64_t first, int64_t k, uint16_t* to) const {
    const int64_t channels = plan_.shape.c, columns = std::min(plan_.shape.k - k, bf16_lanes);
    const FilterView& f = filter_;
    const auto element = [&](int64_t tap, int64_t c) {
      return f.data + taps_[static_cast<size_t>(run.first + tap)].index * f.tap_stride + c * f.c_stride +
             k * f.k_stride;
    };
    if (run.count == 1) {
      const int64_t count = std::min(channels - first, bf16_step);
      f.c_stride == 1 ? block_of_columns(element(0, first), f.k_stride, columns, count, to)
                      : block_of_reduction(element(0, first), f.c_stride, count, columns, to);
      return;
    }
    float values[bf16_step][bf16_lanes] = {};
    for (int64_t i = 0; i < bf16_step; ++i) {
      const int64_t tap = (first + i) / plan_.width, c = (first + i) % plan_.width;
      if (tap >= run.count || c >= channels) continue;
      for (int64_t j = 0; j < columns; ++j) values[i][j] = element(tap, c)[j * f.k_stride];
    }
    block_of_reduction(values[0], bf16_lanes, bf16_step, columns, to);
  }

  const Bf16CorrelationPlan& plan_;
  const std::vector<Tap>& taps_;
  const FilterView filter_;
  const int64_t steps_;
  std::vector<const TapRun*> run_of_;  // of each step
};

// One execution of a plan: its arguments, and the memory that tasks share.
class Execution {
 public:
  Execution(const Bf16CorrelationPlan& plan, const CorrelationOperands& operands, const Bf16Kernels& kernels)
      : plan_(plan),
        shape_(plan.shape),
        operands_(operands),
        kernels_(kernels),
        x_{operands.x, plan.shape.h, plan.shape.w, plan.shape.x_column} {}

  void run() {
    for (size_t phase = 0; phase < shape_.phases.size(); ++phase) weights_.push_back(packed_weights(phase));
    bias_ = padded_bias(operands_.bias, shape_.k, plan_.panels * bf16_panel);
    const int64_t spatial = plan_.spatial_tasks(), groups = plan_.panel_groups;
    if (operands_.sums) partial_sums_.assign(static_cast<size_t>(spatial * 2 * shape_.k), 0.0);
    parallel_for(spatial * groups, 1, [&](int64_t begin, int64_t end) {
      const Bf16Session session(kernels_);
      for (int64_t task = begin; task < end; ++task) run_task(task / groups, task % groups);
    });
    if (operands_.sums) combine_sums(partial_sums_, spatial, shape_.k, operands_);
  }

 private:
  using Block = Bf16CorrelationPlan::Block;

  Bf16Buffer packed_weights(size_t phase) const {
    const FilterPacker packer(plan_, phase, operands_.filter);
    const int64_t floats = packer.floats();
    if (floats == 0) return {};
    if (!operands_.kept || floats > KeptFilters::largest) return Bf16Buffer(packer.pack());
    return Bf16Buffer(operands_.kept->get(operands_.kept_name, [&] { return packer.pack(); }));
  }

  void convert(const Block& b, Rows& rows) const {
    const int64_t pixels = plan_.window(b.q_end - b.q_begin), stride = plan_.pixel_stride;
    const int64_t size = pixels * stride, column_step = plan_.column_step;
    // Behind the last row: read by rows of a tile that are no pixels, and by the end of a run.
    const int64_t slack = (bf16_lanes * shape_.step_w / column_step + 1) * stride + bf16_step;
    rows.first = b.p_begin * shape_.step_h + plan_.heights.front();
    const int64_t last = (b.p_end - 1) * shape_.step_h + plan_.heights.back();
    rows.row.assign(static_cast<size_t>(last - rows.first + 1), nullptr);
    rows.buffer = Bf16Buffer((plan_.rows_read(b.p_end - b.p_begin) + 1) * size + slack);
    const int64_t first_column = b.q_begin * shape_.step_w + plan_.w_min;
    // Columns [begin, end) of the copy exist in the image.
    const int64_t begin =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(-first_column, 0), column_step), 0, pixels);
    const int64_t room = std::max<int64_t>(x_.w - first_column, 0);
    const int64_t end = std::clamp<int64_t>(ceil_div(room, column_step), begin, pixels);
    uint16_t* to = rows.buffer.data();
    for (int64_t p = b.p_begin; p < b.p_end; ++p) {
      for (const int64_t height : plan_.heights) {
        const int64_t h = p * shape_.step_h + height;
        if (h < 0 || h >= x_.h || rows.at(h)) continue;
        std::fill_n(to, begin * stride, uint16_t{0});
        pixels_to_bf16(x_.row(b.image, h) + (first_column + begin * column_step) * x_.pixel_stride,
                       column_step * x_.pixel_stride, end - begin, shape_.c, operands_.prologue,
                       to + begin * stride, stride, plan_.width);
        std::fill_n(to + end * stride, (pixels - end) * stride, uint16_t{0});
        rows.row[static_cast<size_t>(h - rows.first)] = to;
        to += size;
      }
    }
    std::fill_n(to, size + slack, uint16_t{0});
    for (const uint16_t*& row : rows.row) row = row ? row : to;
  }

  void run_task(int64_t spatial_task, int64_t group) {
    const Block b = plan_.block(spatial_task);
    Rows rows;
    if (!plan_.heights.empty()) convert(b, rows);
    std::vector<Segment> segments;
    std::vector<Bf16Run> runs;
    for (size_t phase = 0; phase < shape_.phases.size(); ++phase) {
      segments.clear();
      for (int64_t p = b.p_begin; p < std::min(b.p_end, shape_.phases[phase].rows); ++p) {
        const int64_t end = std::min(b.q_end, shape_.phases[phase].columns);
        for (int64_t q = b.q_begin; q < end; q += bf16_lanes)
          segments.push_back({p, q, std::min(end - q, bf16_lanes)});
      }
      // As many panels pass over a tile's pixels at once as stay in the cache: y is written in long pieces.
      const int64_t at_once =
          std::max<int64_t>(1, cached_weights / std::max<int64_t>(1, plan_.steps(phase) * 2 * bf16_block));
      const int64_t panels_end = plan_.first_panel(group + 1);
      for (int64_t first = plan_.first_panel(group); first < panels_end; first += at_once) {
        for (size_t s = 0; s < segments.size(); s += 2) {
          for (int64_t panel = first; panel < std::min(first + at_once, panels_end); ++panel) {
            run_tile(b, phase, panel, spatial_task, &segments[s], segments.size() - s > 1 ? 2 : 1, rows,
                     runs);
          }
        }
      }
    }
  }

  // Whether a run meets nothing but padding from a segment on.
  bool is_padding(const TapRun& r, const Segment& s) const {
    const int64_t h = s.p * shape_.step_h + r.h, first = s.q * shape_.step_w + r.w;
    return h < 0 || h >= x_.h || first >= x_.w || first + (s.count - 1) * shape_.step_w + r.count <= 0;
  }

  void run_tile(const Block& b, size_t phase, int64_t panel, int64_t spatial_task, const Segment* segments,
                int64_t count, const Rows& rows, std::vector<Bf16Run>& runs) {
    const int64_t vectors = plan_.vectors(panel), stride = plan_.pixel_stride;
    const uint16_t* weights = weights_[phase].data() + panel * 2 * plan_.steps(phase) * bf16_block;
    runs.clear();
    for (const TapRun& r : plan_.runs[phase]) {
      if (is_padding(r, segments[0]) && (count == 1 || is_padding(r, segments[1]))) continue;
      Bf16Run run{{}, weights + r.first_step * vectors * bf16_block, r.steps};
      for (int64_t i = 0; i < count; ++i) {
        const Segment& s = segments[i];
        run.a[i] = rows.at(s.p * shape_.step_h + r.h) +
                   ((s.q - b.q_begin) * shape_.step_w + r.w - plan_.w_min) / plan_.column_step * stride;
      }
      runs.push_back(run);
    }
    const int64_t first = panel * bf16_panel;
    alignas(64) float result[2 * bf16_lanes * bf16_panel];
    kernels_.multiply(
        {runs.data(), static_cast<int64_t>(runs.size()), shape_.step_w / plan_.column_step * stride,
         bias_.data() + first, 0, result, bf16_panel},
        count, vectors);
    double* sums =
        operands_.sums ? &partial_sums_[static_cast<size_t>(spatial_task * 2 * shape_.k + first)] : nullptr;
    const Phase& to = shape_.phases[phase];
    for (int64_t i = 0; i < count; ++i) {
      const Segment& s = segments[i];
      const int64_t pixel = (b.image * to.rows + s.p) * to.columns + s.q;
      float* y = operands_.y + to.offset + b.image * shape_.y_image + s.p * shape_.y_row +
                 s.q * shape_.y_column + first;
      write_rows(
          result + i * bf16_lanes * bf16_panel, bf16_panel, s.count, std::min(shape_.k - first, bf16_panel),
          {y, shape_.y_column,
           operands_.residual ? operands_.residual + pixel * operands_.residual_stride + first : nullptr,
           operands_.residual_stride, operands_.relu, sums, sums ? sums + shape_.k : nullptr});
    }
  }

  const Bf16CorrelationPlan& plan_;
  const CorrelationShape& shape_;
  const CorrelationOperands& operands_;
  const Bf16Kernels& kernels_;
  const Grid x_;
  std::vector<Bf16Buffer> weights_;  // of each phase
  FloatBuffer bias_;
  std::vector<double> partial_sums_;  // [spatial task][2][k]
};

}  // namespace

void execute(const Bf16CorrelationPlan& plan, const CorrelationOperands& operands,
             const Bf16Kernels& kernels) {
  Execution(plan, operands, kernels).run();
}

}  // namespace atrous::kernels
