#include "kernels/conv2d/correlation.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/finish.h"

namespace atrous::kernels {
namespace {

// One execution of a plan: its arguments, and the memory that tasks share.
class Execution {
 public:
  Execution(const CorrelationPlan& plan, const CorrelationOperands& operands, const TileKernels& kernels)
      : plan_(plan),
        shape_(plan.shape),
        operands_(operands),
        kernels_(kernels),
        x_{operands.x, plan.shape.h, plan.shape.w, plan.shape.x_column} {}

  void run() {
    const CorrelationSplit& split = plan_.split;
    const auto pack = [&] { return pack_filter(operands_.filter, plan_.taps, shape_.c, plan_.panels); };
    if (operands_.kept && shape_.k * plan_.steps <= KeptFilters::largest) {
      weights_ = operands_.kept->get(operands_.kept_name, pack);
    } else if (!split.by_panels) {
      weights_ = pack();
    }
    bias_ = padded_bias(operands_.bias, shape_.k, plan_.panels.back().start + plan_.panels.back().width);
    if (operands_.sums) partial_sums_.assign(static_cast<size_t>(split.spatial_tasks * 2 * shape_.k), 0.0);
    if (split.by_panels && !plan_.direct) copy_all_rows();
    parallel_for(plan_.tasks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) run_task(task / split.groups, task % split.groups);
    });
    if (operands_.sums) combine_sums(partial_sums_, split.spatial_tasks, shape_.k, operands_);
  }

 private:
  using Block = CorrelationPlan::Block;

  PaddedRows copies(int64_t image, const Block& b) const {
    const TapExtent& e = plan_.extent;
    PaddedRows rows(x_, operands_.prologue, shape_.c, shape_.c,
                    (b.p_end - b.p - 1) * shape_.step_h + e.h_max - e.h_min + 1);
    rows.select(image, b.first_column, (b.q_end - b.q - 1) * shape_.step_w + e.w_max - e.w_min + 1);
    return rows;
  }

  // The rows that outputs read. Any other, which strides leave at the end, would overwrite one of them.
  void copy_all_rows() {
    const Block b = plan_.block(0);
    for (int64_t image = 0; image < shape_.images; ++image) all_rows_.push_back(copies(image, b));
    const int64_t first = std::max<int64_t>(0, plan_.extent.h_min);
    const int64_t count = std::min(x_.h, (plan_.rows - 1) * shape_.step_h + plan_.extent.h_max + 1) - first;
    parallel_for(shape_.images * std::max<int64_t>(0, count), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) all_rows_[static_cast<size_t>(i / count)].row(first + i % count);
    });
  }

  // The runs of a tile; those of its panels differ in b alone.
  struct Reads {
    explicit Reads(size_t count) : runs(count), step(count) {}
    std::vector<Run> runs;
    std::vector<int64_t> step;
  };

  // The part of the filter that one visit of the pixels reads.
  struct Weights {
    const Panel *first, *last;
    int64_t step, step_end;
    PackedFilter packed;
  };

  void run_task(int64_t spatial_task, int64_t group) {
    const CorrelationSplit& split = plan_.split;
    const Block b = plan_.block(spatial_task);
    std::vector<PaddedRows> own_rows;
    if (!split.by_panels && !plan_.direct) own_rows.push_back(copies(b.image, b));
    PaddedRows* rows = split.by_panels ? all_rows_.data() : own_rows.data();
    FloatBuffer own_weights;
    if (split.by_panels)
      own_weights = FloatBuffer(split.block_panels * plan_.panels[0].width * split.block_steps);
    Reads reads(plan_.taps.size());
    const Panel* last = plan_.first_panel(group + 1);
    for (const Panel* panel = plan_.first_panel(group); panel < last; panel += split.block_panels) {
      Weights w{
          panel, std::min(last, panel + split.block_panels), 0, 0, {weights_.data(), 0, 0, plan_.steps}};
      do {
        w.step = w.step_end;
        w.step_end = std::min(plan_.steps, w.step + split.block_steps);
        if (!weights_.data()) {
          w.packed = {own_weights.data(), panel->start, w.step, w.step_end - w.step};
          pack_steps(operands_.filter, plan_.taps, shape_.c, w.first, w.last, w.step, w.step_end, w.packed);
        }
        for (int64_t image = b.image; image < b.image_end; ++image) {
          for (int64_t p = b.p; p < b.p_end; ++p)
            run_row(b, image, p, w, plan_.direct ? nullptr : &rows[image - b.image], reads);
        }
      } while (w.step_end < plan_.steps);
    }
  }

  // One row of the phases, in strips of nearly equal width.
  void run_row(const Block& b, int64_t image, int64_t p, const Weights& w, PaddedRows* rows, Reads& reads) {
    const std::vector<int64_t>& cuts = plan_.cuts;
    for (size_t cut = 1; cut < cuts.size(); ++cut) {
      const int64_t first = std::max(b.q, cuts[cut - 1]), width = std::min(b.q_end, cuts[cut]) - first;
      const int64_t strips = width > 0 ? ceil_div(width, plan_.widest_strip) : 0;
      for (int64_t i = 0; i < strips; ++i) {
        const int64_t q = first + i * width / strips, q_end = first + (i + 1) * width / strips;
        for (size_t phase = 0; phase < shape_.phases.size(); ++phase) {
          run_tiles(b, phase, image, p, q, std::min(q_end, shape_.phases[phase].columns), w, rows, reads);
        }
        if (w.step_end == plan_.steps) finish(b, image, p, q, q_end, w);
      }
    }
  }

  // Pixels [q, q_end) of a row of a phase, all panels of a block.
  void run_tiles(const Block& b, size_t phase, int64_t image, int64_t p, int64_t q, int64_t q_end,
                 const Weights& w, PaddedRows* rows, Reads& reads) {
    if (p >= shape_.phases[phase].rows || q >= q_end) return;
    const bool direct = plan_.direct;
    const int64_t pixel_stride = direct ? shape_.x_column : shape_.c;
    size_t count = 0;
    for (const TapRun& r : plan_.runs[phase]) {
      const int64_t h = p * shape_.step_h + r.h;
      const int64_t first = q * shape_.step_w + r.w, last = (q_end - 1) * shape_.step_w + r.w + r.count - 1;
      // Taps that meet only padding are skipped; between cuts, all that meet any.
      const bool padding = direct ? first < 0 || last >= x_.w : last < 0 || first >= x_.w;
      const int64_t step = std::max(w.step, r.first_step);
      const int64_t step_end = std::min(w.step_end, r.first_step + r.steps);
      if (h < 0 || h >= x_.h || padding || step >= step_end) continue;
      const float* row = direct ? x_.row(image, h) : rows->row(h);
      reads.runs[count].a = row + (first - b.first_column) * pixel_stride + step - r.first_step;
      reads.step[count] = step;
      reads.runs[count++].count = step_end - step;
    }
    if (count == 0 && w.step > 0) return;
    if (phase == 0 && w.step == 0 && w.first == plan_.panels.data()) {
      prefetch(reads, count, (q_end - q) * shape_.step_w * pixel_stride);
    }
    ForwardTile tile{reads.runs.data(),
                     static_cast<int64_t>(count),
                     shape_.step_w * pixel_stride,
                     nullptr,
                     0,
                     nullptr,
                     shape_.y_column,
                     0};
    float* y = pixel(image, p, q) + shape_.phases[phase].offset;
    for (const Panel* panel = w.first; panel != w.last; ++panel) {
      for (size_t i = 0; i < count; ++i) reads.runs[i].b = w.packed.at(*panel, reads.step[i]);
      tile.y = y + panel->first;
      tile.channels = panel->channels;
      tile.start = w.step > 0 ? tile.y : bias_.data() + panel->start;
      tile.start_stride = w.step > 0 ? shape_.y_column : 0;
      kernels_.forward(tile, panel->vectors, q_end - q);
    }
  }

  // Prefetches the input of the next strip, a strip being `floats` of a row: the rows that a tile walks along
  // are too many for the hardware to follow. It helps 2x2 filters of stride 2 (128 channels 226 to 294
  // GFLOP/s) and class heads (11 classes 14 to 18 GB/s). Copies are in the cache already, and much more than
  // this would displace data in use.
  void prefetch(const Reads& reads, size_t count, int64_t floats) const {
    constexpr int64_t most = 1 << 12, line = 16;
    for (size_t i = 0; plan_.direct && floats <= most && i < count; ++i) {
      const float* next = reads.runs[i].a + floats;
      for (int64_t f = 0; f < floats; f += line) __builtin_prefetch(next + f, 0, 2);
    }
  }

  // The work after the sums, while the pixels are in the first-level cache.
  void finish(const Block& b, int64_t image, int64_t p, int64_t q, int64_t q_end, const Weights& w) {
    const int64_t k = w.first->first, channels = w.last[-1].first + w.last[-1].channels - k;
    double* sums = operands_.sums ? &partial_sums_[static_cast<size_t>(b.task * 2 * shape_.k + k)] : nullptr;
    const int64_t index = (image * plan_.rows + p) * plan_.columns + q;
    finish_pixels(operands_, {pixel(image, p, q) + k, shape_.y_column, index, q_end - q, k, channels}, sums,
                  shape_.k);
  }

  // Of the first phase.
  float* pixel(int64_t image, int64_t p, int64_t q) const {
    return operands_.y + image * shape_.y_image + p * shape_.y_row + q * shape_.y_column;
  }

  const CorrelationPlan& plan_;
  const CorrelationShape& shape_;
  const CorrelationOperands& operands_;
  const TileKernels& kernels_;
  const Grid x_;
  FloatBuffer weights_, bias_;
  std::vector<PaddedRows> all_rows_;  // of each image, if tasks share them
  std::vector<double> partial_sums_;  // [spatial task][2][k]
};

}  // namespace

void execute(const CorrelationPlan& plan, const CorrelationOperands& operands, const TileKernels& kernels) {
  Execution(plan, operands, kernels).run();
}

}  // namespace atrous::kernels
