#include "kernels/conv2d/correlation.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/conv2d/pack.h"

namespace atrous::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Taps of one filter row that read neighbouring pixels: one long reduction if pixels are dense.
struct TapRun {
  int64_t h, w;
  int64_t first, count;  // in the order of the packed weights
};

std::vector<TapRun> join_taps(const std::vector<Tap>& sorted, bool dense) {
  std::vector<TapRun> runs;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const Tap& t = sorted[i];
    if (dense && !runs.empty() && runs.back().h == t.h && runs.back().w + runs.back().count == t.w) {
      ++runs.back().count;
    } else {
      runs.push_back({t.h, t.w, static_cast<int64_t>(i), 1});
    }
  }
  return runs;
}

ATROUS_MULTIVERSION void add_sums(const float* y, int64_t stride, int64_t pixels, int64_t channels,
                                  double* sum, double* squares) {
  for (int64_t i = 0; i < pixels; ++i, y += stride) {
    for (int64_t k = 0; k < channels; ++k) {
      const double v = static_cast<double>(y[k]);
      sum[k] += v;
      squares[k] += v * v;
    }
  }
}

ATROUS_MULTIVERSION void add_residual(float* y, int64_t stride, const float* residual,
                                      int64_t residual_stride, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels; ++i, y += stride, residual += residual_stride) {
    for (int64_t k = 0; k < channels; ++k) y[k] += residual[k];
  }
}

ATROUS_MULTIVERSION void apply_relu(float* y, int64_t stride, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels; ++i, y += stride) {
    for (int64_t k = 0; k < channels; ++k) y[k] = y[k] < 0.0f ? 0.0f : y[k];
  }
}

// How the output is cut into tasks: blocks of rows, columns and panels. Depends on the problem alone.
struct Split {
  int64_t rows, row_blocks;
  int64_t columns, column_blocks;
  int64_t panel_groups;
  int64_t spatial_tasks(int64_t images) const { return images * row_blocks * column_blocks; }
};

constexpr int64_t wanted_tasks = 32;
constexpr int64_t task_input_floats = 1 << 17;  // 512 KiB: stays in the second-level cache
constexpr double smallest_task_flops = 4e5;

class Driver {
 public:
  Driver(const Correlation& problem, const TileKernels& kernels)
      : p_(problem), kernels_(kernels), panels_(split_into_panels(p_.k, kernels.lanes)) {
    std::sort(p_.taps.begin(), p_.taps.end(),
              [](const Tap& a, const Tap& b) { return a.h != b.h ? a.h < b.h : a.w < b.w; });
    for (const Tap& t : p_.taps) {
      h_min_ = std::min(h_min_, t.h);
      h_max_ = std::max(h_max_, t.h);
      w_min_ = std::min(w_min_, t.w);
      w_max_ = std::max(w_max_, t.w);
    }
    cuts_ = cut_at_padding();
    direct_ = !cuts_.empty() && !p_.prologue.scale && !p_.prologue.relu;
    if (!direct_) cuts_ = {0, p_.columns};
    if (direct_) join_images();
    const bool padded = w_min_ < 0 || (p_.columns - 1) * p_.step_w + w_max_ >= p_.x.w;
    runs_ = join_taps(p_.taps, !direct_ || (!padded && p_.x.pixel_stride == p_.c));
    split_ = choose_split();
  }

  void run() {
    const int64_t padded = panels_.back().start + panels_.back().vectors * kernels_.lanes;
    const int64_t spatial = split_.spatial_tasks(p_.images);
    // A panel that only one task reads is packed by that task, while it stays in its cache.
    if (spatial > 1) weights_ = pack_filter(p_.filter, p_.taps, p_.c, panels_, kernels_.lanes);
    bias_ = FloatBuffer(padded);
    std::fill_n(bias_.data(), padded, 0.0f);
    for (const Panel& panel : panels_) {
      if (p_.bias) std::copy_n(p_.bias + panel.first, panel.channels, bias_.data() + panel.start);
    }
    if (p_.sums) partial_sums_.assign(static_cast<size_t>(spatial * 2 * p_.k), 0.0);
    parallel_for(spatial * split_.panel_groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task)
        run_task(task / split_.panel_groups, task % split_.panel_groups);
    });
    if (p_.sums) combine_sums(spatial);
  }

 private:
  // Output columns between which every tap reads either inside the image or nothing but padding: 0, ...,
  // columns. Tiles that respect them need no padded copy. Empty if some piece would be too short for a good
  // tile, as with dense 3x3 filters; large dilation rates leave three long pieces.
  std::vector<int64_t> cut_at_padding() const {
    constexpr int64_t shortest = 4;
    std::vector<int64_t> cuts{0, p_.columns};
    for (const Tap& t : p_.taps) {
      for (const int64_t edge : {-t.w, p_.x.w - t.w}) {
        const int64_t q = edge <= 0 ? 0 : ceil_div(edge, p_.step_w);
        if (q > 0 && q < p_.columns) cuts.push_back(q);
      }
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    for (size_t i = 1; cuts.size() > 2 && i < cuts.size(); ++i) {
      if (cuts[i] - cuts[i - 1] < shortest) return {};
    }
    return cuts;
  }

  // A 1x1 filter of stride 1 sees no rows: all pixels of all images are one row, so tiles are always full.
  void join_images() {
    const bool pointwise = p_.taps.size() == 1 && p_.taps[0].h == 0 && p_.taps[0].w == 0 && p_.step_h == 1 &&
                           p_.step_w == 1 && p_.rows == p_.x.h && p_.columns == p_.x.w;
    if (!pointwise || p_.y_row != p_.columns * p_.y_column || p_.y_image != p_.rows * p_.y_row) return;
    p_.columns *= p_.rows * p_.images;
    cuts_ = {0, p_.columns};
    p_.x.w = p_.columns;
    p_.x.h = p_.rows = p_.images = 1;
  }

  Split choose_split() const {
    Split s{};
    const int64_t unit = kernels_.max_rows[0] * 16;  // whole tiles of either width
    s.columns = p_.columns > 2 * unit ? unit : p_.columns;
    s.column_blocks = ceil_div(p_.columns, s.columns);
    const int64_t row_floats = std::max<int64_t>(1, s.columns * p_.step_w * p_.c * p_.step_h);
    s.rows = std::clamp<int64_t>(task_input_floats / row_floats, 1, p_.rows);
    const double flops = 2.0 * static_cast<double>(p_.images * p_.rows * p_.columns) *
                         static_cast<double>(p_.k) *
                         static_cast<double>(p_.c * static_cast<int64_t>(p_.taps.size()));
    const int64_t tasks =
        std::clamp<int64_t>(static_cast<int64_t>(flops / smallest_task_flops), 1, wanted_tasks);
    // Splitting panels reads the input more often, splitting rows the weights: split the cheaper one first.
    const int64_t blocks = p_.images * s.column_blocks * ceil_div(p_.rows, s.rows);
    const int64_t weight_floats = p_.k * p_.c * static_cast<int64_t>(p_.taps.size());
    const int64_t input_floats = p_.rows * p_.columns * p_.step_h * p_.step_w * p_.c;
    s.panel_groups = 1;
    if (blocks < tasks && weight_floats > input_floats) {
      s.panel_groups = std::min<int64_t>(static_cast<int64_t>(panels_.size()), ceil_div(tasks, blocks));
    }
    const int64_t row_blocks_wanted = ceil_div(tasks, p_.images * s.column_blocks * s.panel_groups);
    s.rows = std::clamp<int64_t>(p_.rows / row_blocks_wanted, 1, s.rows);
    s.row_blocks = ceil_div(p_.rows, s.rows);
    // Still too few, as for a small 1x1 layer whose images are one row: shorter pieces, if they need no
    // padded copies.
    const int64_t column_blocks_wanted = ceil_div(tasks, p_.images * s.row_blocks * s.panel_groups);
    if (direct_ && column_blocks_wanted > s.column_blocks) {
      const int64_t shortest = 2 * kernels_.max_rows[0];
      s.columns = std::min(p_.columns, shortest * ceil_div(p_.columns, column_blocks_wanted * shortest));
      s.column_blocks = ceil_div(p_.columns, s.columns);
    }
    return s;
  }

  struct Block {
    int64_t image, p_begin, p_end, q_begin, q_end;
  };

  void run_task(int64_t spatial, int64_t group) {
    const int64_t cb = spatial % split_.column_blocks,
                  rb = spatial / split_.column_blocks % split_.row_blocks;
    const Block b{spatial / split_.column_blocks / split_.row_blocks, rb * split_.rows,
                  std::min(p_.rows, (rb + 1) * split_.rows), cb * split_.columns,
                  std::min(p_.columns, (cb + 1) * split_.columns)};
    const int64_t first_column = direct_ ? 0 : b.q_begin * p_.step_w + w_min_;
    const int64_t window = direct_ ? 1 : (b.p_end - b.p_begin - 1) * p_.step_h + h_max_ - h_min_ + 1;
    PaddedRows rows(p_.x, p_.prologue, p_.c, p_.c, window);
    if (!direct_) {
      rows.select(b.image, first_column, (b.q_end - b.q_begin - 1) * p_.step_w + w_max_ - w_min_ + 1);
    }
    std::vector<Run> runs(runs_.size());
    FloatBuffer own_weights;
    const auto count = static_cast<int64_t>(panels_.size());
    for (int64_t i = group * count / split_.panel_groups; i < (group + 1) * count / split_.panel_groups;
         ++i) {
      const Panel& panel = panels_[static_cast<size_t>(i)];
      const float* weights = weights_.data() + panel.start * p_.c * static_cast<int64_t>(p_.taps.size());
      if (split_.spatial_tasks(p_.images) == 1) {
        own_weights = pack_filter(p_.filter, p_.taps, p_.c, {{panel.first, panel.channels, panel.vectors, 0}},
                                  kernels_.lanes);
        weights = own_weights.data();
      }
      for (int64_t p = b.p_begin; p < b.p_end; ++p) {
        for (size_t cut = 1; cut < cuts_.size(); ++cut) {
          const int64_t q = std::max(b.q_begin, cuts_[cut - 1]), q_end = std::min(b.q_end, cuts_[cut]);
          if (q < q_end) run_row({b.image, p, p + 1, q, q_end}, panel, weights, rows, first_column, runs);
        }
        finish_row(b, p, panel, spatial);
      }
    }
  }

  // A piece of one output row of one panel, in tiles of nearly equal width.
  void run_row(const Block& b, const Panel& panel, const float* weights, PaddedRows& rows,
               int64_t first_column, std::vector<Run>& runs) {
    const int64_t p = b.p_begin;
    const int64_t pixel_stride = direct_ ? p_.x.pixel_stride : p_.c;
    const int64_t width = b.q_end - b.q_begin;
    const int64_t tiles = ceil_div(width, kernels_.max_rows[panel.vectors == 2 ? 0 : 1]);
    const int64_t panel_width = panel.vectors * kernels_.lanes;
    ForwardTile tile{
        runs.data(),   0, p_.step_w * pixel_stride, bias_.data() + panel.start, nullptr, p_.y_column,
        panel.channels};
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t q = b.q_begin + t * width / tiles, q_end = b.q_begin + (t + 1) * width / tiles;
      tile.run_count = 0;
      for (const TapRun& r : runs_) {
        const int64_t h = p * p_.step_h + r.h;
        const int64_t first = q * p_.step_w + r.w, last = (q_end - 1) * p_.step_w + r.w + r.count - 1;
        // Taps that meet only padding are skipped; between cuts, all that meet any.
        const bool padding = direct_ ? first < 0 || last >= p_.x.w : last < 0 || first >= p_.x.w;
        if (h < 0 || h >= p_.x.h || padding) continue;
        const float* row = direct_ ? p_.x.row(b.image, h) : rows.row(h);
        runs[static_cast<size_t>(tile.run_count++)] = {row + (first - first_column) * pixel_stride,
                                                       weights + r.first * p_.c * panel_width,
                                                       r.count * p_.c};
      }
      tile.y = p_.y + b.image * p_.y_image + p * p_.y_row + q * p_.y_column + panel.first;
      kernels_.forward(tile, panel.vectors, q_end - q);
    }
  }

  // What follows the sums, while the row is in the first-level cache.
  void finish_row(const Block& b, int64_t p, const Panel& panel, int64_t spatial) {
    float* y = p_.y + b.image * p_.y_image + p * p_.y_row + b.q_begin * p_.y_column + panel.first;
    const int64_t pixels = b.q_end - b.q_begin;
    if (p_.sums) {
      double* sums = &partial_sums_[static_cast<size_t>(spatial * 2 * p_.k + panel.first)];
      add_sums(y, p_.y_column, pixels, panel.channels, sums, sums + p_.k);
    }
    if (p_.residual) {
      const int64_t pixel = (b.image * p_.rows + p) * p_.columns + b.q_begin;
      add_residual(y, p_.y_column, p_.residual + pixel * p_.residual_stride + panel.first, p_.residual_stride,
                   pixels, panel.channels);
    }
    if (p_.relu) apply_relu(y, p_.y_column, pixels, panel.channels);
  }

  // In task order: the same bits for any number of threads.
  void combine_sums(int64_t spatial) {
    for (int64_t which = 0; which < 2; ++which) {
      double* total = p_.sums + which * p_.sums_stride;
      std::fill_n(total, p_.k, 0.0);
      for (int64_t task = 0; task < spatial; ++task) {
        const double* part = &partial_sums_[static_cast<size_t>((task * 2 + which) * p_.k)];
        for (int64_t k = 0; k < p_.k; ++k) total[k] += part[k];
      }
    }
  }

  Correlation p_;
  const TileKernels& kernels_;
  std::vector<Panel> panels_;
  std::vector<TapRun> runs_;
  int64_t h_min_ = INT64_MAX, h_max_ = INT64_MIN, w_min_ = INT64_MAX, w_max_ = INT64_MIN;
  bool direct_ = false;        // tiles read x itself: no prologue, padding avoided by cuts_
  std::vector<int64_t> cuts_;  // pieces of an output row
  Split split_{};
  FloatBuffer weights_, bias_;
  std::vector<double> partial_sums_;  // [spatial task][2][k]
};

}  // namespace

std::vector<Panel> split_into_panels(int64_t channels, int64_t lanes) {
  std::vector<Panel> panels;
  int64_t start = 0;
  for (int64_t first = 0; first < channels;) {
    const int64_t vectors = channels - first > lanes ? 2 : 1;
    const int64_t count = std::min(channels - first, vectors * lanes);
    panels.push_back({first, count, vectors, start});
    first += count;
    start += vectors * lanes;
  }
  return panels;
}

void correlate(Correlation problem, const TileKernels& kernels) {
  if (problem.images * problem.rows * problem.columns * problem.k == 0) return;
  Driver(problem, kernels).run();
}

}  // namespace atrous::kernels
