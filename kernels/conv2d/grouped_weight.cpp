#include <algorithm>

#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/grouped.h"

namespace atrous::kernels {
namespace {

class Execution {
 public:
  Execution(const GroupedWeightPlan& plan, const Tensor& dy, const Tensor& x, const GroupKernels& kernels)
      : plan_(plan),
        p_(plan.problem),
        blocks_(plan.blocks),
        dy_(dy),
        x_(x),
        kernels_(kernels),
        index_(plan.blocks.index(kernels.lanes)),
        block_floats_(plan.block_floats(kernels.lanes)),
        partial_(plan.split.row_parts * plan.blocks.blocks * block_floats_) {}

  void run(float* dw) {
    const int64_t parts = plan_.split.block_parts;
    parallel_for(plan_.tasks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) run_task(task / parts, task % parts);
    });
    parallel_for(blocks_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) combine(block, dw);
    });
  }

 private:
  float* partial(int64_t row_part, int64_t block) const {
    return partial_.data() + (row_part * blocks_.blocks + block) * block_floats_;
  }

  void run_task(int64_t row_part, int64_t block_part) {
    const GroupSplit& split = plan_.split;
    const int64_t first = block_part * split.blocks, last = std::min(blocks_.blocks, first + split.blocks);
    const int64_t block_c = blocks_.together * blocks_.out, c = first * block_c;
    const int64_t channels = std::min(p_.c, last * block_c) - c;
    const int64_t pixel_stride = copied_pixel_stride(channels, kernels_.lanes);
    PaddedRows rows({x_.data<float>() + c, p_.h, p_.w, x_.pixel_stride()}, {}, channels, pixel_stride,
                    (plan_.rows_together - 1) * p_.stride_h + (p_.r - 1) * p_.dilation_h + 1);
    std::fill(partial(row_part, first), partial(row_part, first) + (last - first) * block_floats_, 0.0f);
    std::vector<GroupWeightTile::Run> pairs;
    const int64_t end = std::min(p_.n * p_.p(), (row_part + 1) * split.rows);
    for (int64_t row = row_part * split.rows; row < end;) {
      const int64_t image = row / p_.p(),
                    row_end = std::min({end, (image + 1) * p_.p(), row + plan_.rows_together});
      rows.select(image, -p_.pad_w, (p_.q() - 1) * p_.stride_w + (p_.s - 1) * p_.dilation_w + 1);
      for (int64_t block = first; block < last; ++block) {
        const Part part{row, row_end, block, (block - first) * block_c, pixel_stride};
        add_rows(part, rows, pairs, partial(row_part, block));
      }
      row = row_end;
    }
  }

  // Rows [row, row_end) of dy, of one image, and a block, whose channels begin at c in the copies of x.
  struct Part {
    int64_t row, row_end, block, c, pixel_stride;
  };

  void add_rows(const Part& part, PaddedRows& rows, std::vector<GroupWeightTile::Run>& pairs,
                float* sums) const {
    const int64_t lanes = kernels_.lanes, k = part.block * blocks_.together * blocks_.in;
    for (const JoinedTaps& taps : plan_.runs) {
      pairs.clear();
      for (int64_t r = part.row; r < part.row_end; ++r) {
        const float* x = rows.row(r % p_.p() * p_.stride_h + taps.h);
        if (!x) continue;
        pairs.push_back({x + part.c + (taps.w + p_.pad_w) * part.pixel_stride,
                         dy_.data<float>() + r * p_.q() * dy_.pixel_stride() + k, p_.q()});
      }
      if (pairs.empty()) continue;
      GroupWeightTile tile{pairs.data(),
                           static_cast<int64_t>(pairs.size()),
                           p_.stride_w * part.pixel_stride,
                           part.pixel_stride,
                           dy_.pixel_stride(),
                           std::min(lanes, p_.k - k),
                           nullptr,
                           nullptr,
                           blocks_.in * lanes};
      for (int64_t j = 0; j < blocks_.in; j += kernels_.max_channels) {
        tile.index = index_.data() + j * lanes;
        tile.dw = sums + (taps.first * blocks_.in + j) * lanes;
        kernels_.weight(tile, taps.count, std::min(kernels_.max_channels, blocks_.in - j));
      }
    }
  }

  // Adds the parts in their order and brings the sums of a block into the filter's order.
  void combine(int64_t block, float* dw) const {
    const int64_t lanes = kernels_.lanes, taps = p_.r * p_.s;
    std::vector<double> sum(static_cast<size_t>(block_floats_));
    for (int64_t part = 0; part < plan_.split.row_parts; ++part) {
      const float* from = partial(part, block);
      for (int64_t i = 0; i < block_floats_; ++i) sum[static_cast<size_t>(i)] += static_cast<double>(from[i]);
    }
    for (int64_t g = 0; g < blocks_.groups_of(block); ++g) {
      for (int64_t k = 0; k < blocks_.in; ++k) {
        float* to = dw + ((block * blocks_.together + g) * blocks_.in + k) * taps * blocks_.out;
        for (int64_t tap = 0; tap < taps; ++tap) {
          const double* from = &sum[static_cast<size_t>((tap * blocks_.in + k) * lanes + g * blocks_.out)];
          for (int64_t c = 0; c < blocks_.out; ++c) *to++ = static_cast<float>(from[c]);
        }
      }
    }
  }

  const GroupedWeightPlan& plan_;
  const Conv2dProblem& p_;
  const GroupBlocks& blocks_;
  const Tensor &dy_, &x_;
  const GroupKernels& kernels_;
  const std::vector<int32_t> index_;
  const int64_t block_floats_;
  const FloatBuffer partial_;  // [part of the rows][block][tap][channel of dy][lane]
};

}  // namespace

void execute(const GroupedWeightPlan& plan, const Tensor& dy, const Tensor& x, const Tensor& dw,
             const GroupKernels& kernels) {
  Execution(plan, dy, x, kernels).run(dw.data<float>());
}

}  // namespace atrous::kernels
