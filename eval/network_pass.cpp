#include "eval/network_pass.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/logit_rows.h"
#include "layers/finite.h"

namespace atrous::eval {
namespace {

// Index into [0, n) of a position outside it, mirrored at the borders as often as needed (the border pixel
// once).
int64_t mirror(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1);
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

// The window [top, top + height) x [left, left + width) of f32 [H, W, C], mirrored where it leaves the image,
// as [1, height, width, C].
Tensor window_of(const Tensor& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  const int64_t c = image.dim(2);
  if (top == 0 && left == 0 && height == image.dim(0) && width == image.dim(1))
    return image.reshape({1, height, width, c});
  const Tensor result = Tensor::empty({1, height, width, c});
  const bool inside = left >= 0 && left + width <= image.dim(1);
  parallel_for(height, 16, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      const float* row = image.data<float>() + mirror(top + y, image.dim(0)) * image.dim(1) * c;
      float* out = result.data<float>() + y * width * c;
      if (inside) {
        std::copy_n(row + left * c, width * c, out);
        continue;
      }
      for (int64_t x = 0; x < width; ++x)
        std::copy_n(row + mirror(left + x, image.dim(1)) * c, c, out + x * c);
    }
  });
  return result;
}

Tensor without_batch(const Tensor& t) {
  return t.reshape({t.dim(1), t.dim(2), t.dim(3)});
}

// The rectangle of [1, H, W, K] as [height, width, K].
Tensor crop(const Tensor& t, int64_t top, int64_t left, int64_t height, int64_t width) {
  const int64_t k = t.dim(3);
  const Tensor source = t.contiguous_copy_if_needed();
  const Tensor result = Tensor::empty({height, width, k});
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(source.data<float>() + ((top + y) * t.dim(2) + left) * k, width * k,
                result.data<float>() + y * width * k);
  }
  return result;
}

std::vector<float> weight_sums(int64_t extent, const std::vector<int64_t>& starts,
                               const std::vector<float>& weights) {
  std::vector<float> sums(static_cast<size_t>(extent));
  for (int64_t start : starts) {
    for (size_t i = 0; i < weights.size(); ++i) sums[static_cast<size_t>(start) + i] += weights[i];
  }
  return sums;
}

// input: f32 [1, H, W, C]
layers::SegmentationOutput run_checked(layers::SegmentationModel& model, const Tensor& input) {
  const auto run = [&] { return model.forward(Variable(model.input_of(input))); };
  const layers::SegmentationOutput out = run();
  if (!all_finite(out.logits.value()))
    layers::fail_not_finite(model, {.output = "the network's logits", .inputs = {&input, 1}, .repeat = run});
  return out;
}

int64_t window_or(int64_t window, int64_t extent) {
  return window > 0 ? std::min(window, extent) : extent;
}

}  // namespace

// Valid convolutions give logits only for the centre of their input. Such a network gets the surroundings of
// the window (mirrored beyond the image, as in the U-Net paper), as much as it needs, until its region covers
// the window. Its poolings drop odd rows and columns at the bottom and right, up to output_stride - 1 in all.
PassLogits run_window(layers::SegmentationModel& model, const Tensor& image, int64_t top, int64_t left,
                      int64_t height, int64_t width) {
  const int64_t context = model.context();
  const int64_t dropped = context > 0 ? model.output_stride() - 1 : 0;
  int64_t above = context, below = context + dropped, before = context, behind = context + dropped;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const Tensor input =
        window_of(image, top - above, left - before, height + above + below, width + before + behind);
    const layers::SegmentationOutput out = run_checked(model, input);
    const layers::Region& r = out.region;
    const bool whole = r.top == 0 && r.left == 0 && r.height == input.dim(1) && r.width == input.dim(2);
    if (whole && context == 0) return {without_batch(out.logits.value()), out.align_corners};
    const int64_t missing[4] = {r.top - above, above + height - (r.top + r.height), r.left - before,
                                before + width - (r.left + r.width)};
    if (*std::max_element(missing, missing + 4) <= 0) {
      return {crop(on_host(layers::full_resolution_logits(out).value()), above - r.top, before - r.left,
                   height, width),
              false};
    }
    above += std::max<int64_t>(0, missing[0]);
    below += std::max<int64_t>(0, missing[1]);
    before += std::max<int64_t>(0, missing[2]);
    behind += std::max<int64_t>(0, missing[3]);
  }
  fail(ErrorKind::internal,
       "[inference] the network ({}) must describe a {}x{} window given enough context. It did not.",
       model.kind(), height, width);
}

Tensor on_host(const Tensor& logits) {
  return logits.to(DType::f32).to(Device::cpu);
}

std::vector<int64_t> window_starts(int64_t extent, int64_t window, double overlap) {
  const int64_t step = std::max<int64_t>(1, std::llround(static_cast<double>(window) * (1 - overlap)));
  std::vector<int64_t> starts;
  for (int64_t at = 0; at + window < extent; at += step) starts.push_back(at);
  starts.push_back(extent - window);
  return starts;
}

std::vector<float> window_weights(int64_t window, WindowBlend blend) {
  std::vector<float> weights(static_cast<size_t>(window), 1.0f);
  if (blend == WindowBlend::mean) return weights;
  const double sigma = static_cast<double>(window) / 8;
  for (int64_t i = 0; i < window; ++i) {
    const double d = (static_cast<double>(i) + 0.5 - static_cast<double>(window) / 2) / sigma;
    weights[static_cast<size_t>(i)] = static_cast<float>(std::max(1e-3, std::exp(-0.5 * d * d)));
  }
  return weights;
}

bool windowed(const InferenceOptions& options, const Tensor& image) {
  return (options.window_height > 0 && options.window_height < image.dim(0)) ||
         (options.window_width > 0 && options.window_width < image.dim(1));
}

// Windows form a grid, so the sum of weights at a pixel is a product of a row and a column sum. Rows leave
// the band as soon as no later window touches them.
void slide_windows(layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options,
                   const LogitSink& sink) {
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  const int64_t window_h = window_or(options.window_height, h);
  const int64_t window_w = window_or(options.window_width, w);
  const std::vector<int64_t> tops = window_starts(h, window_h, options.window_overlap);
  const std::vector<int64_t> lefts = window_starts(w, window_w, options.window_overlap);
  const std::vector<float> row_weights = window_weights(window_h, options.window_blend);
  const std::vector<float> column_weights = window_weights(window_w, options.window_blend);
  const std::vector<float> row_sums = weight_sums(h, tops, row_weights);
  const std::vector<float> column_sums = weight_sums(w, lefts, column_weights);
  const Tensor band = Tensor::zeros({window_h, w, k});
  float* const values = band.data<float>();
  for (size_t t = 0; t < tops.size(); ++t) {
    for (int64_t left : lefts) {
      const PassLogits pass = run_window(model, image, tops[t], left, window_h, window_w);
      const LogitRows logits(on_host(pass.logits), {.input_height = window_h,
                                                    .input_width = window_w,
                                                    .height = window_h,
                                                    .width = window_w,
                                                    .align_corners = pass.align_corners});
      parallel_for(window_h, 8, [&](int64_t begin, int64_t end) {
        std::vector<float> row(static_cast<size_t>(window_w * k));
        for (int64_t y = begin; y < end; ++y) {
          logits.read(y, row.data());
          for (int64_t x = 0; x < window_w; ++x) {
            const float weight = row_weights[static_cast<size_t>(y)] * column_weights[static_cast<size_t>(x)];
            float* to = values + (y * w + left + x) * k;
            for (int64_t c = 0; c < k; ++c) to[c] += weight * row[static_cast<size_t>(x * k + c)];
          }
        }
      });
    }
    const int64_t finished = (t + 1 < tops.size() ? tops[t + 1] : h) - tops[t];
    parallel_for(finished, 8, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        for (int64_t x = 0; x < w; ++x) {
          const float sum = row_sums[static_cast<size_t>(tops[t] + y)] * column_sums[static_cast<size_t>(x)];
          float* v = values + (y * w + x) * k;
          for (int64_t c = 0; c < k; ++c) v[c] /= sum;
        }
      }
    });
    sink(finished, values);
    const int64_t done = finished * w * k;
    std::move(values + done, values + band.numel(), values);
    std::fill(values + band.numel() - done, values + band.numel(), 0.0f);
  }
}

}  // namespace atrous::eval
