#include "eval/inference.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/logit_rows.h"

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

Tensor flipped(const Tensor& image) {
  const Tensor result = Tensor::empty(image.shape());
  const int64_t w = image.dim(1);
  const int64_t c = image.dim(2);
  for (int64_t y = 0; y < image.dim(0); ++y) {
    for (int64_t x = 0; x < w; ++x) {
      std::copy_n(image.data<float>() + (y * w + x) * c, c, result.data<float>() + (y * w + w - 1 - x) * c);
    }
  }
  return result;
}

// In f32, in host memory.
Tensor on_host(const Variable& logits) {
  return logits.value().to(DType::f32).to(Device::cpu);
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

// Logits of the window, f32 [h, w, K]: they cover the whole window but may be coarser than it.
//
// Valid convolutions describe only the centre of what they see. Such a network gets the surroundings of the
// window (mirrored beyond the image, as in the U-Net paper), as much as it asks for, until its region covers
// the window. Its poolings drop odd rows and columns at the bottom and right, up to output_stride - 1 in all.
Tensor run_network(layers::SegmentationModel& model, const Tensor& image, int64_t top, int64_t left,
                   int64_t height, int64_t width) {
  const int64_t context = model.context();
  const int64_t dropped = context > 0 ? model.output_stride() - 1 : 0;
  int64_t above = context, below = context + dropped, before = context, behind = context + dropped;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const Tensor input =
        window_of(image, top - above, left - before, height + above + below, width + before + behind);
    const layers::SegmentationOutput out = model.forward(Variable(model.input_of(input)));
    const layers::Region& r = out.region;
    ATROUS_CHECK(all_finite(out.logits.value()), ErrorKind::diverged,
                 "[inference] the network's logits must be finite. Got NaN or Inf. The weights come from a "
                 "run that diverged, or "
                 "the normalisation of the images (data.mean, data.std) is wrong.");
    const bool whole = r.top == 0 && r.left == 0 && r.height == input.dim(1) && r.width == input.dim(2);
    if (whole && context == 0 && !out.align_corners) return without_batch(on_host(out.logits));
    const int64_t missing[4] = {r.top - above, above + height - (r.top + r.height), r.left - before,
                                before + width - (r.left + r.width)};
    if (*std::max_element(missing, missing + 4) <= 0) {
      return crop(on_host(layers::full_resolution_logits(out)), above - r.top, before - r.left, height, width);
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

// Where windows of `window` pixels begin so that they cover `extent` and overlap by `overlap` of their size.
std::vector<int64_t> window_starts(int64_t extent, int64_t window, double overlap) {
  const int64_t step = std::max<int64_t>(1, std::llround(static_cast<double>(window) * (1 - overlap)));
  std::vector<int64_t> starts;
  for (int64_t at = 0; at + window < extent; at += step) starts.push_back(at);
  starts.push_back(extent - window);
  return starts;
}

// Weight of each row (or column) of a window: a Gaussian of an eighth of the window, so that its uncertain
// rim counts little, with a floor that keeps the sum of weights well away from zero.
std::vector<float> window_weights(int64_t window) {
  std::vector<float> weights;
  for (int64_t i = 0; i < window; ++i) {
    const double d =
        (static_cast<double>(i) + 0.5 - static_cast<double>(window) / 2) / (static_cast<double>(window) / 8);
    weights.push_back(static_cast<float>(std::max(1e-3, std::exp(-0.5 * d * d))));
  }
  return weights;
}

std::vector<float> weight_sums(int64_t extent, const std::vector<int64_t>& starts,
                               const std::vector<float>& weights) {
  std::vector<float> sums(static_cast<size_t>(extent));
  for (int64_t start : starts) {
    for (size_t i = 0; i < weights.size(); ++i) sums[static_cast<size_t>(start) + i] += weights[i];
  }
  return sums;
}

// Receives finished rows [first, first + count) of logits, `rows` being [count, W, K].
using RowSink = std::function<void(int64_t first, int64_t count, const float* rows)>;

// Sliding windows over the image, blended as logits. Windows form a grid, so the sum of weights at a pixel is
// a product of a row and a column sum. Only a band as high as one window is held; rows leave it as soon as no
// later window touches them.
void slide(layers::SegmentationModel& model, const Tensor& image, int64_t window_h, int64_t window_w,
           double overlap, const RowSink& sink) {
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  window_h = std::min(window_h, h);
  window_w = std::min(window_w, w);
  const std::vector<int64_t> tops = window_starts(h, window_h, overlap);
  const std::vector<int64_t> lefts = window_starts(w, window_w, overlap);
  const std::vector<float> row_weights = window_weights(window_h);
  const std::vector<float> column_weights = window_weights(window_w);
  const std::vector<float> row_sums = weight_sums(h, tops, row_weights);
  const std::vector<float> column_sums = weight_sums(w, lefts, column_weights);
  std::vector<float> band(static_cast<size_t>(window_h * w * k));
  for (size_t t = 0; t < tops.size(); ++t) {
    for (int64_t left : lefts) {
      const LogitRows logits(run_network(model, image, tops[t], left, window_h, window_w), window_h,
                             window_w);
      parallel_for(window_h, 8, [&](int64_t begin, int64_t end) {
        std::vector<float> row(static_cast<size_t>(window_w * k));
        for (int64_t y = begin; y < end; ++y) {
          logits.read(y, row.data());
          for (int64_t x = 0; x < window_w; ++x) {
            const float weight = row_weights[static_cast<size_t>(y)] * column_weights[static_cast<size_t>(x)];
            float* to = band.data() + (y * w + left + x) * k;
            for (int64_t c = 0; c < k; ++c) to[c] += weight * row[static_cast<size_t>(x * k + c)];
          }
        }
      });
    }
    const int64_t finished = (t + 1 < tops.size() ? tops[t + 1] : h) - tops[t];
    for (int64_t y = 0; y < finished; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        const float sum = row_sums[static_cast<size_t>(tops[t] + y)] * column_sums[static_cast<size_t>(x)];
        float* v = band.data() + (y * w + x) * k;
        for (int64_t c = 0; c < k; ++c) v[c] /= sum;
      }
    }
    sink(tops[t], finished, band.data());
    const int64_t done = finished * w * k;
    std::move(band.begin() + done, band.end(), band.begin());
    std::fill(band.end() - done, band.end(), 0.0f);
  }
}

bool windowed(const InferenceOptions& options, const Tensor& image) {
  return (options.window_height > 0 && options.window_height < image.dim(0)) ||
         (options.window_width > 0 && options.window_width < image.dim(1));
}

int64_t window_or(int64_t window, int64_t extent) {
  return window > 0 ? window : extent;
}

// Logits of a normalised image, f32 [h, w, K]; coarser than the image if the network is and no windows are
// used.
Tensor image_logits(layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options) {
  if (!windowed(options, image)) return run_network(model, image, 0, 0, image.dim(0), image.dim(1));
  const int64_t row = image.dim(1) * model.num_classes();
  const Tensor logits = Tensor::empty({image.dim(0), image.dim(1), model.num_classes()});
  slide(model, image, window_or(options.window_height, image.dim(0)),
        window_or(options.window_width, image.dim(1)), options.window_overlap,
        [&](int64_t first, int64_t count, const float* rows) {
          std::copy_n(rows, count * row, logits.data<float>() + first * row);
        });
  return logits;
}

void check(const layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options) {
  ATROUS_CHECK(image.rank() == 3 && image.dtype() == DType::u8, ErrorKind::usage,
               "[inference] an image must be u8 [H, W, C]. Got {}.", image.describe());
  ATROUS_CHECK(image.dim(2) == model.in_channels(), ErrorKind::data,
               "[inference] the network takes images of {} channel(s). Got an image of {}. Convert the image "
               "or train with "
               "model.in_channels = {}.",
               model.in_channels(), image.dim(2), image.dim(2));
  ATROUS_CHECK(model.num_classes() <= 255, ErrorKind::usage,
               "[inference] label maps hold at most 255 classes. Got {}.", model.num_classes());
  ATROUS_CHECK(!options.scales.empty(), ErrorKind::config,
               "[inference] eval.scales must not be empty. Write [1.0].");
  for (double s : options.scales) {
    ATROUS_CHECK(s > 0 && s <= 16, ErrorKind::config, "[inference] scales must be in (0, 16]. Got {}.", s);
  }
  ATROUS_CHECK(options.window_overlap >= 0 && options.window_overlap < 1, ErrorKind::config,
               "[inference] the overlap of windows must be in [0, 1). Got {}.", options.window_overlap);
}

// The network's input at one scale: f32 [h, w, C], normalised.
Tensor network_input(const Tensor& image, const data::DataOptions& data, double scale) {
  auto scaled = [&](int64_t fixed, int64_t own) {
    const auto size = static_cast<double>(fixed > 0 ? fixed : own);
    return std::max<int64_t>(1, std::llround(size * scale));
  };
  const int64_t h = scaled(data.image_height, image.dim(0));
  const int64_t w = scaled(data.image_width, image.dim(1));
  if (h == image.dim(0) && w == image.dim(1)) return data::normalize(image, data);
  data::Sample sample;
  sample.image = image;
  return data::normalize(data::resize_sample(sample, h, w, false).image, data);
}

// Calls f(y, buffer) for every row on all threads; the buffer holds one row of W x K floats.
template <class F>
void for_rows(int64_t height, int64_t row_size, F&& f) {
  parallel_for(height, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(row_size));
    for (int64_t y = begin; y < end; ++y) f(y, row.data());
  });
}

}  // namespace

Tensor predict_probabilities(layers::SegmentationModel& model, const Tensor& image,
                             const data::DataOptions& data, const InferenceOptions& options) {
  check(model, image, options);
  const NoGradGuard no_grad;
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  const Tensor sum = Tensor::zeros({h, w, k});
  const float share = 1.0f / static_cast<float>(options.scales.size() * (options.flip ? 2 : 1));
  for (double scale : options.scales) {
    const Tensor input = network_input(image, data, scale);
    for (int mirrored = 0; mirrored <= (options.flip ? 1 : 0); ++mirrored) {
      const LogitRows logits(image_logits(model, mirrored ? flipped(input) : input, options), h, w,
                             mirrored != 0);
      for_rows(h, w * k, [&](int64_t y, float* row) {
        logits.read(y, row);
        softmax_row(row, w, k);
        float* to = sum.data<float>() + y * w * k;
        for (int64_t i = 0; i < w * k; ++i) to[i] += share * row[i];
      });
    }
  }
  return sum;
}

Tensor predict_labels(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                      const InferenceOptions& options) {
  check(model, image, options);
  const NoGradGuard no_grad;
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  const Tensor labels = Tensor::empty({h, w}, DType::u8);
  uint8_t* out = labels.data<uint8_t>();
  if (options.scales.size() > 1 || options.flip) {
    const Tensor probabilities = predict_probabilities(model, image, data, options);
    for_rows(h, 0, [&](int64_t y, float*) {
      argmax_row(probabilities.data<float>() + y * w * k, w, k, out + y * w);
    });
    return labels;
  }
  // One pass: the largest logit is the largest probability, so rows are labelled as they come and no map of W
  // x H x K is made beyond the network's own (none at all when windows slide over the image at its own size).
  const Tensor input = network_input(image, data, options.scales[0]);
  if (windowed(options, input) && input.dim(0) == h && input.dim(1) == w) {
    slide(model, input, window_or(options.window_height, h), window_or(options.window_width, w),
          options.window_overlap, [&](int64_t first, int64_t count, const float* rows) {
            argmax_row(rows, count * w, k, out + first * w);
          });
    return labels;
  }
  const LogitRows logits(image_logits(model, input, options), h, w);
  for_rows(h, w * k, [&](int64_t y, float* row) {
    logits.read(y, row);
    argmax_row(row, w, k, out + y * w);
  });
  return labels;
}

}  // namespace atrous::eval
