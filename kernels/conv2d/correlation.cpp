#include "kernels/conv2d/correlation.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"

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

// Of sorted taps, the first of which is tap number `first`.
std::vector<TapRun> join_taps(const std::vector<Tap>& sorted, int64_t first, bool dense) {
  std::vector<TapRun> runs;
  for (const Tap& t : sorted) {
    if (dense && !runs.empty() && runs.back().h == t.h && runs.back().w + runs.back().count == t.w) {
      ++runs.back().count;
    } else {
      runs.push_back({t.h, t.w, first, 1});
    }
    ++first;
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

// How the work is cut into tasks; depends on the problem alone. Either a task is a block of images, rows and
// columns, and reads the filter that was packed before; or ("by_panels": more weights than pixels) it is a
// group of panels for all pixels, which packs its part of the filter, a block at a time, and uses it while it
// is in the second-level cache. GFLOP/s on two cores, packed before and by panels:
//
//   3x3, 512 to 512 channels on 8x8       forward 173, 294   input gradient 190, 256
//   7x7, 512 to 4096 channels on 18x22    forward 172, 349   input gradient  64, 218
struct Split {
  bool by_panels = false;
  int64_t groups = 1;  // of panels
  int64_t rows = 1, row_blocks = 1;
  int64_t columns = 1, column_blocks = 1;
  int64_t spatial_tasks = 1;
  int64_t block_panels = 1;  // visited together by a strip of pixels
  int64_t block_steps = 1;   // of the reduction
};

constexpr int64_t wanted_tasks = 32;
constexpr int64_t task_input_floats = 1 << 17;    // 512 KiB: stays in the second-level cache
constexpr int64_t block_weight_floats = 1 << 16;  // 256 KiB: stays there beside the input
constexpr int64_t fewest_groups = 8;              // of panels, where these are the tasks
constexpr double smallest_task_flops = 4e5;

class Driver {
 public:
  Driver(Correlation&& problem, const TileKernels& kernels)
      : p_(std::move(problem)), kernels_(kernels), panels_(split_into_panels(p_.k, kernels.lanes)) {
    for (Phase& phase : p_.phases) {
      rows_ = std::max(rows_, phase.rows);
      columns_ = std::max(columns_, phase.columns);
      std::sort(phase.taps.begin(), phase.taps.end(),
                [](const Tap& a, const Tap& b) { return a.h != b.h ? a.h < b.h : a.w < b.w; });
      taps_.insert(taps_.end(), phase.taps.begin(), phase.taps.end());
    }
    steps_ = p_.c * static_cast<int64_t>(taps_.size());
    if (!taps_.empty()) h_min_ = h_max_ = taps_[0].h, w_min_ = w_max_ = taps_[0].w;
    for (const Tap& t : taps_) {
      h_min_ = std::min(h_min_, t.h);
      h_max_ = std::max(h_max_, t.h);
      w_min_ = std::min(w_min_, t.w);
      w_max_ = std::max(w_max_, t.w);
    }
    cuts_ = cut_at_padding();
    direct_ = !cuts_.empty() && !p_.prologue.scale && !p_.prologue.relu;
    if (!direct_) cuts_ = {0, columns_};
    if (direct_) join_images();
    const bool padded = w_min_ < 0 || (columns_ - 1) * p_.step_w + w_max_ >= p_.x.w;
    int64_t first = 0;
    for (const Phase& phase : p_.phases) {
      runs_.push_back(join_taps(phase.taps, first, !direct_ || (!padded && p_.x.pixel_stride == p_.c)));
      first += static_cast<int64_t>(phase.taps.size());
    }
    split_ = choose_split();
  }

  void run() {
    const int64_t lanes = panels_.back().start + panels_.back().width;
    const auto pack = [&] { return pack_filter(p_.filter, taps_, p_.c, panels_); };
    if (p_.kept && p_.k * steps_ <= KeptFilters::largest) {
      weights_ = p_.kept->get(p_.kept_name, pack);
    } else if (!split_.by_panels) {
      weights_ = pack();
    }
    bias_ = FloatBuffer(lanes);
    std::fill_n(bias_.data(), lanes, 0.0f);
    for (const Panel& panel : panels_) {
      if (p_.bias) std::copy_n(p_.bias + panel.first, panel.channels, bias_.data() + panel.start);
    }
    if (p_.sums) partial_sums_.assign(static_cast<size_t>(split_.spatial_tasks * 2 * p_.k), 0.0);
    if (split_.by_panels && !direct_) copy_all_rows();
    parallel_for(split_.spatial_tasks * split_.groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) run_task(task / split_.groups, task % split_.groups);
    });
    if (p_.sums) combine_sums();
  }

 private:
  // Output columns between which every tap reads either inside the image or nothing but padding: 0, ...,
  // columns. Tiles that respect them need no padded copy. Empty if some piece would be too short for a good
  // tile, as with dense 3x3 filters; large dilation rates leave three long pieces.
  std::vector<int64_t> cut_at_padding() const {
    constexpr int64_t shortest = 4;
    std::vector<int64_t> cuts{0, columns_};
    for (const Tap& t : taps_) {
      for (const int64_t edge : {-t.w, p_.x.w - t.w}) {
        const int64_t q = edge <= 0 ? 0 : ceil_div(edge, p_.step_w);
        if (q > 0 && q < columns_) cuts.push_back(q);
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
    const bool pointwise = p_.phases.size() == 1 && taps_.size() == 1 && taps_[0].h == 0 && taps_[0].w == 0 &&
                           p_.step_h == 1 && p_.step_w == 1 && rows_ == p_.x.h && columns_ == p_.x.w;
    if (!pointwise || p_.y_row != columns_ * p_.y_column || p_.y_image != rows_ * p_.y_row) return;
    columns_ *= rows_ * p_.images;
    cuts_ = {0, columns_};
    p_.x.w = p_.phases[0].columns = columns_;
    p_.x.h = p_.phases[0].rows = rows_ = p_.images = 1;
  }

  Split choose_split() const {
    Split s{};
    const auto panels = static_cast<int64_t>(panels_.size());
    const int64_t weight_floats = p_.k * steps_;
    const int64_t input_floats = p_.images * rows_ * columns_ * p_.step_h * p_.step_w * p_.c;
    s.rows = rows_;
    s.columns = columns_;
    s.block_steps = std::max<int64_t>(1, steps_);
    if (panels >= fewest_groups &&
        weight_floats > input_floats * (input_floats <= 2 * task_input_floats ? 1 : 4)) {
      s.by_panels = true;
      // Rows of a filter whose output channels are neighbours are read a few panels at a time.
      const int64_t together = p_.filter.k_stride == 1 ? std::min<int64_t>(4, panels / fewest_groups) : 1;
      s.groups = std::min(panels / together, wanted_tasks);
      s.block_steps = std::min(s.block_steps, block_weight_floats / (together * panels_[0].width));
    } else {
      split_space(s, input_floats, weight_floats);
    }
    s.block_panels = std::max<int64_t>(1, block_weight_floats / (s.block_steps * panels_[0].width));
    return s;
  }

  void split_space(Split& s, int64_t input_floats, int64_t weight_floats) const {
    const int64_t unit = kernels_.max_rows[0] * 16;  // whole tiles of either width
    if (columns_ > 2 * unit) s.columns = unit;
    s.column_blocks = ceil_div(columns_, s.columns);
    const int64_t row_floats = std::max<int64_t>(1, s.columns * p_.step_w * p_.c * p_.step_h);
    s.rows = std::clamp<int64_t>(task_input_floats / row_floats, 1, rows_);
    const double flops = 2.0 * static_cast<double>(p_.images * rows_ * columns_) * static_cast<double>(p_.k) *
                         static_cast<double>(steps_);
    const int64_t tasks =
        std::clamp<int64_t>(static_cast<int64_t>(flops / smallest_task_flops), 1, wanted_tasks);
    // Splitting panels reads the input more often, splitting rows the weights: split the cheaper one first.
    const int64_t blocks = p_.images * s.column_blocks * ceil_div(rows_, s.rows);
    if (blocks < tasks && weight_floats > input_floats) {
      s.groups = std::min<int64_t>(static_cast<int64_t>(panels_.size()), ceil_div(tasks, blocks));
    }
    const int64_t row_blocks_wanted = ceil_div(tasks, p_.images * s.column_blocks * s.groups);
    s.rows = std::clamp<int64_t>(rows_ / row_blocks_wanted, 1, s.rows);
    s.row_blocks = ceil_div(rows_, s.rows);
    // Still too few, as for a small 1x1 layer whose images are one row: shorter pieces, if they need no
    // padded copies.
    const int64_t column_blocks_wanted = ceil_div(tasks, p_.images * s.row_blocks * s.groups);
    if (direct_ && column_blocks_wanted > s.column_blocks) {
      const int64_t shortest = 2 * kernels_.max_rows[0];
      s.columns = std::min(columns_, shortest * ceil_div(columns_, column_blocks_wanted * shortest));
      s.column_blocks = ceil_div(columns_, s.columns);
    }
    s.spatial_tasks = p_.images * s.row_blocks * s.column_blocks;
  }

  struct Block {
    int64_t image, image_end, p, p_end, q, q_end;
    int64_t first_column;  // of the padded copies
    int64_t task;
  };

  PaddedRows copies(int64_t image, const Block& b) const {
    PaddedRows rows(p_.x, p_.prologue, p_.c, p_.c, (b.p_end - b.p - 1) * p_.step_h + h_max_ - h_min_ + 1);
    rows.select(image, b.first_column, (b.q_end - b.q - 1) * p_.step_w + w_max_ - w_min_ + 1);
    return rows;
  }

  // Those that outputs read. Any other, as strides leave at the end, would take the place of one of them.
  void copy_all_rows() {
    const Block b = block_of(0);
    for (int64_t image = 0; image < p_.images; ++image) all_rows_.push_back(copies(image, b));
    const int64_t first = std::max<int64_t>(0, h_min_);
    const int64_t count = std::min(p_.x.h, (rows_ - 1) * p_.step_h + h_max_ + 1) - first;
    parallel_for(p_.images * std::max<int64_t>(0, count), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) all_rows_[static_cast<size_t>(i / count)].row(first + i % count);
    });
  }

  Block block_of(int64_t task) const {
    const int64_t column = task % split_.column_blocks * split_.columns;
    const int64_t row = task / split_.column_blocks % split_.row_blocks * split_.rows;
    const int64_t image = task / (split_.column_blocks * split_.row_blocks);
    return {image,
            split_.by_panels ? p_.images : image + 1,
            row,
            std::min(rows_, row + split_.rows),
            column,
            std::min(columns_, column + split_.columns),
            direct_ ? 0 : column * p_.step_w + w_min_,
            task};
  }

  // The runs of a tile; those of its panels differ in b alone.
  struct Reads {
    explicit Reads(size_t count) : runs(count), step(count) {}
    std::vector<Run> runs;
    std::vector<int64_t> step;
  };

  // What one visit of the pixels reads of the filter.
  struct Weights {
    const Panel *first, *last;
    int64_t step, step_end;
    PackedFilter packed;
  };

  void run_task(int64_t task, int64_t group) {
    const Block b = block_of(task);
    std::vector<PaddedRows> own_rows;
    if (!split_.by_panels && !direct_) own_rows.push_back(copies(b.image, b));
    PaddedRows* rows = split_.by_panels ? all_rows_.data() : own_rows.data();
    FloatBuffer own_weights;
    if (split_.by_panels)
      own_weights = FloatBuffer(split_.block_panels * panels_[0].width * split_.block_steps);
    Reads reads(taps_.size());
    const auto count = static_cast<int64_t>(panels_.size());
    const Panel* last = panels_.data() + (group + 1) * count / split_.groups;
    for (const Panel* panel = panels_.data() + group * count / split_.groups; panel < last;
         panel += split_.block_panels) {
      Weights w{panel, std::min(last, panel + split_.block_panels), 0, 0, {weights_.data(), 0, 0, steps_}};
      do {
        w.step = w.step_end;
        w.step_end = std::min(steps_, w.step + split_.block_steps);
        if (!weights_.data()) {
          w.packed = {own_weights.data(), panel->start, w.step, w.step_end - w.step};
          pack_steps(p_.filter, taps_, p_.c, w.first, w.last, w.step, w.step_end, w.packed);
        }
        for (int64_t image = b.image; image < b.image_end; ++image) {
          for (int64_t p = b.p; p < b.p_end; ++p) {
            run_row(b, image, p, w, direct_ ? nullptr : &rows[image - b.image], reads);
          }
        }
      } while (w.step_end < steps_);
    }
  }

  // One row of the phases, in strips of nearly equal width.
  void run_row(const Block& b, int64_t image, int64_t p, const Weights& w, PaddedRows* rows, Reads& reads) {
    const int64_t widest = kernels_.max_rows[panels_[0].vectors == 2 ? 0 : 1];
    for (size_t cut = 1; cut < cuts_.size(); ++cut) {
      const int64_t first = std::max(b.q, cuts_[cut - 1]), width = std::min(b.q_end, cuts_[cut]) - first;
      const int64_t strips = width > 0 ? ceil_div(width, widest) : 0;
      for (int64_t i = 0; i < strips; ++i) {
        const int64_t q = first + i * width / strips, q_end = first + (i + 1) * width / strips;
        for (size_t phase = 0; phase < p_.phases.size(); ++phase) {
          run_tiles(b, phase, image, p, q, std::min(q_end, p_.phases[phase].columns), w, rows, reads);
        }
        if (w.step_end == steps_) finish(b, image, p, q, q_end, w);
      }
    }
  }

  // Pixels [q, q_end) of a row of a phase, all panels of a block.
  void run_tiles(const Block& b, size_t phase, int64_t image, int64_t p, int64_t q, int64_t q_end,
                 const Weights& w, PaddedRows* rows, Reads& reads) {
    if (p >= p_.phases[phase].rows || q >= q_end) return;
    const int64_t pixel_stride = direct_ ? p_.x.pixel_stride : p_.c;
    size_t count = 0;
    for (const TapRun& r : runs_[phase]) {
      const int64_t h = p * p_.step_h + r.h;
      const int64_t first = q * p_.step_w + r.w, last = (q_end - 1) * p_.step_w + r.w + r.count - 1;
      // Taps that meet only padding are skipped; between cuts, all that meet any.
      const bool padding = direct_ ? first < 0 || last >= p_.x.w : last < 0 || first >= p_.x.w;
      const int64_t step = std::max(w.step, r.first * p_.c);
      const int64_t step_end = std::min(w.step_end, (r.first + r.count) * p_.c);
      if (h < 0 || h >= p_.x.h || padding || step >= step_end) continue;
      const float* row = direct_ ? p_.x.row(image, h) : rows->row(h);
      reads.runs[count].a = row + (first - b.first_column) * pixel_stride + step - r.first * p_.c;
      reads.step[count] = step;
      reads.runs[count++].count = step_end - step;
    }
    if (count == 0 && w.step > 0) return;
    if (phase == 0 && w.step == 0 && w.first == panels_.data()) {
      prefetch(reads, count, (q_end - q) * p_.step_w * pixel_stride);
    }
    ForwardTile tile{reads.runs.data(),
                     static_cast<int64_t>(count),
                     p_.step_w * pixel_stride,
                     nullptr,
                     0,
                     nullptr,
                     p_.y_column,
                     0};
    float* y = p_.y + image * p_.y_image + p * p_.y_row + q * p_.y_column + p_.phases[phase].offset;
    for (const Panel* panel = w.first; panel != w.last; ++panel) {
      for (size_t i = 0; i < count; ++i) reads.runs[i].b = w.packed.at(*panel, reads.step[i]);
      tile.y = y + panel->first;
      tile.channels = panel->channels;
      tile.start = w.step > 0 ? tile.y : bias_.data() + panel->start;
      tile.start_stride = w.step > 0 ? p_.y_column : 0;
      kernels_.forward(tile, panel->vectors, q_end - q);
    }
  }

  // Asks for what the next strip reads, a strip being `floats` of a row: the rows that a tile walks along are
  // too many for the hardware to follow. It helps 2x2 filters of stride 2 (128 channels 226 to 294 GFLOP/s)
  // and class heads (11 classes 14 to 18 GB/s). Copies are in the cache already, and much more than this
  // would displace what is in use.
  void prefetch(const Reads& reads, size_t count, int64_t floats) const {
    constexpr int64_t most = 1 << 12, line = 16;
    for (size_t i = 0; direct_ && floats <= most && i < count; ++i) {
      const float* next = reads.runs[i].a + floats;
      for (int64_t f = 0; f < floats; f += line) __builtin_prefetch(next + f, 0, 2);
    }
  }

  // What follows the sums, while the pixels are in the first-level cache.
  void finish(const Block& b, int64_t image, int64_t p, int64_t q, int64_t q_end, const Weights& w) {
    const int64_t k = w.first->first, channels = w.last[-1].first + w.last[-1].channels - k;
    float* y = p_.y + image * p_.y_image + p * p_.y_row + q * p_.y_column + k;
    if (p_.sums) {
      double* sums = &partial_sums_[static_cast<size_t>(b.task * 2 * p_.k + k)];
      add_sums(y, p_.y_column, q_end - q, channels, sums, sums + p_.k);
    }
    if (p_.residual) {
      const int64_t pixel = (image * rows_ + p) * columns_ + q;
      add_residual(y, p_.y_column, p_.residual + pixel * p_.residual_stride + k, p_.residual_stride,
                   q_end - q, channels);
    }
    if (p_.relu) apply_relu(y, p_.y_column, q_end - q, channels);
  }

  // In task order: the same bits for any number of threads.
  void combine_sums() {
    for (int64_t which = 0; which < 2; ++which) {
      double* total = p_.sums + which * p_.sums_stride;
      std::fill_n(total, p_.k, 0.0);
      for (int64_t task = 0; task < split_.spatial_tasks; ++task) {
        const double* part = &partial_sums_[static_cast<size_t>((task * 2 + which) * p_.k)];
        for (int64_t k = 0; k < p_.k; ++k) total[k] += part[k];
      }
    }
  }

  Correlation p_;
  const TileKernels& kernels_;
  std::vector<Panel> panels_;
  std::vector<Tap> taps_;                  // of all phases, one after the other
  int64_t steps_ = 0;                      // of the reduction: taps times channels
  std::vector<std::vector<TapRun>> runs_;  // of each phase
  int64_t rows_ = 0, columns_ = 0;         // of the largest phase
  int64_t h_min_ = 0, h_max_ = 0, w_min_ = 0, w_max_ = 0;
  bool direct_ = false;        // tiles read x itself: no prologue, padding avoided by cuts_
  std::vector<int64_t> cuts_;  // pieces of an output row
  Split split_{};
  FloatBuffer weights_, bias_;
  std::vector<PaddedRows> all_rows_;  // of each image, if tasks share them
  std::vector<double> partial_sums_;  // [spatial task][2][k]
};

}  // namespace

void correlate(Correlation problem, const TileKernels& kernels) {
  if (problem.images * problem.k * static_cast<int64_t>(problem.phases.size()) == 0) return;
  Driver(std::move(problem), kernels).run();
}

}  // namespace atrous::kernels
