#include "kernels/common/channel_ops.h"

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::kernels {
namespace {

constexpr int64_t block_elements =
    1 << 15;                      // 128 KiB: stays in L2, and is long enough to hide the task switch
constexpr int64_t run_rows = 64;  // rows summed in f32 before they go to the f64 sums

// Splits tensors of one shape into blocks of pixels, and blocks into rows. A row is one pixel, or `repeat`
// neighbouring pixels if all tensors are dense, chosen so that rows are whole vectors of 16 floats.
struct Walk {
  int64_t images, pixels, channels, repeat = 1, block_pixels, blocks;

  Walk(int64_t images_, std::initializer_list<const Tensor*> tensors) : images(images_) {
    const Tensor& first = **tensors.begin();
    channels = first.channels();
    pixels = images ? first.pixels() / images : 0;
    const bool dense = std::all_of(tensors.begin(), tensors.end(), [&](const Tensor* t) {
      return !t->defined() || t->pixel_stride() == channels;
    });
    if (dense && channels > 0) {
      repeat = 16 / std::gcd<int64_t>(16, channels);
      while (repeat * channels < 64) repeat *= 2;
    }
    // At least 64 pixels (a multiple of any `repeat`), or many channels would drown in the work per block.
    block_pixels = std::max<int64_t>(64, block_elements / std::max<int64_t>(1, channels) / repeat * repeat);
    blocks = (pixels + block_pixels - 1) / block_pixels;
  }

  int64_t width() const { return repeat * channels; }
  int64_t row_stride(const Tensor& t) const { return t.defined() ? repeat * t.pixel_stride() : 0; }

  // f(task, image, first pixel in the tensor, pixels) for every block, in parallel.
  template <class F>
  void for_each_block(F&& f) const {
    parallel_for(images * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t image = task / blocks;
        const int64_t first = task % blocks * block_pixels;
        f(task, image, image * pixels + first, std::min(block_pixels, pixels - first));
      }
    });
  }

  // f(first pixel, rows, width): runs of at most `longest` full rows, then the pixels that do not fill a row.
  template <class F>
  void for_each_run(int64_t first, int64_t count, int64_t longest, F&& f) const {
    const int64_t rows = count / repeat;
    for (int64_t row = 0; row < rows; row += longest) {
      f(first + row * repeat, std::min(longest, rows - row), width());
    }
    if (rows * repeat < count) f(first + rows * repeat, int64_t{1}, (count - rows * repeat) * channels);
  }

  // The parameters of one image as wide as a row.
  std::vector<float> widen(const float* parameters, int64_t image) const {
    std::vector<float> wide(static_cast<size_t>(width()), 0.0f);
    if (!parameters) return wide;
    for (int64_t k = 0; k < repeat; ++k) {
      std::copy_n(parameters + image * channels, channels, wide.begin() + k * channels);
    }
    return wide;
  }

  // Adds up the `repeat` copies of each channel.
  void fold(const std::vector<double>& wide, double* folded) const {
    std::copy_n(wide.begin(), channels, folded);
    for (int64_t k = 1; k < repeat; ++k) {
      for (int64_t c = 0; c < channels; ++c) folded[c] += wide[static_cast<size_t>(k * channels + c)];
    }
  }
};

float* at(const Tensor& t, int64_t pixel) {
  return t.defined() ? t.data<float>() + pixel * t.pixel_stride() : nullptr;
}

// ---- inner loops: rows x width, parameters as wide as a row ----

ATROUS_MULTIVERSION void sum_shifted(const float* __restrict x, int64_t ld, int64_t rows, int64_t width,
                                     const float* __restrict shift, float* __restrict s1,
                                     float* __restrict s2) {
  int64_t i = 0;
  // Four rows at a time: the sums are loaded and stored once per four values.
  for (; i + 4 <= rows; i += 4, x += 4 * ld) {
    const float* __restrict x1 = x + ld;
    const float* __restrict x2 = x + 2 * ld;
    const float* __restrict x3 = x + 3 * ld;
    for (int64_t j = 0; j < width; ++j) {
      const float a = x[j] - shift[j], b = x1[j] - shift[j], c = x2[j] - shift[j], d = x3[j] - shift[j];
      s1[j] += (a + b) + (c + d);
      s2[j] += (a * a + b * b) + (c * c + d * d);
    }
  }
  for (; i < rows; ++i, x += ld) {
    for (int64_t j = 0; j < width; ++j) {
      const float a = x[j] - shift[j];
      s1[j] += a;
      s2[j] += a * a;
    }
  }
}

// One function for forward and backward, so that both round alike.
[[gnu::always_inline]] inline float affine(float x, float mean, float scale, float shift) {
  return (x - mean) * scale + shift;
}

struct AffineRows {
  const float* x;
  const float* residual;
  float* y;
  int64_t ldx, ldr, ldy;
  const float *mean, *scale, *shift;
};

template <Activation A, bool Residual>
ATROUS_MULTIVERSION void affine_rows(const AffineRows& p, int64_t rows, int64_t width) {
  const float* mean = p.mean;
  const float* scale = p.scale;
  const float* shift = p.shift;
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = p.x + i * p.ldx;
    const float* r = Residual ? p.residual + i * p.ldr : nullptr;
    float* y = p.y + i * p.ldy;
    // y may be x or residual itself, element for element; the parameters never overlap it.
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) {
      float v = affine(x[j], mean[j], scale[j], shift[j]);
      if constexpr (Residual) v += r[j];
      y[j] = activate<A>(v);
    }
  }
}

struct GradientRows {
  const float *dy, *y, *x;
  float* out;  // dx, or g
  int64_t ld_dy, ld_y, ld_x, ld_out;
  const float *mean = nullptr, *scale = nullptr, *shift = nullptr;
  const float *a = nullptr, *b = nullptr, *c = nullptr;
  float *s1 = nullptr, *s2 = nullptr;
};

// Where the output of the activation is found.
enum class From { y, x };

template <Activation A, From F, bool HasX, bool HasOut>
ATROUS_MULTIVERSION void gradient_sum_rows(const GradientRows& p, int64_t rows, int64_t width) {
  const float* __restrict mean = p.mean;
  const float* __restrict scale = p.scale;
  const float* __restrict shift = p.shift;
  float* __restrict s1 = p.s1;
  float* __restrict s2 = p.s2;
  for (int64_t i = 0; i < rows; ++i) {
    const float* dy = p.dy + i * p.ld_dy;
    const float* x = HasX ? p.x + i * p.ld_x : dy;
    const float* y = A == Activation::none || F == From::x ? x : p.y + i * p.ld_y;
    float* out = HasOut ? p.out + i * p.ld_out : nullptr;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) {
      const float at = F == From::x ? affine(x[j], mean[j], scale[j], shift[j]) : y[j];
      const float g = activation_gradient<A>(at, dy[j]);
      s1[j] += g;
      if constexpr (HasX) s2[j] += g * (x[j] - mean[j]);
      if constexpr (HasOut) out[j] = g;
    }
  }
}

template <Activation A, From F, bool HasX>
ATROUS_MULTIVERSION void gradient_input_rows(const GradientRows& p, int64_t rows, int64_t width) {
  const float* mean = p.mean;
  const float* scale = p.scale;
  const float* shift = p.shift;
  const float* a = p.a;
  const float* b = p.b;
  const float* c = p.c;
  for (int64_t i = 0; i < rows; ++i) {
    const float* dy = p.dy + i * p.ld_dy;
    const float* x = HasX ? p.x + i * p.ld_x : dy;
    const float* y = A == Activation::none || F == From::x ? x : p.y + i * p.ld_y;
    float* dx = p.out + i * p.ld_out;
    // dx may be dy itself, element for element.
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) {
      const float at = F == From::x ? affine(x[j], mean[j], scale[j], shift[j]) : y[j];
      const float g = activation_gradient<A>(at, dy[j]);
      dx[j] = HasX ? a[j] * g + (b[j] * (x[j] - mean[j]) + c[j]) : a[j] * g;
    }
  }
}

// Turns the run-time activation into a template argument: f(integral_constant).
template <class F>
auto with_activation(Activation a, F&& f) {
  switch (a) {
    case Activation::relu: return f(std::integral_constant<Activation, Activation::relu>{});
    case Activation::relu6: return f(std::integral_constant<Activation, Activation::relu6>{});
    case Activation::none: break;
  }
  return f(std::integral_constant<Activation, Activation::none>{});
}

// Mean of the first few rows of a block: close enough to the block's mean to take the offset out of the
// squares.
std::vector<float> local_mean(const Walk& walk, const Tensor& x, int64_t first, int64_t count) {
  const int64_t n = std::min(count, 8 * walk.repeat);
  std::vector<float> mean(static_cast<size_t>(walk.channels), 0.0f);
  for (int64_t p = 0; p < n; ++p) {
    const float* row = at(x, first + p);
    for (int64_t c = 0; c < walk.channels; ++c) mean[static_cast<size_t>(c)] += row[c];
  }
  for (float& m : mean) m /= static_cast<float>(n);
  return mean;
}

using GradientRowsFn = void (*)(const GradientRows&, int64_t rows, int64_t width);

template <Activation A>
GradientRowsFn sum_rows_for(bool has_x, bool has_out, bool from_x) {
  if (!has_x)
    return has_out ? &gradient_sum_rows<A, From::y, false, true>
                   : &gradient_sum_rows<A, From::y, false, false>;
  if (from_x)
    return has_out ? &gradient_sum_rows<A, From::x, true, true> : &gradient_sum_rows<A, From::x, true, false>;
  return has_out ? &gradient_sum_rows<A, From::y, true, true> : &gradient_sum_rows<A, From::y, true, false>;
}

template <Activation A>
GradientRowsFn input_rows_for(bool has_x, bool from_x) {
  if (!has_x) return &gradient_input_rows<A, From::y, false>;
  return from_x ? &gradient_input_rows<A, From::x, true> : &gradient_input_rows<A, From::y, true>;
}

// The rows that start at a pixel; parameters and sums are still to come.
GradientRows gradient_rows(const Walk& walk, int64_t pixel, const Tensor& dy, const Tensor& y,
                           const Tensor& x, const Tensor& out) {
  return {.dy = at(dy, pixel),
          .y = at(y, pixel),
          .x = at(x, pixel),
          .out = at(out, pixel),
          .ld_dy = walk.row_stride(dy),
          .ld_y = walk.row_stride(y),
          .ld_x = walk.row_stride(x),
          .ld_out = walk.row_stride(out)};
}

void add_to(std::vector<double>& total, std::vector<float>& part, int64_t width) {
  for (size_t j = 0; j < static_cast<size_t>(width); ++j) {
    total[j] += static_cast<double>(part[j]);
    part[j] = 0;
  }
}

void add_blocks(const Walk& walk, const std::vector<double>& partial, double* sum) {
  const int64_t c_count = walk.channels;
  for (int64_t image = 0; image < walk.images; ++image) {
    double* out = sum + image * c_count;
    std::fill_n(out, c_count, 0.0);
    for (int64_t block = 0; block < walk.blocks; ++block) {
      const double* part = partial.data() + (image * walk.blocks + block) * c_count;
      for (int64_t c = 0; c < c_count; ++c) out[c] += part[c];
    }
  }
}

}  // namespace

void channel_moments(const Tensor& x, int64_t images, double* mean, double* m2) {
  const Walk walk(images, {&x});
  const int64_t channels = walk.channels;
  const auto partial_size = static_cast<size_t>(images * walk.blocks * channels);
  std::vector<double> block_mean(partial_size), block_m2(partial_size);
  walk.for_each_block([&](int64_t task, int64_t, int64_t first, int64_t count) {
    const std::vector<float> shift = local_mean(walk, x, first, count);
    const std::vector<float> wide_shift = walk.widen(shift.data(), 0);
    const auto width = static_cast<size_t>(walk.width());
    std::vector<float> s1(width), s2(width);
    std::vector<double> total1(width), total2(width);
    walk.for_each_run(first, count, run_rows, [&](int64_t pixel, int64_t rows, int64_t w) {
      sum_shifted(at(x, pixel), walk.row_stride(x), rows, w, wide_shift.data(), s1.data(), s2.data());
      add_to(total1, s1, w);
      add_to(total2, s2, w);
    });
    double* bm = block_mean.data() + task * channels;
    double* b2 = block_m2.data() + task * channels;
    walk.fold(total1, bm);
    walk.fold(total2, b2);
    const auto n = static_cast<double>(count);
    for (int64_t c = 0; c < channels; ++c) {
      const double delta = bm[c] / n;
      b2[c] = std::max(0.0, b2[c] - bm[c] * delta);
      bm[c] = static_cast<double>(shift[static_cast<size_t>(c)]) + delta;
    }
  });
  for (int64_t image = 0; image < images; ++image) {
    double* m = mean + image * channels;
    double* s = m2 + image * channels;
    std::fill_n(m, channels, 0.0);
    std::fill_n(s, channels, 0.0);
    double seen = 0;
    for (int64_t block = 0; block < walk.blocks; ++block) {
      const auto n =
          static_cast<double>(std::min(walk.block_pixels, walk.pixels - block * walk.block_pixels));
      const double share = n / (seen + n);
      const double cross = seen * share;
      const double* bm = block_mean.data() + (image * walk.blocks + block) * channels;
      const double* b2 = block_m2.data() + (image * walk.blocks + block) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const double delta = bm[c] - m[c];
        m[c] += delta * share;
        s[c] += b2[c] + delta * delta * cross;
      }
      seen += n;
    }
  }
}

void channel_affine(const Tensor& x, int64_t images, const float* mean, const float* scale,
                    const float* shift, const Tensor& residual, Activation activation, const Tensor& y) {
  const Walk walk(images, {&x, &residual, &y});
  with_activation(activation, [&](auto tag) {
    constexpr Activation A = decltype(tag)::value;
    walk.for_each_block([&](int64_t, int64_t image, int64_t first, int64_t count) {
      const std::vector<float> m = walk.widen(mean, image), s = walk.widen(scale, image),
                               b = walk.widen(shift, image);
      walk.for_each_run(first, count, walk.block_pixels, [&](int64_t pixel, int64_t rows, int64_t width) {
        const AffineRows p{at(x, pixel),
                           at(residual, pixel),
                           at(y, pixel),
                           walk.row_stride(x),
                           walk.row_stride(residual),
                           walk.row_stride(y),
                           m.data(),
                           s.data(),
                           b.data()};
        residual.defined() ? affine_rows<A, true>(p, rows, width) : affine_rows<A, false>(p, rows, width);
      });
    });
  });
}

void channel_gradient_sums(const Tensor& dy, const ChannelActivation& activation, const Tensor& x,
                           int64_t images, const float* mean, double* sum_g, double* sum_gx,
                           const Tensor& g_out) {
  const Tensor& y = activation.y;
  const Walk walk(images, {&dy, &y, &x, &g_out});
  const int64_t channels = walk.channels;
  const auto partial_size = static_cast<size_t>(images * walk.blocks * channels);
  std::vector<double> block_g(partial_size), block_gx(x.defined() ? partial_size : 0);
  with_activation(activation.kind, [&](auto tag) {
    constexpr Activation A = decltype(tag)::value;
    const auto rows_fn = sum_rows_for<A>(x.defined(), g_out.defined(), activation.scale != nullptr);
    walk.for_each_block([&](int64_t task, int64_t image, int64_t first, int64_t count) {
      const std::vector<float> m = walk.widen(mean, image), scale = walk.widen(activation.scale, image),
                               shift = walk.widen(activation.shift, image);
      const auto width = static_cast<size_t>(walk.width());
      std::vector<float> s1(width), s2(width);
      std::vector<double> total1(width), total2(width);
      walk.for_each_run(first, count, run_rows, [&](int64_t pixel, int64_t rows, int64_t w) {
        GradientRows p = gradient_rows(walk, pixel, dy, y, x, g_out);
        p.mean = m.data();
        p.scale = scale.data();
        p.shift = shift.data();
        p.s1 = s1.data();
        p.s2 = s2.data();
        rows_fn(p, rows, w);
        add_to(total1, s1, w);
        if (x.defined()) add_to(total2, s2, w);
      });
      walk.fold(total1, block_g.data() + task * channels);
      if (x.defined()) walk.fold(total2, block_gx.data() + task * channels);
    });
  });
  add_blocks(walk, block_g, sum_g);
  if (x.defined()) add_blocks(walk, block_gx, sum_gx);
}

void channel_gradient_input(const Tensor& dy, const ChannelActivation& activation, const Tensor& x,
                            int64_t images, const float* mean, const float* a, const float* b, const float* c,
                            const Tensor& dx) {
  const Tensor& y = activation.y;
  const Walk walk(images, {&dy, &y, &x, &dx});
  with_activation(activation.kind, [&](auto tag) {
    constexpr Activation A = decltype(tag)::value;
    const auto rows_fn = input_rows_for<A>(x.defined(), activation.scale != nullptr);
    walk.for_each_block([&](int64_t, int64_t image, int64_t first, int64_t count) {
      const std::vector<float> wm = walk.widen(mean, image), wa = walk.widen(a, image),
                               wb = walk.widen(b, image), wc = walk.widen(c, image),
                               scale = walk.widen(activation.scale, image),
                               shift = walk.widen(activation.shift, image);
      walk.for_each_run(first, count, walk.block_pixels, [&](int64_t pixel, int64_t rows, int64_t width) {
        GradientRows p = gradient_rows(walk, pixel, dy, y, x, dx);
        p.mean = wm.data();
        p.scale = scale.data();
        p.shift = shift.data();
        p.a = wa.data();
        p.b = wb.data();
        p.c = wc.data();
        rows_fn(p, rows, width);
      });
    });
  });
}

}  // namespace atrous::kernels
