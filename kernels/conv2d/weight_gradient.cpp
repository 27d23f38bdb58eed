#include "kernels/conv2d/weight_gradient.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/conv2d/correlation.h"

namespace atrous::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

constexpr int64_t strip_pixels = 192;     // dy and x of a strip fit into the first two cache levels
constexpr int64_t longest_segment = 256;  // of an output row
constexpr int64_t wanted_tasks = 32;
constexpr double smallest_task_flops = 1e6;
constexpr int64_t most_partial_floats = 1 << 24;
constexpr int64_t copy_unit = 16;  // floats that gather() moves at once
constexpr int64_t slack = 64;      // tiles read whole vectors
constexpr int64_t skew = 16;       // added to pixel strides: powers of two would meet in few cache sets
// Floats between pixels up to which tiles read a map itself. The lines that a tile reads, one or two per
// pixel, would otherwise meet in few sets of the first-level cache (in one, of 12 lines, if there are 1024
// channels) and each lie on a page of its own. Measured: copies with a skew gain 20 to 40 % from 512 channels
// on, and lose up to 10 % where a map is narrower.
constexpr int64_t widest_direct_x = 256, widest_direct_dy = 64;

// Neighbouring elements of a row of dw that one tile computes.
struct ColumnTile {
  int64_t r;          // filter row
  int64_t x_column;   // first pixel of x it reads, from the padded row's start
  int64_t x_channel;  // within the channel block
  int64_t dw_column;
  int64_t channels, vectors;
};

ATROUS_MULTIVERSION void add_to(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

int64_t round_up(int64_t value, int64_t unit) {
  return ceil_div(value, unit) * unit;
}

// Copies `count` floats per pixel, rounded up to copy_unit: what follows in `to` is overwritten.
ATROUS_MULTIVERSION void gather(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                                int64_t pixels, int64_t count) {
  for (int64_t i = 0; i < pixels; ++i, to += to_stride, from += from_stride) {
    for (int64_t j = 0; j < count; j += copy_unit) std::memcpy(to + j, from + j, copy_unit * sizeof(float));
  }
}

class Driver {
 public:
  Driver(const WeightGradient& problem, const TileKernels& kernels)
      : g_(problem), p_(problem.p), kernels_(kernels), rows_(p_.p()), columns_(p_.q()) {
    join_images();
    // With dense taps, (s, c) of a padded row are neighbours: few channels still fill vectors.
    const bool pointwise = p_.r * p_.s == 1;
    fold_ = p_.dilation_w == 1 && p_.c <= 64 && p_.s > 1;
    c_block_ = fold_ ? p_.c : std::min<int64_t>(p_.c, pointwise ? 256 : 64);
    k_block_ = ceil_div(p_.k, ceil_div(p_.k, pointwise ? 128 : 64));
    const bool inside = p_.pad_w == 0 && p_.pad_h == 0;
    // A copy is worth its pass if tiles read it often enough: x once per tile height, dy once per panel.
    const bool x_read_often = p_.k > 2 * kernels_.max_rows[0];
    const bool dy_read_often = c_block_ * p_.r * p_.s >= 4 * 2 * kernels_.lanes;
    direct_ = inside && !fold_ && p_.c % kernels_.lanes == 0 &&
              (g_.x.pixel_stride <= widest_direct_x || !x_read_often);
    copy_dy_ = g_.dy.pixel_stride > widest_direct_dy && dy_read_often;
    dy_stride_ = copy_dy_ ? k_block_ + skew : g_.dy.pixel_stride;
    x_stride_ = direct_ ? g_.x.pixel_stride : fold_ ? p_.c : c_block_ + skew;
    if (fold_) choose_patches();
    segments_per_row_ = ceil_div(columns_, longest_segment);
    segment_ = ceil_div(columns_, segments_per_row_);
    segments_ = p_.n * rows_ * segments_per_row_;
    splits_ = choose_splits();
  }

  void run() {
    const int64_t size = p_.k * p_.r * p_.s * p_.c;
    FloatBuffer partial;
    if (splits_ > 1) partial = FloatBuffer(splits_ * size);
    const int64_t c_blocks = ceil_div(p_.c, c_block_), k_blocks = ceil_div(p_.k, k_block_);
    parallel_for(splits_ * c_blocks * k_blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t split = task / (c_blocks * k_blocks);
        run_task(split, task / k_blocks % c_blocks * c_block_, task % k_blocks * k_block_,
                 splits_ > 1 ? partial.data() + split * size : g_.dw);
      }
    });
    if (splits_ > 1) sum_partial_gradients(partial.data(), splits_, size, g_.dw);
  }

 private:
  // One strip: rows [p_begin, p_end) of one image, columns [q_begin, q_end).
  struct Strip {
    int64_t image, p_begin, p_end, q_begin, q_end;
  };

  // A 1x1 filter of stride 1 sees no rows: cut all pixels of all images into equal segments instead.
  void join_images() {
    if (p_.r * p_.s != 1 || p_.stride_h != 1 || p_.stride_w != 1 || p_.pad_h != 0 || p_.pad_w != 0) return;
    p_.w = columns_ = p_.n * p_.h * p_.w;
    p_.n = p_.h = rows_ = 1;
    g_.x.h = g_.dy.h = 1;
    g_.x.w = g_.dy.w = columns_;
  }

  // With very few channels (the first layer) even a filter row leaves vectors half empty. Then the whole
  // filter window of each pixel is gathered into one patch, if that saves vectors.
  void choose_patches() {
    const int64_t row = p_.s * p_.c, lanes = kernels_.lanes;
    if (4 * round_up(p_.r * row, lanes) < 3 * p_.r * round_up(row, lanes)) {
      patch_stride_ = (p_.r - 1) * row + round_up(row, copy_unit);
    }
  }

  void gather_patches(const Strip& s, PaddedRows& x_rows, float* patches) const {
    const int64_t row = p_.s * p_.c, width = s.q_end - s.q_begin;
    const std::vector<float> zeros(static_cast<size_t>(round_up(row, copy_unit)), 0.0f);
    for (int64_t p = s.p_begin; p < s.p_end; ++p, patches += width * patch_stride_) {
      // In this order, what one filter row copies too much is overwritten by the next, or lies in the patch's
      // margin.
      for (int64_t r = 0; r < p_.r; ++r) {
        const float* from = x_rows.row(p * p_.stride_h + r * p_.dilation_h - p_.pad_h);
        gather(patches + r * row, patch_stride_, from ? from : zeros.data(), from ? p_.stride_w * p_.c : 0,
               width, row);
      }
    }
  }

  int64_t choose_splits() const {
    const int64_t blocks = ceil_div(p_.c, c_block_) * ceil_div(p_.k, k_block_);
    const auto by_work = static_cast<int64_t>(p_.flops() / smallest_task_flops / static_cast<double>(blocks));
    const int64_t by_memory = most_partial_floats / (p_.k * p_.r * p_.s * p_.c);
    return std::clamp<int64_t>(std::min({ceil_div(wanted_tasks, blocks), by_work, by_memory}), 1, segments_);
  }

  std::vector<ColumnTile> column_tiles(int64_t c_first, int64_t c_count) const {
    std::vector<ColumnTile> tiles;
    const int64_t extent = patch_stride_ > 0 ? p_.r * p_.s * p_.c : fold_ ? p_.s * p_.c : c_count;
    for (int64_t r = 0; r < (patch_stride_ > 0 ? 1 : p_.r); ++r) {
      for (int64_t s = 0; s < (fold_ ? 1 : p_.s); ++s) {
        for (const Panel& panel : split_into_panels(extent, kernels_.lanes)) {
          tiles.push_back({r, s * p_.dilation_w, panel.first, (r * p_.s + s) * p_.c + c_first + panel.first,
                           panel.channels, panel.vectors});
        }
      }
    }
    return tiles;
  }

  // The longest strip that starts at `segment` and ends before `end`.
  Strip strip_at(int64_t segment, int64_t end) const {
    const int64_t row = segment / segments_per_row_, part = segment % segments_per_row_;
    Strip s{row / rows_, row % rows_, row % rows_ + 1, part * segment_,
            std::min(columns_, (part + 1) * segment_)};
    if (segments_per_row_ == 1) {
      const int64_t more = std::min({strip_pixels / columns_, rows_ - s.p_begin, end - segment});
      s.p_end = s.p_begin + std::max<int64_t>(1, more);
    }
    return s;
  }

  void run_task(int64_t split, int64_t c_first, int64_t k_first, float* dw) const {
    const int64_t c_count = std::min(c_block_, p_.c - c_first), k_count = std::min(k_block_, p_.k - k_first);
    const std::vector<ColumnTile> tiles = column_tiles(c_first, c_count);
    Grid x = g_.x, dy = g_.dy;
    x.data += c_first;
    dy.data += k_first;
    const int64_t tallest = std::max<int64_t>(1, strip_pixels / columns_);
    PaddedRows x_rows(x, {}, c_count, x_stride_,
                      (tallest - 1) * p_.stride_h + (p_.r - 1) * p_.dilation_h + 1);
    PaddedRows dy_rows(dy, {}, k_count, dy_stride_, tallest);
    FloatBuffer patches;
    if (patch_stride_ > 0) patches = FloatBuffer(std::max(strip_pixels, segment_) * patch_stride_ + slack);
    std::vector<Run> runs;
    const int64_t begin = split * segments_ / splits_, end = (split + 1) * segments_ / splits_;
    for (int64_t segment = begin; segment < end;) {
      const Strip s = strip_at(segment, end);
      const int64_t height = s.p_end - s.p_begin, width = s.q_end - s.q_begin;
      if (!direct_) {
        x_rows.select(s.image, s.q_begin * p_.stride_w - p_.pad_w,
                      (width - 1) * p_.stride_w + (p_.s - 1) * p_.dilation_w + 1);
      }
      if (copy_dy_) dy_rows.select(s.image, s.q_begin, width);
      if (patch_stride_ > 0) gather_patches(s, x_rows, patches.data());
      for (const ColumnTile& tile : tiles) {
        runs.clear();
        const auto [q_begin, q_end] = inside_image(tile, s);
        for (int64_t p = s.p_begin; p < s.p_end && q_begin < q_end; ++p) {
          const int64_t h = p * p_.stride_h + tile.r * p_.dilation_h - p_.pad_h;
          const float* b = patch_stride_ > 0 ? patches.data() + (p - s.p_begin) * width * patch_stride_
                           : direct_         ? x.row(s.image, h) + s.q_begin * p_.stride_w * x_stride_
                                             : x_rows.row(h);
          if (!b) continue;
          const float* a = copy_dy_ ? dy_rows.row(p) : dy.row(s.image, p) + s.q_begin * dy_stride_;
          runs.push_back(
              {a + (q_begin - s.q_begin) * dy_stride_,
               b + tile.x_column * x_stride_ + tile.x_channel + (q_begin - s.q_begin) * b_advance(),
               q_end - q_begin});
        }
        run_tile(tile, runs, k_count, dw + k_first * p_.r * p_.s * p_.c, segment > begin);
      }
      segment += height;
    }
  }

  // Floats of b from one output column to the next.
  int64_t b_advance() const { return patch_stride_ > 0 ? patch_stride_ : p_.stride_w * x_stride_; }

  // The columns of a strip for which a tile's tap lies inside the image: with large dilation rates much of
  // what it would read is padding. All of them if a tile covers several taps.
  std::pair<int64_t, int64_t> inside_image(const ColumnTile& tile, const Strip& s) const {
    if (fold_) return {s.q_begin, s.q_end};
    const int64_t first = tile.x_column - p_.pad_w;  // read by output column 0
    const int64_t q = first < 0 ? ceil_div(-first, p_.stride_w) : 0;
    const int64_t q_end = first < p_.w ? ceil_div(p_.w - first, p_.stride_w) : 0;
    return {std::max(s.q_begin, q), std::min(s.q_end, q_end)};
  }

  // All output channels of the block, in register tiles of nearly equal height.
  void run_tile(const ColumnTile& tile, std::vector<Run>& runs, int64_t k_count, float* dw,
                bool accumulate) const {
    const int64_t heights = ceil_div(k_count, kernels_.max_rows[tile.vectors == 2 ? 0 : 1]);
    const int64_t dw_stride = p_.r * p_.s * p_.c;
    WeightTile t{runs.data(),   static_cast<int64_t>(runs.size()),
                 dy_stride_,    b_advance(),
                 nullptr,       dw_stride,
                 tile.channels, accumulate};
    int64_t done = 0;
    for (int64_t i = 0; i < heights; ++i) {
      const int64_t k = i * k_count / heights, k_end = (i + 1) * k_count / heights;
      for (Run& run : runs) run.a += k - done;
      done = k;
      t.dw = dw + k * dw_stride + tile.dw_column;
      kernels_.weight(t, tile.vectors, k_end - k);
    }
  }

  WeightGradient g_;
  Conv2dProblem p_;
  const TileKernels& kernels_;
  int64_t rows_, columns_;  // of the output
  bool fold_ = false;
  bool direct_ = false, copy_dy_ = false;  // whether tiles read x itself, and a copy of dy
  int64_t c_block_ = 1, k_block_ = 1, x_stride_ = 1, dy_stride_ = 1;
  int64_t patch_stride_ = 0;  // 0: no patches
  int64_t segment_ = 1, segments_per_row_ = 1, segments_ = 1, splits_ = 1;
};

}  // namespace

void sum_partial_gradients(const float* partial, int64_t count, int64_t size, float* result) {
  parallel_for(size, 1 << 12, [&](int64_t begin, int64_t end) {
    std::copy_n(partial + begin, end - begin, result + begin);
    for (int64_t i = 1; i < count; ++i) add_to(result + begin, partial + i * size + begin, end - begin);
  });
}

void weight_gradient(const WeightGradient& problem, const TileKernels& kernels) {
  const Conv2dProblem& p = problem.p;
  if (p.n == 0) {
    std::fill_n(problem.dw, p.k * p.r * p.s * p.c, 0.0f);
    return;
  }
  Driver(problem, kernels).run();
}

}  // namespace atrous::kernels
