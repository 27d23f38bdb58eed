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
               "or train with model.in_channels = {}.",
               model.in_channels(), image.dim(2), image.dim(2));
  ATROUS_CHECK(!options.crf.enabled || model.in_channels() == 1 || model.in_channels() == 3, ErrorKind::usage,
               "[inference] a CRF compares colours: images must be grey or RGB. Got a network of {} "
               "channels. Leave out --crf (eval.crf).",
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

}  // namespace

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

namespace {

// The mean of several passes' probabilities at label resolution.
//
// Logits of a whole image are mostly coarse: 64 times fewer than labels at output stride 8. They are kept as
// they are and resized when the mean is read, so that no map of H x W x K exists. Only when those kept would
// exceed such a map (passes at full resolution) are they added up in one; then no more than that map and one
// pass are held, however many scales there are.
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

// Whether logits on a device can be resized to the label there: by one interpolation, as everywhere; with
// aligned corners, which refer to the network's input.
bool resizes_on_device(const Tensor& logits, const LogitGeometry& g) {
  const bool same_size = logits.dim(0) == g.height && logits.dim(1) == g.width;
  const bool saw_label_size = g.input_height == g.height && g.input_width == g.width;
  return logits.device() != Device::cpu && (same_size || !g.align_corners || saw_label_size);
}

// Resizes [h, w, K] on a device to f32 [1, H, W, K]. Interpolated in f32, as on the host.
Tensor resized(const Tensor& logits, const LogitGeometry& g) {
  const Tensor all = logits.to(DType::f32).reshape({1, logits.dim(0), logits.dim(1), logits.dim(2)});
  if (all.dim(1) == g.height && all.dim(2) == g.width) return all;
  return kernels::resize_forward(all,
                                 {.height = g.height, .width = g.width, .align_corners = g.align_corners});
}

// Hands rows to the sink with their labels; softmax is skipped if no probabilities were requested.
class Emitter {
 public:
  Emitter(int64_t width, int64_t classes, bool logits, bool wants_probabilities,
          const std::function<void(const PredictedRows&)>& sink)
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
  const std::function<void(const PredictedRows&)>& sink_;
  std::vector<uint8_t> labels_;
};

}  // namespace

void predict_image(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                   const InferenceOptions& options, bool probabilities, const PredictionSink& sink) {
  check(model, image, options);
  const NoGradGuard no_grad;
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  const auto passes = static_cast<int64_t>(options.scales.size()) * (options.flip ? 2 : 1);
  Emitter emitter(w, k, passes == 1, probabilities, sink.rows);
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
        if (passes == 1 && resizes_on_device(pass.logits, geometry))
          return sink.map(resized(pass.logits, geometry));
        mean.keep(LogitRows(on_host(pass.logits), geometry));
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

namespace {

// Labels and, if requested, probabilities of an image.
Prediction predicted(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                     const InferenceOptions& options, bool probabilities) {
  check(model, image, options);
  const int64_t h = image.dim(0), w = image.dim(1), k = model.num_classes();
  Prediction result;
  const auto map = [&](const Tensor& logits) {
    result.labels = kernels::argmax(logits).to(Device::cpu).reshape({h, w});
    if (probabilities) result.probabilities = kernels::softmax_forward(logits).reshape({h, w, k});
  };
  const auto rows = [&](const PredictedRows& part) {
    if (!result.labels.defined()) {
      result.labels = Tensor::empty({h, w}, DType::u8);
      if (probabilities) result.probabilities = Tensor::empty({h, w, k});
    }
    std::copy_n(part.labels, part.count * w, result.labels.data<uint8_t>() + part.first * w);
    if (!probabilities) return;
    std::copy_n(part.probabilities, part.count * w * k,
                result.probabilities.data<float>() + part.first * w * k);
  };
  predict_image(model, image, data, options, probabilities, {map, rows});
  return result;
}

}  // namespace

Prediction predict(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                   const InferenceOptions& options) {
  Prediction result = predicted(model, image, data, options, true);
  result.probabilities = result.probabilities.to(model.device());
  return result;
}

Prediction refined(const Prediction& prediction, const Tensor& image, const CrfOptions& crf) {
  const CrfRefined result = refine(image, prediction.probabilities, crf);
  return {labels_of(result.probabilities), result.probabilities, result.tiles};
}

Tensor predict_probabilities(layers::SegmentationModel& model, const Tensor& image,
                             const data::DataOptions& data, const InferenceOptions& options) {
  const Prediction own = predict(model, image, data, options);
  return (options.crf.enabled ? refined(own, image, options.crf) : own).probabilities.to(Device::cpu);
}

Tensor predict_labels(layers::SegmentationModel& model, const Tensor& image, const data::DataOptions& data,
                      const InferenceOptions& options, int64_t* crf_tiles) {
  const Prediction result = options.crf.enabled
                                ? refined(predict(model, image, data, options), image, options.crf)
                                : predicted(model, image, data, options, false);
  if (crf_tiles) *crf_tiles = result.crf_tiles;
  return result.labels;
}

}  // namespace atrous::eval
