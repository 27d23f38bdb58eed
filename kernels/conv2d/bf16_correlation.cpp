// A task is a block of output pixels of all phases, or some output channels of it where there are few pixels.
// It rounds the input rows that it reads into a buffer of its own, padding included, that stays in the
// second-level cache while all panels of 32 output channels pass over it: a map is read once and y written
// once, which is what bounds most layers when the products run on AMX.
#include "kernels/conv2d/bf16_correlation.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/conv2d/bf16_blocks.h"

namespace atrous::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t round_up(int64_t value, int64_t unit) {
  return ceil_div(value, unit) * unit;
}

constexpr int64_t wanted_tasks = 16;
constexpr int64_t task_bytes = 768 * 1024;      // of rounded input
constexpr int64_t cached_weights = 256 * 1024;  // numbers
constexpr int64_t smallest_width = 64;          // pixels of a task: each reads all weights

// Taps of one filter row whose reductions follow each other in memory.
struct TapRun {
  int64_t h, w;
  int64_t first, count;       // in Phase::taps
  int64_t first_step, steps;  // in the packed weights of a panel
};

struct Phase {
  std::vector<Tap> taps;  // by row, then by column
  std::vector<TapRun> runs;
  int64_t steps = 0;   // of all runs
  Bf16Buffer weights;  // [panel of 32 channels][step][vector][16 pairs][16][2]
};

// 16 neighbouring output pixels of a row, or fewer.
struct Segment {
  int64_t p, q, count;
};

class Driver {
 public:
  Driver(const Bf16Correlation& problem, const Bf16Kernels& kernels) : p_(problem), kernels_(kernels) {
    join_images();
    for (const Bf16Phase& phase : p_.phases) {
      rows_ = std::max(rows_, phase.rows);
      columns_ = std::max(columns_, phase.columns);
      for (const Tap& t : phase.taps) {
        w_min_ = std::min(w_min_, t.w);
        w_max_ = std::max(w_max_, t.w);
        heights_.push_back(t.h);
      }
    }
    std::sort(heights_.begin(), heights_.end());
    heights_.erase(std::unique(heights_.begin(), heights_.end()), heights_.end());
    if (heights_.empty()) w_min_ = w_max_ = 0;
    // Columns between those that a single tap column reads are left out.
    column_step_ = w_min_ == w_max_ ? p_.step_w : 1;
    choose_layout();
    choose_tasks();
  }

  void run() {
    pack_weights();
    bias_ = FloatBuffer(panels() * bf16_panel);
    std::fill_n(bias_.data(), panels() * bf16_panel, 0.0f);
    if (p_.bias) std::copy_n(p_.bias, p_.k, bias_.data());
    const int64_t spatial = p_.images * row_blocks_ * column_blocks_;
    if (p_.sums) partial_sums_.assign(static_cast<size_t>(spatial * 2 * p_.k), 0.0);
    parallel_for(spatial * panel_groups_, 1, [&](int64_t begin, int64_t end) {
      const Bf16Session session(kernels_);
      for (int64_t task = begin; task < end; ++task) run_task(task / panel_groups_, task % panel_groups_);
    });
    if (p_.sums) combine_sums(spatial);
  }

 private:
  int64_t panels() const { return ceil_div(p_.k, bf16_panel); }
  int64_t vectors(int64_t panel) const { return p_.k - panel * bf16_panel > bf16_lanes ? 2 : 1; }

  // A single tap without padding sees no rows: all pixels of all images are one.
  void join_images() {
    const Bf16Phase& phase = p_.phases.front();
    if (p_.phases.size() > 1 || phase.taps.size() != 1 || phase.taps[0].h != 0 || phase.taps[0].w != 0 ||
        p_.step_h != 1 || p_.step_w != 1 || phase.rows != p_.x.h || phase.columns != p_.x.w ||
        p_.y_row != phase.columns * p_.y_column || p_.y_image != phase.rows * p_.y_row) {
      return;
    }
    p_.x.w = p_.phases[0].columns = p_.images * p_.x.h * p_.x.w;
    p_.images = p_.x.h = p_.phases[0].rows = 1;
  }

  // How a pixel's channels lie in the buffer, and what makes one run.
  void choose_layout() {
    const int64_t separate = ceil_div(p_.c, bf16_step), folded = round_up(p_.c, 2);
    bool fold = false;
    for (const Bf16Phase& from : p_.phases) {
      Phase to{from.taps, {}, 0, {}};
      std::sort(to.taps.begin(), to.taps.end(),
                [](const Tap& a, const Tap& b) { return a.h != b.h ? a.h < b.h : a.w < b.w; });
      for (size_t i = 0; i < to.taps.size(); ++i) {
        const Tap& t = to.taps[i];
        if (!to.runs.empty() && to.runs.back().h == t.h && to.runs.back().w + to.runs.back().count == t.w) {
          ++to.runs.back().count;
        } else {
          to.runs.push_back({t.h, t.w, static_cast<int64_t>(i), 1, 0, 0});
        }
      }
      for (const TapRun& r : to.runs) fold |= ceil_div(r.count * folded, bf16_step) < r.count * separate;
      phases_.push_back(std::move(to));
    }
    width_ = fold ? folded : separate * bf16_step;
    // An odd number of cache lines: powers of two would meet in few sets of the first-level cache.
    pixel_stride_ = !fold && separate >= 8 && separate % 2 == 0 ? width_ + bf16_step : width_;
    for (Phase& phase : phases_) {
      if (!fold) {
        phase.runs.clear();
        for (size_t i = 0; i < phase.taps.size(); ++i)
          phase.runs.push_back({phase.taps[i].h, phase.taps[i].w, static_cast<int64_t>(i), 1, 0, 0});
      }
      for (TapRun& r : phase.runs) {
        r.first_step = phase.steps;
        r.steps = ceil_div(r.count * width_, bf16_step);
        phase.steps += r.steps;
      }
    }
  }

  // Rows of x that `rows` rows of output read.
  int64_t rows_read(int64_t rows) const {
    std::vector<int64_t> read;
    for (int64_t p = 0; p < rows; ++p) {
      for (const int64_t h : heights_) read.push_back(p * p_.step_h + h);
    }
    std::sort(read.begin(), read.end());
    return std::unique(read.begin(), read.end()) - read.begin();
  }

  int64_t window(int64_t columns) const {
    return (columns - 1) * p_.step_w / column_step_ + (w_max_ - w_min_) / column_step_ + 1;
  }

  void choose_tasks() {
    const int64_t lines = p_.images * rows_;
    const auto bytes = [&](int64_t rows, int64_t columns) {
      return rows_read(rows) * window(columns) * pixel_stride_ * 2;
    };
    block_rows_ = std::max<int64_t>(1, std::min(rows_, lines / wanted_tasks));
    block_columns_ = columns_;
    if (lines < wanted_tasks)
      block_columns_ = std::max(ceil_div(columns_, ceil_div(wanted_tasks, lines)), smallest_width);
    while (block_rows_ > 1 && bytes(block_rows_, block_columns_) > task_bytes)
      block_rows_ = ceil_div(block_rows_, 2);
    while (block_columns_ > smallest_width && bytes(block_rows_, block_columns_) > task_bytes)
      block_columns_ = ceil_div(block_columns_, 2);
    block_columns_ = std::min(columns_, round_up(block_columns_, 2 * bf16_lanes));
    row_blocks_ = ceil_div(rows_, block_rows_);
    column_blocks_ = ceil_div(columns_, block_columns_);
    panel_groups_ =
        std::clamp<int64_t>(wanted_tasks / (p_.images * row_blocks_ * column_blocks_), 1, panels());
  }

  void pack_weights() {
    for (Phase& phase : phases_) {
      const int64_t floats = panels() * phase.steps * bf16_block;
      const auto pack = [&] { return packed(phase, FloatBuffer(floats)); };
      const bool keep = p_.kept && floats <= KeptFilters::largest;
      if (floats > 0) phase.weights = Bf16Buffer(keep ? p_.kept->get(p_.kept_name, pack) : pack());
    }
  }

  FloatBuffer packed(const Phase& phase, FloatBuffer memory) const {
    std::vector<const TapRun*> run_of(static_cast<size_t>(phase.steps));
    for (const TapRun& r : phase.runs) std::fill_n(run_of.begin() + r.first_step, r.steps, &r);
    uint16_t* to = Bf16Buffer(memory).data();
    parallel_for(panels() * phase.steps, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / phase.steps, step = i % phase.steps;
        const TapRun& run = *run_of[static_cast<size_t>(step)];
        for (int64_t v = 0; v < vectors(panel); ++v) {
          pack_block(phase, run, (step - run.first_step) * bf16_step, panel * bf16_panel + v * bf16_lanes,
                     to + (panel * 2 * phase.steps + step * vectors(panel) + v) * bf16_block);
        }
      }
    });
    return memory;
  }

  // Elements [first, first + 32) of a run's reduction for 16 output channels from k on.
  void pack_block(const Phase& phase, const TapRun& run, int64_t first, int64_t k, uint16_t* to) const {
    const int64_t columns = std::min(p_.k - k, bf16_lanes);
    const FilterView& f = p_.filter;
    const auto element = [&](int64_t tap, int64_t c) {
      return f.data + phase.taps[static_cast<size_t>(run.first + tap)].index * f.tap_stride + c * f.c_stride +
             k * f.k_stride;
    };
    if (run.count == 1) {
      const int64_t count = std::min(p_.c - first, bf16_step);
      f.c_stride == 1 ? block_of_columns(element(0, first), f.k_stride, columns, count, to)
                      : block_of_reduction(element(0, first), f.c_stride, count, columns, to);
      return;
    }
    float values[bf16_step][bf16_lanes] = {};
    for (int64_t i = 0; i < bf16_step; ++i) {
      const int64_t tap = (first + i) / width_, c = (first + i) % width_;
      if (tap >= run.count || c >= p_.c) continue;
      for (int64_t j = 0; j < columns; ++j) values[i][j] = element(tap, c)[j * f.k_stride];
    }
    block_of_reduction(values[0], bf16_lanes, bf16_step, columns, to);
  }

  struct Block {
    int64_t image, p_begin, p_end, q_begin, q_end;
  };

  // The rounded rows of a task. Rows outside of the image share one of zeros.
  struct Rows {
    Bf16Buffer buffer;
    int64_t first = 0;  // h of the first entry
    std::vector<const uint16_t*> row;

    const uint16_t* at(int64_t h) const { return row[static_cast<size_t>(h - first)]; }
  };

  void convert(const Block& b, Rows& rows) const {
    const int64_t pixels = window(b.q_end - b.q_begin), size = pixels * pixel_stride_;
    // Behind the last row: what the rows of a tile that are no pixels read, and the end of a run.
    const int64_t slack = (bf16_lanes * p_.step_w / column_step_ + 1) * pixel_stride_ + bf16_step;
    rows.first = b.p_begin * p_.step_h + heights_.front();
    const int64_t last = (b.p_end - 1) * p_.step_h + heights_.back();
    rows.row.assign(static_cast<size_t>(last - rows.first + 1), nullptr);
    rows.buffer = Bf16Buffer((rows_read(b.p_end - b.p_begin) + 1) * size + slack);
    const int64_t first_column = b.q_begin * p_.step_w + w_min_;
    // Columns [begin, end) of the copy exist in the image.
    const int64_t begin =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(-first_column, 0), column_step_), 0, pixels);
    const int64_t room = std::max<int64_t>(p_.x.w - first_column, 0);
    const int64_t end = std::clamp<int64_t>(ceil_div(room, column_step_), begin, pixels);
    uint16_t* to = rows.buffer.data();
    const uint16_t* zeros = nullptr;
    for (int64_t p = b.p_begin; p < b.p_end; ++p) {
      for (const int64_t height : heights_) {
        const int64_t h = p * p_.step_h + height;
        if (h < 0 || h >= p_.x.h || rows.at(h)) continue;
        std::fill_n(to, begin * pixel_stride_, uint16_t{0});
        pixels_to_bf16(p_.x.row(b.image, h) + (first_column + begin * column_step_) * p_.x.pixel_stride,
                       column_step_ * p_.x.pixel_stride, end - begin, p_.c, p_.prologue,
                       to + begin * pixel_stride_, pixel_stride_, width_);
        std::fill_n(to + end * pixel_stride_, (pixels - end) * pixel_stride_, uint16_t{0});
        rows.row[static_cast<size_t>(h - rows.first)] = to;
        to += size;
      }
    }
    zeros = to;
    std::fill_n(to, size + slack, uint16_t{0});
    for (const uint16_t*& row : rows.row) row = row ? row : zeros;
  }

  void run_task(int64_t spatial, int64_t group) {
    const int64_t cb = spatial % column_blocks_, rb = spatial / column_blocks_ % row_blocks_;
    const Block b{spatial / column_blocks_ / row_blocks_, rb * block_rows_,
                  std::min(rows_, (rb + 1) * block_rows_), cb * block_columns_,
                  std::min(columns_, (cb + 1) * block_columns_)};
    Rows rows;
    if (!heights_.empty()) convert(b, rows);
    std::vector<Segment> segments;
    std::vector<Bf16Run> runs;
    for (size_t i = 0; i < phases_.size(); ++i) {
      const Bf16Phase& phase = p_.phases[i];
      segments.clear();
      for (int64_t p = b.p_begin; p < std::min(b.p_end, phase.rows); ++p) {
        const int64_t end = std::min(b.q_end, phase.columns);
        for (int64_t q = b.q_begin; q < end; q += bf16_lanes)
          segments.push_back({p, q, std::min(end - q, bf16_lanes)});
      }
      // As many panels pass over a tile's pixels at once as stay in the cache: y is written in long pieces.
      const int64_t at_once =
          std::max<int64_t>(1, cached_weights / std::max<int64_t>(1, phases_[i].steps * 2 * bf16_block));
      const int64_t panels_end = (group + 1) * panels() / panel_groups_;
      for (int64_t first = group * panels() / panel_groups_; first < panels_end; first += at_once) {
        for (size_t s = 0; s < segments.size(); s += 2) {
          for (int64_t panel = first; panel < std::min(first + at_once, panels_end); ++panel)
            run_tile(b, i, panel, spatial, &segments[s], segments.size() - s > 1 ? 2 : 1, rows, runs);
        }
      }
    }
  }

  // Whether a run meets nothing but padding from a segment on.
  bool is_padding(const TapRun& r, const Segment& s) const {
    const int64_t h = s.p * p_.step_h + r.h, first = s.q * p_.step_w + r.w;
    return h < 0 || h >= p_.x.h || first >= p_.x.w || first + (s.count - 1) * p_.step_w + r.count <= 0;
  }

  void run_tile(const Block& b, size_t index, int64_t panel, int64_t spatial, const Segment* segments,
                int64_t count, const Rows& rows, std::vector<Bf16Run>& runs) {
    const Phase& phase = phases_[index];
    runs.clear();
    for (const TapRun& r : phase.runs) {
      if (is_padding(r, segments[0]) && (count == 1 || is_padding(r, segments[1]))) continue;
      Bf16Run run{
          {},
          phase.weights.data() + (panel * 2 * phase.steps + r.first_step * vectors(panel)) * bf16_block,
          r.steps};
      for (int64_t i = 0; i < count; ++i) {
        const Segment& s = segments[i];
        run.a[i] = rows.at(s.p * p_.step_h + r.h) +
                   ((s.q - b.q_begin) * p_.step_w + r.w - w_min_) / column_step_ * pixel_stride_;
      }
      runs.push_back(run);
    }
    alignas(64) float result[2 * bf16_lanes * bf16_panel];
    const float* start = bias_.data() + panel * bf16_panel;
    kernels_.multiply({runs.data(), static_cast<int64_t>(runs.size()),
                       p_.step_w / column_step_ * pixel_stride_, start, 0, result, bf16_panel},
                      count, vectors(panel));
    const Bf16Phase& to = p_.phases[index];
    for (int64_t i = 0; i < count; ++i) {
      const Segment& s = segments[i];
      const int64_t first = panel * bf16_panel, pixel = (b.image * to.rows + s.p) * to.columns + s.q;
      double* sums = p_.sums ? &partial_sums_[static_cast<size_t>(spatial * 2 * p_.k + first)] : nullptr;
      write_rows(result + i * bf16_lanes * bf16_panel, bf16_panel, s.count,
                 std::min(p_.k - first, bf16_panel),
                 {to.y + b.image * p_.y_image + s.p * p_.y_row + s.q * p_.y_column + first, p_.y_column,
                  p_.residual ? p_.residual + pixel * p_.residual_stride + first : nullptr,
                  p_.residual_stride, p_.relu, sums, sums ? sums + p_.k : nullptr});
    }
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

  Bf16Correlation p_;
  const Bf16Kernels& kernels_;
  int64_t rows_ = 0, columns_ = 0;  // of the largest phase
  std::vector<int64_t> heights_;    // distinct t.h of all phases, sorted
  int64_t w_min_ = INT64_MAX, w_max_ = INT64_MIN;
  int64_t column_step_ = 1;               // of x, from pixel to pixel in the buffer
  int64_t width_ = 0, pixel_stride_ = 0;  // of a pixel in the buffer
  std::vector<Phase> phases_;
  int64_t block_rows_ = 1, block_columns_ = 1, row_blocks_ = 1, column_blocks_ = 1, panel_groups_ = 1;
  FloatBuffer bias_;
  std::vector<double> partial_sums_;  // [spatial task][2][k]
};

}  // namespace

void correlate_bf16(const Bf16Correlation& problem, const Bf16Kernels& kernels) {
  if (problem.images * problem.x.h * problem.x.w * problem.k == 0) return;
  Driver(problem, kernels).run();
}

}  // namespace atrous::kernels
