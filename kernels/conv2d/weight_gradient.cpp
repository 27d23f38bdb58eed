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
constexpr int64_t wanted_tasks = 16;
constexpr int64_t fewest_pixels = 256;  // of a split: fewer would not pay for adding up its result
constexpr double smallest_task_flops = 1e6;
constexpr int64_t most_partial_floats = 1 << 24;
constexpr int64_t skew = 16;  // added to pixel strides: powers of two would meet in few cache sets
// Floats between pixels up to which tiles read a map itself. The lines that a tile reads, one or two per
// pixel, would otherwise meet in few sets of the first-level cache (in one, of 12 lines, if there are 1024
// channels) and each lie on a page of its own. Measured: copies with a skew gain 20 to 40 % from 512 channels
// on, and lose up to 10 % where a map is narrower.
constexpr int64_t widest_direct_x = 256, widest_direct_dy = 64;

// Neighbouring elements of a row of dw that one tile computes; of a column where lanes hold output channels.
struct ColumnTile {
  int64_t r;         // filter row
  int64_t x_column;  // first pixel of x it reads, from the padded row's start
  int64_t channel;   // within the channel block of what lanes hold
  int64_t dw_column;
  int64_t channels, vectors;
};

ATROUS_MULTIVERSION void add_to(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

int64_t round_up(int64_t value, int64_t unit) {
  return ceil_div(value, unit) * unit;
}

class Driver {
 public:
  Driver(const WeightGradient& problem, const TileKernels& kernels)
      : g_(problem), p_(problem.p), kernels_(kernels), rows_(p_.p()), columns_(p_.q()) {
    join_images();
    // With dense taps, (s, c) of a padded row are neighbours: few channels still fill vectors.
    fold_ = p_.dilation_w == 1 && p_.c <= 64 && p_.s > 1;
    // With very few (the first layer) even a filter row leaves vectors half empty. Then lanes hold output
    // channels, and (s, c) are the rows of a tile, if that saves vectors.
    const int64_t row = p_.s * p_.c, lanes = kernels_.lanes;
    k_in_lanes_ = fold_ && round_up(p_.k, lanes) * row < p_.k * round_up(row, lanes);
    // Blocks of x, dy and dw stay in the second-level cache. Where no value of x meets two taps, a wider
    // block has as much arithmetic per value that is copied.
    const bool disjoint = p_.stride_h >= p_.r && p_.stride_w >= p_.s;
    c_block_ = fold_ ? p_.c : std::min<int64_t>(p_.c, disjoint ? 256 : 64);
    k_block_ = ceil_div(p_.k, ceil_div(p_.k, disjoint ? 256 : 128));
    const bool inside = p_.pad_w == 0 && p_.pad_h == 0;
    // A copy is worth its pass if tiles read it often enough: x once per tile height, dy once per panel.
    const bool x_read_often = p_.k > 2 * kernels_.max_rows[0];
    const bool dy_read_often = c_block_ * p_.r * p_.s >= 4 * 2 * kernels_.lanes;
    direct_ = inside && !fold_ && p_.c % kernels_.lanes == 0 &&
              (g_.x.pixel_stride <= widest_direct_x || !x_read_often);
    const bool whole_vectors = p_.k % lanes == 0 && k_block_ % lanes == 0;
    copy_dy_ = k_in_lanes_ ? !whole_vectors : g_.dy.pixel_stride > widest_direct_dy && dy_read_often;
    dy_stride_ = copy_dy_ ? k_block_ + skew : g_.dy.pixel_stride;
    x_stride_ = direct_ ? g_.x.pixel_stride : fold_ ? p_.c : c_block_ + skew;
    segments_per_row_ = ceil_div(columns_, longest_segment);
    segment_ = ceil_div(columns_, segments_per_row_);
    segments_ = p_.n * rows_ * segments_per_row_;
    splits_ = choose_splits();
  }

  void run() {
    const int64_t size = p_.k * p_.r * p_.s * p_.c;
    FloatBuffer partial;
    if (splits_ > 1 || k_in_lanes_) partial = FloatBuffer(splits_ * size);
    float* const results = partial.data() ? partial.data() : g_.dw;
    const int64_t c_blocks = ceil_div(p_.c, c_block_), k_blocks = ceil_div(p_.k, k_block_);
    parallel_for(splits_ * c_blocks * k_blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t split = task / (c_blocks * k_blocks);
        run_task(split, task / k_blocks % c_blocks * c_block_, task % k_blocks * k_block_,
                 results + split * size);
      }
    });
    if (splits_ > 1) sum_partial_gradients(results, splits_, size, k_in_lanes_ ? results : g_.dw);
    if (!k_in_lanes_) return;
    const int64_t row = size / p_.k;
    for (int64_t k = 0; k < p_.k; ++k) {
      for (int64_t i = 0; i < row; ++i) g_.dw[k * row + i] = results[i * p_.k + k];
    }
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

  int64_t choose_splits() const {
    const int64_t blocks = ceil_div(p_.c, c_block_) * ceil_div(p_.k, k_block_);
    const auto by_work = static_cast<int64_t>(p_.flops() / smallest_task_flops / static_cast<double>(blocks));
    const int64_t by_memory = most_partial_floats / (p_.k * p_.r * p_.s * p_.c);
    const int64_t by_pixels = p_.n * rows_ * columns_ / fewest_pixels;
    return std::clamp<int64_t>(std::min({ceil_div(wanted_tasks, blocks), by_work, by_memory, by_pixels}), 1,
                               segments_);
  }

  std::vector<ColumnTile> column_tiles(int64_t c_first, int64_t c_count, int64_t k_first,
                                       int64_t k_count) const {
    std::vector<ColumnTile> tiles;
    if (k_in_lanes_) {
      for (const Panel& panel : split_into_panels(k_count, kernels_.lanes)) {
        for (int64_t r = 0; r < p_.r; ++r)
          tiles.push_back({r, 0, panel.first, k_first + panel.first, panel.channels, panel.vectors});
      }
      return tiles;
    }
    for (int64_t r = 0; r < p_.r; ++r) {
      for (int64_t s = 0; s < (fold_ ? 1 : p_.s); ++s) {
        for (const Panel& panel : split_into_panels(fold_ ? p_.s * p_.c : c_count, kernels_.lanes)) {
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
    const std::vector<ColumnTile> tiles = column_tiles(c_first, c_count, k_first, k_count);
    Grid x = g_.x, dy = g_.dy;
    x.data += c_first;
    dy.data += k_first;
    const int64_t tallest = std::max<int64_t>(1, strip_pixels / columns_);
    PaddedRows x_rows(x, {}, c_count, x_stride_,
                      (tallest - 1) * p_.stride_h + (p_.r - 1) * p_.dilation_h + 1);
    PaddedRows dy_rows(dy, {}, k_count, dy_stride_, tallest);
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
      for (const ColumnTile& tile : tiles) {
        runs.clear();
        const auto [q_begin, q_end] = inside_image(tile, s);
        for (int64_t p = s.p_begin; p < s.p_end && q_begin < q_end; ++p) {
          const int64_t h = p * p_.stride_h + tile.r * p_.dilation_h - p_.pad_h;
          const float* from_x =
              direct_ ? x.row(s.image, h) + s.q_begin * p_.stride_w * x_stride_ : x_rows.row(h);
          if (!from_x) continue;
          const float* from_dy = copy_dy_ ? dy_rows.row(p) : dy.row(s.image, p) + s.q_begin * dy_stride_;
          from_x += tile.x_column * x_stride_ + (q_begin - s.q_begin) * p_.stride_w * x_stride_;
          from_dy += (q_begin - s.q_begin) * dy_stride_;
          const int64_t count = q_end - q_begin;
          runs.push_back(k_in_lanes_ ? Run{from_x, from_dy + tile.channel, count}
                                     : Run{from_dy, from_x + tile.channel, count});
        }
        if (k_in_lanes_) {
          run_tile(tile, runs, p_.s * p_.c, dw + tile.r * p_.s * p_.c * p_.k, p_.k, segment > begin);
        } else {
          const int64_t row = p_.r * p_.s * p_.c;
          run_tile(tile, runs, k_count, dw + k_first * row, row, segment > begin);
        }
      }
      segment += height;
    }
  }

  // The columns of a strip for which a tile's tap lies inside the image: with large dilation rates much of
  // what it would read is padding. All of them if a tile covers several taps.
  std::pair<int64_t, int64_t> inside_image(const ColumnTile& tile, const Strip& s) const {
    if (fold_) return {s.q_begin, s.q_end};
    const int64_t first = tile.x_column - p_.pad_w;  // read by output column 0
    const int64_t q = first < 0 ? ceil_div(-first, p_.stride_w) : 0;
    const int64_t q_end = first < p_.w ? ceil_div(p_.w - first, p_.stride_w) : 0;
    return {std::max(s.q_begin, q), std::min(s.q_end, q_end)};
  }

  // All rows, which are dw_stride apart in dw, in register tiles of nearly equal height.
  void run_tile(const ColumnTile& tile, std::vector<Run>& runs, int64_t rows, float* dw, int64_t dw_stride,
                bool accumulate) const {
    const int64_t heights = ceil_div(rows, kernels_.max_rows[tile.vectors == 2 ? 0 : 1]);
    const int64_t x_advance = p_.stride_w * x_stride_;
    WeightTile t{runs.data(),
                 static_cast<int64_t>(runs.size()),
                 k_in_lanes_ ? x_advance : dy_stride_,
                 k_in_lanes_ ? dy_stride_ : x_advance,
                 nullptr,
                 dw_stride,
                 tile.channels,
                 accumulate};
    int64_t done = 0;
    for (int64_t i = 0; i < heights; ++i) {
      const int64_t first = i * rows / heights, end = (i + 1) * rows / heights;
      for (Run& run : runs) run.a += first - done;
      done = first;
      t.dw = dw + first * dw_stride + tile.dw_column;
      kernels_.weight(t, tile.vectors, end - first);
    }
  }

  WeightGradient g_;
  Conv2dProblem p_;
  const TileKernels& kernels_;
  int64_t rows_, columns_;  // of the output
  bool fold_ = false, k_in_lanes_ = false;
  bool direct_ = false, copy_dy_ = false;  // whether tiles read x itself, and a copy of dy
  int64_t c_block_ = 1, k_block_ = 1, x_stride_ = 1, dy_stride_ = 1;
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
