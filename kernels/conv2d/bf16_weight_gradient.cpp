// The reduction runs along rows of pixels, so x is rounded and transposed, [c][row][column]: a tap is then an
// offset into it. Columns of a strided x are sorted by their remainder modulo the stride. dy is rounded in
// pairs of neighbouring pixels. Pixels come in strips whose copies stay in the second-level cache while all
// taps and channels of a task pass over them; so do the task's sums, [tap][c][k], which are transposed at its
// end.
#include "kernels/conv2d/bf16_weight_gradient.h"

#include <algorithm>

#include "core/cpu.h"
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

constexpr int64_t most_partial_floats = 1 << 23;
constexpr int64_t sums_bytes = 1024 * 1024;  // of one task
constexpr int64_t strip_bytes = 512 * 1024;  // of rounded x and dy
constexpr int64_t longest_segment = 512;     // of an output row

ATROUS_MULTIVERSION void add_to(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

class Driver {
 public:
  Driver(const Conv2dProblem& problem, const Grid& dy, const Grid& x, float* dw, const Bf16Kernels& kernels)
      : p_(problem), dy_(dy), x_(x), dw_(dw), kernels_(kernels), rows_(p_.p()), columns_(p_.q()) {
    join_images();
    choose_blocks();
    const int64_t longest =
        std::clamp<int64_t>(strip_bytes / 2 / (c_block_ + k_block_), 128, longest_segment);
    segment_ = ceil_div(columns_, ceil_div(columns_, longest));
    segment_ = std::min(columns_, round_up(segment_, bf16_step));
    segments_ = ceil_div(columns_, segment_);
    steps_ = ceil_div(segment_, bf16_step);
    choose_copies();
    choose_strips();
  }

  void run() {
    const int64_t size = p_.k * p_.r * p_.s * p_.c;
    FloatBuffer partial;
    if (splits_ > 1) partial = FloatBuffer(splits_ * size);
    const int64_t c_blocks = ceil_div(p_.c, c_block_), k_blocks = ceil_div(p_.k, k_block_);
    parallel_for(splits_ * c_blocks * k_blocks, 1, [&](int64_t begin, int64_t end) {
      const Bf16Session session(kernels_);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t split = task / (c_blocks * k_blocks);
        run_task(split, task / k_blocks % c_blocks * c_block_, task % k_blocks * k_block_,
                 splits_ > 1 ? partial.data() + split * size : dw_);
      }
    });
    if (splits_ == 1) return;
    // In the order of the splits: the same bits for any number of threads.
    parallel_for(size, 1 << 12, [&](int64_t begin, int64_t end) {
      std::copy_n(partial.data() + begin, end - begin, dw_ + begin);
      for (int64_t split = 1; split < splits_; ++split)
        add_to(dw_ + begin, partial.data() + split * size + begin, end - begin);
    });
  }

 private:
  // Rows [p_begin, p_end) of one image, columns [q_begin, q_end).
  struct Strip {
    int64_t image, p_begin, p_end, q_begin, q_end;
  };

  // What a task keeps.
  struct Copies {
    int64_t c_first, c_count, k_first, k_count;
    Bf16Buffer x;               // [c][row read][remainder][column], rows of c x_stride apart
    Bf16Buffer dy;              // [panel of 32][row][step][vector][16 pairs][16][2]
    std::vector<int64_t> slot;  // by h - first_h: the place of a row of x, or -1
    int64_t first_h = 0, x_stride = 0;

    int64_t vectors(int64_t panel) const { return k_count - panel * bf16_panel > bf16_lanes ? 2 : 1; }
  };

  // The largest block of whole panels that cuts `channels` into equal parts.
  static int64_t balanced(int64_t channels, int64_t block) {
    return std::min(channels, round_up(ceil_div(channels, ceil_div(channels, block)), bf16_panel));
  }

  // A 1x1 filter of stride 1 sees no rows: all pixels of all images are one.
  void join_images() {
    if (p_.r * p_.s != 1 || p_.stride_h != 1 || p_.stride_w != 1 || p_.pad_h != 0 || p_.pad_w != 0) return;
    p_.w = columns_ = p_.n * p_.h * p_.w;
    p_.n = p_.h = rows_ = 1;
    x_.h = dy_.h = 1;
    x_.w = dy_.w = columns_;
  }

  // The channels of a task, and into how many parts the pixels are split: what takes least time on four
  // cores. Measured on one core of a Sapphire Rapids Xeon: 0.35 ns to round and reorder a number, which each
  // block of the other tensor's channels does anew; 1.2 TFLOP/s; 1.6 ns for each partial sum of dw.
  void choose_blocks() {
    const double pixels = static_cast<double>(p_.n * rows_ * columns_);
    const int64_t size = p_.k * p_.r * p_.s * p_.c;
    double least = 0;
    for (int64_t block = 512; block >= bf16_panel; block /= 2) {
      const int64_t c_block = balanced(p_.c, block), k_block = balanced(p_.k, block);
      if (block > bf16_panel && p_.r * p_.s * c_block * k_block * 4 > sums_bytes) continue;
      const int64_t c_blocks = ceil_div(p_.c, c_block), k_blocks = ceil_div(p_.k, k_block);
      for (int64_t splits = 1; splits <= 16; splits *= 2) {
        if (splits > 1 && splits * size > most_partial_floats) break;
        const double rounding = 0.35 * pixels * static_cast<double>(p_.c * k_blocks + p_.k * c_blocks);
        const double sums = 1.6 * static_cast<double>(splits * size);
        const double total = rounding + p_.flops() / 1200 + sums;
        const double time = total / static_cast<double>(std::min<int64_t>(c_blocks * k_blocks * splits, 4));
        if (least > 0 && time >= least) continue;
        least = time;
        c_block_ = c_block;
        k_block_ = k_block;
        splits_ = splits;
      }
    }
  }

  void choose_copies() {
    for (int64_t s = 0; s < p_.s; ++s) remainders_.push_back(s * p_.dilation_w % p_.stride_w);
    std::sort(remainders_.begin(), remainders_.end());
    remainders_.erase(std::unique(remainders_.begin(), remainders_.end()), remainders_.end());
    x_columns_ = round_up(steps_ * bf16_step + (p_.s - 1) * p_.dilation_w / p_.stride_w, bf16_step);
  }

  int64_t remainder_count() const { return static_cast<int64_t>(remainders_.size()); }

  // Rows of x that `rows` rows of output read, by their distance from the first.
  std::vector<int64_t> rows_read(int64_t rows) const {
    std::vector<int64_t> read;
    for (int64_t p = 0; p < rows; ++p) {
      for (int64_t r = 0; r < p_.r; ++r) read.push_back(p * p_.stride_h + r * p_.dilation_h);
    }
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    return read;
  }

  void choose_strips() {
    const auto bytes = [&](int64_t rows) {
      const auto read = static_cast<int64_t>(rows_read(rows).size());
      return (c_block_ * read * remainder_count() * x_columns_ + k_block_ * rows * steps_ * bf16_step) * 2;
    };
    strip_rows_ = std::clamp<int64_t>(p_.n * rows_ * segments_ / splits_, 1, rows_);
    while (strip_rows_ > 1 && bytes(strip_rows_) > strip_bytes) strip_rows_ = ceil_div(strip_rows_, 2);
    strips_per_segment_ = ceil_div(rows_, strip_rows_);
    strips_ = p_.n * segments_ * strips_per_segment_;
    splits_ = std::min(splits_, strips_);
  }

  Strip strip_at(int64_t index) const {
    const int64_t p = index % strips_per_segment_ * strip_rows_;
    const int64_t q = index / strips_per_segment_ % segments_ * segment_;
    return {index / strips_per_segment_ / segments_, p, std::min(rows_, p + strip_rows_), q,
            std::min(columns_, q + segment_)};
  }

  void run_task(int64_t split, int64_t c_first, int64_t k_first, float* dw) const {
    Copies copies{c_first, std::min(c_block_, p_.c - c_first),
                  k_first, std::min(k_block_, p_.k - k_first),
                  {},      {},
                  {},      0,
                  0};
    const auto read = static_cast<int64_t>(rows_read(strip_rows_).size());
    // An odd number of cache lines: powers of two would meet in few sets of the first-level cache.
    copies.x_stride = (read * remainder_count() * x_columns_ / bf16_step | 1) * bf16_step;
    const int64_t c_rounded = round_up(copies.c_count, bf16_lanes),
                  k_rounded = round_up(copies.k_count, bf16_lanes);
    copies.x = Bf16Buffer(c_rounded * copies.x_stride);
    copies.dy = Bf16Buffer(ceil_div(k_rounded, bf16_panel) * strip_rows_ * steps_ * 2 * bf16_block);
    const int64_t tap_size = c_rounded * k_rounded;
    const FloatBuffer sums(p_.r * p_.s * tap_size);
    std::fill_n(sums.data(), p_.r * p_.s * tap_size, 0.0f);
    std::vector<Bf16Run> runs;
    for (int64_t i = split * strips_ / splits_; i < (split + 1) * strips_ / splits_; ++i) {
      const Strip strip = strip_at(i);
      copy_x(strip, copies);
      copy_dy(strip, copies);
      for (int64_t tap = 0; tap < p_.r * p_.s; ++tap)
        add_tap(strip, copies, tap, sums.data() + tap * tap_size, k_rounded, runs);
    }
    for (int64_t tap = 0; tap < p_.r * p_.s; ++tap) {
      for (int64_t c = 0; c < copies.c_count; c += bf16_lanes) {
        for (int64_t k = 0; k < copies.k_count; k += bf16_lanes) {
          transpose_f32(sums.data() + tap * tap_size + c * k_rounded + k, k_rounded,
                        std::min(bf16_lanes, copies.c_count - c), std::min(bf16_lanes, copies.k_count - k),
                        dw + ((k_first + k) * p_.r * p_.s + tap) * p_.c + c_first + c, p_.r * p_.s * p_.c);
        }
      }
    }
  }

  void copy_x(const Strip& strip, Copies& copies) const {
    const std::vector<int64_t> read = rows_read(strip.p_end - strip.p_begin);
    copies.first_h = strip.p_begin * p_.stride_h - p_.pad_h;
    copies.slot.assign(static_cast<size_t>(read.back() + 1), -1);
    int64_t slot = 0;
    for (const int64_t distance : read) {
      const int64_t h = copies.first_h + distance;
      if (h < 0 || h >= p_.h) continue;
      copies.slot[static_cast<size_t>(distance)] = slot;
      const float* row = x_.row(strip.image, h) + copies.c_first;
      for (int64_t i = 0; i < remainder_count(); ++i) {
        uint16_t* to = copies.x.data() + (slot * remainder_count() + i) * x_columns_;
        const int64_t first_column =
            strip.q_begin * p_.stride_w - p_.pad_w + remainders_[static_cast<size_t>(i)];
        for (int64_t j = 0; j < x_columns_; j += bf16_step)
          copy_columns(row, first_column + j * p_.stride_w, copies, to + j);
      }
      ++slot;
    }
  }

  // 32 columns of x from `column` on, all channels of the block.
  void copy_columns(const float* row, int64_t column, const Copies& copies, uint16_t* to) const {
    const int64_t first =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(-column, 0), p_.stride_w), 0, bf16_step);
    const int64_t last =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(p_.w - column, 0), p_.stride_w), first, bf16_step);
    for (int64_t c = 0; c < copies.c_count; c += bf16_lanes) {
      rows_transposed(row + column * x_.pixel_stride + c, p_.stride_w * x_.pixel_stride, first, last,
                      copies.c_count - c, to + c * copies.x_stride, copies.x_stride);
    }
  }

  void copy_dy(const Strip& strip, const Copies& copies) const {
    for (int64_t p = strip.p_begin; p < strip.p_end; ++p) {
      for (int64_t k = 0; k < copies.k_count; k += bf16_lanes) {
        const int64_t panel = k / bf16_panel, vectors = copies.vectors(panel);
        const float* from = dy_.row(strip.image, p) + strip.q_begin * dy_.pixel_stride + copies.k_first + k;
        uint16_t* to = dy_panel(copies, strip, panel, p) + k % bf16_panel / bf16_lanes * bf16_block;
        for (int64_t step = 0; step < steps_; ++step) {
          block_of_reduction(from + step * bf16_step * dy_.pixel_stride, dy_.pixel_stride,
                             strip.q_end - strip.q_begin - step * bf16_step, copies.k_count - k,
                             to + step * vectors * bf16_block);
        }
      }
    }
  }

  uint16_t* dy_panel(const Copies& copies, const Strip& strip, int64_t panel, int64_t p) const {
    const int64_t row = p - strip.p_begin;
    return copies.dy.data() + (panel * strip_rows_ * 2 + row * copies.vectors(panel)) * steps_ * bf16_block;
  }

  // Adds a strip to the sums of one tap, [c][k].
  void add_tap(const Strip& strip, const Copies& copies, int64_t tap, float* sums, int64_t sums_stride,
               std::vector<Bf16Run>& runs) const {
    const int64_t r = tap / p_.s, s = tap % p_.s * p_.dilation_w;
    const auto remainder =
        std::find(remainders_.begin(), remainders_.end(), s % p_.stride_w) - remainders_.begin();
    // Taps that meet only padding, as those of large rates do.
    const int64_t first_column = strip.q_begin * p_.stride_w + s - p_.pad_w;
    if (first_column >= p_.w || first_column + (strip.q_end - strip.q_begin - 1) * p_.stride_w < 0) return;
    for (int64_t k = 0; k < copies.k_count; k += bf16_panel) {
      const int64_t panel = k / bf16_panel;
      runs.clear();
      for (int64_t p = strip.p_begin; p < strip.p_end; ++p) {
        const int64_t slot =
            copies.slot[static_cast<size_t>((p - strip.p_begin) * p_.stride_h + r * p_.dilation_h)];
        if (slot < 0) continue;
        const uint16_t* a =
            copies.x.data() + (slot * remainder_count() + remainder) * x_columns_ + s / p_.stride_w;
        runs.push_back({{a, a + bf16_lanes * copies.x_stride}, dy_panel(copies, strip, panel, p), steps_});
      }
      if (runs.empty()) return;
      for (int64_t c = 0; c < copies.c_count; c += 2 * bf16_lanes) {
        float* to = sums + c * sums_stride + k;
        kernels_.multiply({runs.data(), static_cast<int64_t>(runs.size()), copies.x_stride, to, sums_stride,
                           to, sums_stride},
                          copies.c_count - c > bf16_lanes ? 2 : 1, copies.vectors(panel));
        for (Bf16Run& run : runs) {
          for (const uint16_t*& a : run.a) a += 2 * bf16_lanes * copies.x_stride;
        }
      }
    }
  }

  Conv2dProblem p_;
  Grid dy_, x_;
  float* dw_;
  const Bf16Kernels& kernels_;
  int64_t rows_, columns_;  // of the output
  int64_t c_block_ = 1, k_block_ = 1;
  int64_t segment_ = 1, segments_ = 1;  // pieces of an output row
  int64_t steps_ = 1;                   // of a segment's reduction
  std::vector<int64_t> remainders_;     // of the columns that taps read
  int64_t x_columns_ = 0;
  int64_t strip_rows_ = 1, strips_per_segment_ = 1, strips_ = 1, splits_ = 1;
};

}  // namespace

void weight_gradient_bf16(const Conv2dProblem& p, const Grid& dy, const Grid& x, float* dw,
                          const Bf16Kernels& kernels) {
  if (p.n == 0) {
    std::fill_n(dw, p.k * p.r * p.s * p.c, 0.0f);
    return;
  }
  Driver(p, dy, x, dw, kernels).run();
}

}  // namespace atrous::kernels
