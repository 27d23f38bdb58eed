#include "eval/inference.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/crf.h"
#include "eval/logit_rows.h"
#include "eval/network_pass.h"
#include "kernels/confusion_matrix/confusion_matrix.h"
#include "kernels/resize/resize.h"
#include "kernels/softmax/softmax.h"

namespace atrous::eval {
namespace {

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

void check(const layers::SegmentationModel& model, const Tensor& image, const InferenceOptions& options) {
  layers::require_pixel_labels(model, "inference");
  ATROUS_CHECK(image.rank() == 3 && image.dtype() == DType::u8, ErrorKind::usage,
               "[inference] an image must be u8 [H, W, C]. Got {}.", image.describe());
  ATROUS_CHECK(image.dim(2) == model.in_channels(), ErrorKind::data,
               "[inference] the network takes images of {} channel(s). Got an image of {}. Convert the image "
               "or train with "
               "model.in_channels = {}.",
               model.in_channels(), image.dim(2), image.dim(2));
  ATROUS_CHECK(
      !options.crf.enabled || model.in_channels() == 1 || model.in_channels() == 3, ErrorKind::usage,
      "[inference] a CRF compares colours: images must be grey or RGB. Got a network of {} channels. "
      "Leave out --crf (eval.crf).",
      model.in_channels());
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

// The network's input at one scale: f32 [h, w, C], normalised. At scale s an image of H x W (or of the size
// that `data` fixes) becomes round(s H) x round(s W).
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

// The mean of several passes' probabilities at label resolution.
//
// Logits of a whole image are mostly coarse: 64 times fewer than labels at output stride 8. They are kept as
// they are and resized when the mean is read, so that no map of H x W x K exists. Only when those kept would
// exceed such a map (passes at full resolution) are they added up in one; then no more than it and one pass
// are held, however many scales there are.
class MeanOfPasses {
 public:
  MeanOfPasses(int64_t height, int64_t width, int64_t classes, int64_t passes)
      : height_(height), row_(width * classes), width_(width), classes_(classes), passes_(passes) {}

  void keep(LogitRows pass) {
    kept_.push_back(std::move(pass));
    int64_t elements = 0;
    for (const LogitRows& p : kept_) elements += p.elements();
    if (passes_ > 1 && elements > height_ * row_) fold();
  }

  // Logits of another pass, rows [first, first + count) of the result; they are changed.
  void add(int64_t first, int64_t count, float* rows) {
    if (!sum_.defined()) fold();
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) add_row(rows + i * row_, sum_.data<float>() + (first + i) * row_);
    });
  }

  // Row y: logits if there is one pass (their order is that of the probabilities), else probabilities.
  void read(int64_t y, float* out, float* scratch) const {
    if (passes_ == 1) return kept_.front().read(y, out);
    if (sum_.defined()) {
      std::copy_n(sum_.data<float>() + y * row_, row_, out);
    } else {
      std::fill_n(out, row_, 0.0f);
    }
    for (const LogitRows& pass : kept_) {
      pass.read(y, scratch);
      add_row(scratch, out);
    }
  }

 private:
  void add_row(float* logits, float* to) const {
    softmax_row(logits, width_, classes_);
    const float share = 1.0f / static_cast<float>(passes_);
    for (int64_t i = 0; i < row_; ++i) to[i] += share * logits[i];
  }
  void fold() {
    if (!sum_.defined()) sum_ = Tensor::zeros({height_, width_, classes_});
    parallel_for(height_, 4, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(row_));
      for (int64_t y = begin; y < end; ++y) {
        for (const LogitRows& pass : kept_) {
          pass.read(y, scratch.data());
          add_row(scratch.data(), sum_.data<float>() + y * row_);
        }
      }
    });
    kept_.clear();
  }

  int64_t height_, row_, width_, classes_, passes_;
  std::vector<LogitRows> kept_;
  Tensor sum_;
};

// Hands rows to the sink with their labels; softmax is left out where nobody asked for it.
class Emitter {
 public:
  Emitter(int64_t width, int64_t classes, bool logits, bool wants_probabilities, const PredictionSink& sink)
      : width_(width),
        classes_(classes),
        softmax_(logits && wants_probabilities),
        wanted_(wants_probabilities),
        sink_(sink) {}

  // Row i of `count` is made by `make(i, to)`, or lies in `rows` already if there is no `make`.
  template <class Make>
  void emit(int64_t first, int64_t count, float* rows, Make&& make) {
    labels_.resize(static_cast<size_t>(count * width_));
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(width_ * classes_));
      for (int64_t i = begin; i < end; ++i) {
        float* row = rows + i * width_ * classes_;
        make(i, row, scratch.data());
        argmax_row(row, width_, classes_, labels_.data() + i * width_);
        if (softmax_) softmax_row(row, width_, classes_);
      }
    });
    sink_({first, count, labels_.data(), wanted_ ? rows : nullptr});
  }

 private:
  int64_t width_, classes_;
  bool softmax_, wanted_;
  const PredictionSink& sink_;
  std::vector<uint8_t> labels_;
};

}  // namespace

void predict_rows(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                  const InferenceOptions& options, bool probabilities, const PredictionSink& sink) {
  check(model, image, options);
  const NoGradGuard no_grad;
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  const auto passes = static_cast<int64_t>(options.scales.size()) * (options.flip ? 2 : 1);
  Emitter emitter(w, k, passes == 1, probabilities, sink);
  MeanOfPasses mean(h, w, k, passes);
  for (double scale : options.scales) {
    const Tensor input = network_input(image, data, scale);
    for (bool mirrored : {false, true}) {
      if (mirrored && !options.flip) continue;
      const Tensor seen = mirrored ? flipped(input) : input;
      LogitGeometry geometry{input.dim(0), input.dim(1), h, w, false, mirrored};
      if (!windowed(options, seen)) {
        const PassLogits pass = run_window(model, seen, 0, 0, seen.dim(0), seen.dim(1));
        geometry.align_corners = pass.align_corners;
        mean.keep(LogitRows(pass.logits, geometry));
        continue;
      }
      LogitStream stream(seen.dim(0), seen.dim(1), k, geometry,
                         [&](int64_t first, int64_t count, float* rows) {
                           if (passes > 1) return mean.add(first, count, rows);
                           emitter.emit(first, count, rows, [](int64_t, float*, float*) {});
                         });
      slide_windows(model, seen, options,
                    [&](int64_t count, const float* rows) { stream.push(count, rows); });
      if (passes == 1) return;
    }
  }
  // A few rows at a time: enough for all threads, few next to the map.
  const int64_t at_once = std::clamp<int64_t>((int64_t{1} << 22) / (w * k), 16, 256);
  std::vector<float> rows(static_cast<size_t>(std::min(at_once, h) * w * k));
  for (int64_t first = 0; first < h; first += at_once) {
    emitter.emit(first, std::min(at_once, h - first), rows.data(),
                 [&](int64_t i, float* row, float* scratch) { mean.read(first + i, row, scratch); });
  }
}

Tensor logits_on_device(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                        const InferenceOptions& options) {
  check(model, image, options);
  if (model.device() == Device::cpu || model.context() > 0 || options.scales.size() > 1 || options.flip)
    return {};
  const NoGradGuard no_grad;
  const Tensor input = network_input(image, data, options.scales[0]);
  if (windowed(options, input)) return {};
  const layers::SegmentationOutput out = run_whole(model, input);
  const Tensor logits = out.logits.value().to(DType::f32);  // interpolated in f32, as on the host
  const int64_t h = image.dim(0), w = image.dim(1);
  if (logits.dim(1) == h && logits.dim(2) == w) return logits;
  // One interpolation, as everywhere: aligned corners are those of what the network saw.
  if (out.align_corners && (input.dim(0) != h || input.dim(1) != w)) return {};
  return kernels::resize_forward(logits, {.height = h, .width = w, .align_corners = out.align_corners});
}

Prediction predict(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                   const InferenceOptions& options) {
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  if (const Tensor logits = logits_on_device(model, image, data, options); logits.defined()) {
    return {kernels::argmax(logits).to(Device::cpu).reshape({h, w}),
            kernels::softmax_forward(logits).reshape({h, w, k})};
  }
  const Prediction result{Tensor::empty({h, w}, DType::u8), Tensor::empty({h, w, k})};
  predict_rows(model, image, data, options, true, [&](const PredictedRows& rows) {
    std::copy_n(rows.labels, rows.count * w, result.labels.data<uint8_t>() + rows.first * w);
    std::copy_n(rows.probabilities, rows.count * w * k,
                result.probabilities.data<float>() + rows.first * w * k);
  });
  return {result.labels, result.probabilities.to(model.device())};
}

Prediction refined(const Prediction& prediction, const Tensor& image, const CrfOptions& crf) {
  const CrfRefined result = refine(image, prediction.probabilities, crf);
  return {labels_of(result.probabilities), result.probabilities, result.tiles};
}

Tensor predict_probabilities(layers::SegmentationModel& model, const Tensor& image,
                             const data::DataOptions& data, const InferenceOptions& options) {
  check(model, image, options);
  if (options.crf.enabled)
    return refined(predict(model, image, data, options), image, options.crf).probabilities;
  const Tensor result = Tensor::empty({image.dim(0), image.dim(1), model.num_classes()});
  const int64_t row = image.dim(1) * model.num_classes();
  predict_rows(model, image, data, options, true, [&](const PredictedRows& rows) {
    std::copy_n(rows.probabilities, rows.count * row, result.data<float>() + rows.first * row);
  });
  return result;
}

Tensor predict_labels(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                      const InferenceOptions& options, int64_t* crf_tiles) {
  check(model, image, options);
  if (crf_tiles) *crf_tiles = 1;
  if (options.crf.enabled) {
    const Prediction after = refined(predict(model, image, data, options), image, options.crf);
    if (crf_tiles) *crf_tiles = after.crf_tiles;
    return after.labels;
  }
  if (const Tensor logits = logits_on_device(model, image, data, options); logits.defined())
    return kernels::argmax(logits).to(Device::cpu).reshape({image.dim(0), image.dim(1)});
  const Tensor result = Tensor::empty({image.dim(0), image.dim(1)}, DType::u8);
  predict_rows(model, image, data, options, false, [&](const PredictedRows& rows) {
    std::copy_n(rows.labels, rows.count * image.dim(1), result.data<uint8_t>() + rows.first * image.dim(1));
  });
  return result;
}

}  // namespace atrous::eval
