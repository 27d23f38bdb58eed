#include <algorithm>

#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/finish.h"
#include "kernels/conv2d/grouped.h"

namespace atrous::kernels {
namespace {

// One execution of a plan: its arguments, and the memory that tasks share.
class Execution {
 public:
  Execution(const GroupedCorrelationPlan& plan, const CorrelationOperands& operands, int64_t filter_step,
            const GroupKernels& kernels)
      : plan_(plan),
        shape_(plan.shape),
        blocks_(plan.blocks),
        operands_(operands),
        filter_step_(filter_step),
        kernels_(kernels),
        index_(plan.blocks.index(kernels.lanes)),
        channels_(plan.blocks.groups * plan.shape.k) {}

  void run() {
    const auto pack_all = [&] { return pack(); };
    weights_ = operands_.kept && packed_floats() <= KeptFilters::largest
                   ? operands_.kept->get(operands_.kept_name, pack_all)
                   : pack();
    bias_ = FloatBuffer(blocks_.blocks * kernels_.lanes);
    std::fill_n(bias_.data(), blocks_.blocks * kernels_.lanes, 0.0f);
    for (int64_t k = 0; operands_.bias && k < channels_; ++k)
      bias_.data()[k / block_out() * kernels_.lanes + k % block_out()] = operands_.bias[k];
    const GroupSplit& split = plan_.split;
    const int64_t spatial = shape_.images * split.row_parts;
    if (operands_.sums) partial_sums_.assign(static_cast<size_t>(spatial * 2 * channels_), 0.0);
    parallel_for(plan_.tasks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task)
        run_task(task / split.block_parts, task % split.block_parts);
    });
    if (operands_.sums) combine_sums(partial_sums_, spatial, channels_, operands_);
  }

 private:
  int64_t block_in() const { return blocks_.together * blocks_.in; }
  int64_t block_out() const { return blocks_.together * blocks_.out; }
  int64_t block_floats() const { return static_cast<int64_t>(plan_.taps.size()) * shape_.c * kernels_.lanes; }
  int64_t packed_floats() const { return blocks_.blocks * block_floats(); }

  // [block][tap][channel of x][lane], zero in lanes without a channel.
  FloatBuffer pack() const {
    FloatBuffer packed(packed_floats());
    const FilterView& f = operands_.filter;
    parallel_for(blocks_.blocks, 1, [&](int64_t begin, int64_t end) {
      std::fill(packed.data() + begin * block_floats(), packed.data() + end * block_floats(), 0.0f);
      for (int64_t block = begin; block < end; ++block) {
        float* to = packed.data() + block * block_floats();
        for (const Tap& tap : plan_.taps) {
          for (int64_t j = 0; j < shape_.c; ++j, to += kernels_.lanes) {
            for (int64_t g = 0; g < blocks_.groups_of(block); ++g) {
              const float* from = f.data + (block * blocks_.together + g) * filter_step_ +
                                  tap.index * f.tap_stride + j * f.c_stride;
              for (int64_t k = 0; k < shape_.k; ++k) to[g * shape_.k + k] = from[k * f.k_stride];
            }
          }
        }
      }
    });
    return packed;
  }

  // The blocks of a task, from which channels of x and y on, and copies of rows of these.
  struct Part {
    int64_t first, last;
    int64_t c, k, k_end;
    int64_t pixel_stride;
  };

  void run_task(int64_t spatial, int64_t block_part) {
    const GroupSplit& split = plan_.split;
    const int64_t image = spatial / split.row_parts, row = spatial % split.row_parts * split.rows;
    Part part{
        block_part * split.blocks, std::min(blocks_.blocks, (block_part + 1) * split.blocks), 0, 0, 0, 0};
    part.c = part.first * block_in();
    part.k = part.first * block_out();
    part.k_end = std::min(channels_, part.last * block_out());
    const int64_t channels = std::min(blocks_.groups * shape_.c, part.last * block_in()) - part.c;
    part.pixel_stride = copied_pixel_stride(channels, kernels_.lanes);
    Prologue prologue = operands_.prologue;
    if (prologue.scale) prologue.scale += part.c, prologue.bias += part.c;
    const TapExtent& e = plan_.extent;
    PaddedRows rows({operands_.x + part.c, shape_.h, shape_.w, shape_.x_column}, prologue, channels,
                    part.pixel_stride, e.h_max - e.h_min + 1);
    rows.select(image, e.w_min, (plan_.columns - 1) * shape_.step_w + e.w_max - e.w_min + 1);
    std::vector<GroupTile::Run> runs;
    for (int64_t p = row; p < std::min(plan_.rows, row + split.rows); ++p) {
      for (size_t phase = 0; phase < shape_.phases.size(); ++phase) {
        if (p < shape_.phases[phase].rows) run_row(part, phase, image, p, rows, runs);
      }
      finish(part, spatial, image, p);
    }
  }

  // A row of a phase.
  void run_row(const Part& part, size_t phase, int64_t image, int64_t p, PaddedRows& rows,
               std::vector<GroupTile::Run>& runs) const {
    const int64_t columns = shape_.phases[phase].columns, lanes = kernels_.lanes;
    runs.clear();
    for (const JoinedTaps& r : plan_.runs[phase]) {
      const float* x = rows.row(p * shape_.step_h + r.h);
      const bool inside = r.w + r.count - 1 + (columns - 1) * shape_.step_w >= 0 && r.w < shape_.w;
      if (x && inside)
        runs.push_back({x + (r.w - plan_.extent.w_min) * part.pixel_stride,
                        weights_.data() + part.first * block_floats() + r.first * shape_.c * lanes, r.count});
    }
    const int64_t strips = ceil_div(columns, kernels_.max_pixels);
    float* y = pixel(image, p) + shape_.phases[phase].offset;
    GroupTile tile{runs.data(),     static_cast<int64_t>(runs.size()),
                   shape_.step_w,   part.pixel_stride,
                   shape_.c,        index_.data(),
                   nullptr,         nullptr,
                   shape_.y_column, 0};
    for (int64_t block = part.first; block < part.last; ++block) {
      const int64_t k = block * block_out();
      tile.start = bias_.data() + block * lanes;
      tile.channels = std::min(block_out(), channels_ - k);
      int64_t moved = 0;
      for (int64_t i = 0; i < strips; ++i) {
        const int64_t q = i * columns / strips, q_end = (i + 1) * columns / strips;
        const int64_t move = q * shape_.step_w * part.pixel_stride;
        for (GroupTile::Run& r : runs) r.x += move - moved;
        moved = move;
        tile.y = y + k + q * shape_.y_column;
        kernels_.forward(tile, q_end - q);
      }
      for (GroupTile::Run& r : runs) {
        r.x += block_in() - moved;
        r.w += block_floats();
      }
    }
  }

  void finish(const Part& part, int64_t spatial, int64_t image, int64_t p) {
    double* sums =
        operands_.sums ? &partial_sums_[static_cast<size_t>(spatial * 2 * channels_ + part.k)] : nullptr;
    finish_pixels(operands_,
                  {pixel(image, p) + part.k, shape_.y_column, (image * plan_.rows + p) * plan_.columns,
                   plan_.columns, part.k, part.k_end - part.k},
                  sums, channels_);
  }

  // The first one of a row of the first phase.
  float* pixel(int64_t image, int64_t p) const {
    return operands_.y + image * shape_.y_image + p * shape_.y_row;
  }

  const GroupedCorrelationPlan& plan_;
  const CorrelationShape& shape_;
  const GroupBlocks& blocks_;
  const CorrelationOperands& operands_;
  const int64_t filter_step_;
  const GroupKernels& kernels_;
  const std::vector<int32_t> index_;
  const int64_t channels_;  // of y
  FloatBuffer weights_, bias_;
  std::vector<double> partial_sums_;  // [image and row part][2][channels]
};

}  // namespace

void execute(const GroupedCorrelationPlan& plan, const CorrelationOperands& operands, int64_t filter_step,
             const GroupKernels& kernels) {
  Execution(plan, operands, filter_step, kernels).run();
}

}  // namespace atrous::kernels
