// One band of the fused resize + softmax + cross-entropy with L-wide vectors. Included by files compiled per
// instruction set.
//
// An output row blends two rows of logits vertically (cheap: they are short), then each of its pixels blends
// two neighbours of that row in registers, becomes a gradient in registers, and is added to accumulators of
// the same two neighbours; those go to memory only when the next pixel has other neighbours. The row of
// gradients is then added to the gradients of the two rows of logits.
#pragma once

#include "kernels/cross_entropy/pixel_lanes.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy_impl.h"

namespace atrous::kernels::resize_cross_entropy_impl {
namespace {

// The logit of "no class" in the lanes past the last one: finite, since it is multiplied by weights that may
// be 0.
inline constexpr float no_class = -1e30f;

template <int L, int NV>
class Band {
  using V = Lanes<L>;
  using Pixel = PixelLogits<L, NV>;

 public:
  explicit Band(const BandRun& run)
      : r(run),
        vectors(NV ? NV : static_cast<int>((run.classes + L - 1) / L)),
        padded(vectors * int64_t{L}),
        row_length(run.in_w * padded),
        upper(run.scratch),
        lower(upper + row_length),
        blended(lower + row_length),
        row_gradient(blended + row_length),
        upper_gradient(row_gradient + row_length),
        lower_gradient(upper_gradient + row_length) {}

  double run() {
    double loss = 0;
    clear(upper_gradient);
    for (int64_t h = r.begin; h < r.end; ++h) {
      clear(lower_gradient);
      const int64_t first = r.first_output[h], last = r.first_output[h + 1];
      if (first < last) {
        copy_padded(h, upper);
        copy_padded(h + 1 < r.in_h ? h + 1 : h, lower);
      }
      for (int64_t y = first; y < last; ++y) {
        const auto weight = static_cast<float>(r.rows[y].weight);
        blend(weight);
        if (r.gradient) clear(row_gradient);
        loss += output_row(y);
        if (r.gradient) spread(weight);
      }
      if (r.gradient) copy_dense(upper_gradient, r.gradient + h * r.in_w * r.classes);
      float* next = upper_gradient;  // the lower row is the upper one of the next round
      upper_gradient = lower_gradient;
      lower_gradient = next;
    }
    if (r.gradient && r.end < r.in_h) copy_dense(upper_gradient, r.halo);
    return loss;
  }

 private:
  void clear(float* row) const { __builtin_memset(row, 0, static_cast<size_t>(row_length) * sizeof(float)); }

  void copy_padded(int64_t h, float* to) const {
    for (int64_t x = 0; x < r.in_w; ++x) {
      const float* from = r.logits + (h * r.in_w + x) * r.stride;
      for (int64_t k = 0; k < padded; ++k) to[x * padded + k] = k < r.classes ? from[k] : no_class;
    }
  }

  void copy_dense(const float* from, float* to) const {
    for (int64_t x = 0; x < r.in_w; ++x) {
      __builtin_memcpy(to + x * r.classes, from + x * padded, static_cast<size_t>(r.classes) * sizeof(float));
    }
  }

  void blend(float weight) const {
    for (int64_t i = 0; i < row_length; i += L) {
      V::store(blended + i, V::load(upper + i) * (1.0f - weight) + V::load(lower + i) * weight);
    }
  }

  void spread(float weight) const {
    for (int64_t i = 0; i < row_length; i += L) {
      const typename V::F g = V::load(row_gradient + i);
      V::store(upper_gradient + i, V::load(upper_gradient + i) + g * (1.0f - weight));
      V::store(lower_gradient + i, V::load(lower_gradient + i) + g * weight);
    }
  }

  // Gradients of the two neighbours that the current pixels read.
  struct Pending {
    Pixel left, right;
    int32_t low = -1, high = -1;
  };

  void flush(Pending& p) const {
    if (p.low < 0) return;
    float* left = row_gradient + p.low * padded;
    float* right = row_gradient + p.high * padded;
    for (int j = 0; j < vectors; ++j) V::store(left + j * L, V::load(left + j * L) + p.left.v[j]);
    for (int j = 0; j < vectors; ++j) V::store(right + j * L, V::load(right + j * L) + p.right.v[j]);
  }

  double output_row(int64_t y) const {
    Pending pending{Pixel(vectors), Pixel(vectors)};
    Pixel z(vectors);
    double total = 0;
    for (int64_t x = 0; x < r.out_w; ++x) {
      const int64_t at = y * r.out_w + x;
      const int32_t label = r.labels[at];
      if (label == r.ignore_index) {
        if (r.pixel_losses) r.pixel_losses[at] = 0;
        continue;
      }
      const ResizeTap tap = r.columns[x];
      const auto right = static_cast<float>(tap.weight);
      const float left = 1.0f - right;
      const float* a = blended + tap.low * padded;
      const float* b = blended + tap.high * padded;
      for (int j = 0; j < vectors; ++j) z.v[j] = V::load(a + j * L) * left + V::load(b + j * L) * right;
      float max, sum;
      z.exponentials(max, sum);
      float weight = 1.0f;
      if (r.class_weights) weight = r.class_weights[label];
      if (r.pixel_weights) weight *= r.pixel_weights[at];
      float loss = log_approx(sum) + (max - (a[label] * left + b[label] * right));
      float factor = 1.0f;
      if (r.gamma != 0.0f) {
        const FocalFloat f = focal_float(loss, r.gamma);
        loss = f.loss;
        factor = f.gradient_factor;
      }
      loss *= weight;
      total += static_cast<double>(loss);
      if (r.pixel_losses) r.pixel_losses[at] = loss;
      if (!r.gradient) continue;
      z.gradient(weight * factor * r.scale, sum, label);
      if (tap.low != pending.low) {
        flush(pending);
        pending.low = tap.low;
        pending.high = tap.high;
        for (int j = 0; j < vectors; ++j) pending.left.v[j] = pending.right.v[j] = V::all(0.0f);
      }
      for (int j = 0; j < vectors; ++j) {
        pending.left.v[j] += z.v[j] * left;
        pending.right.v[j] += z.v[j] * right;
      }
    }
    if (r.gradient) flush(pending);
    return total;
  }

  const BandRun& r;
  const int vectors;
  const int64_t padded;      // floats per pixel in scratch
  const int64_t row_length;  // floats per row in scratch
  float *upper, *lower, *blended, *row_gradient, *upper_gradient, *lower_gradient;
};

template <int L>
double band_any(const BandRun& r) {
  switch ((r.classes + L - 1) / L) {
    case 1: return Band<L, 1>(r).run();
    case 2: return Band<L, 2>(r).run();
    case 3: return Band<L, 3>(r).run();
    default: return Band<L, 0>(r).run();
  }
}

}  // namespace
}  // namespace atrous::kernels::resize_cross_entropy_impl
