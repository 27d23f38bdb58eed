// Splits the pixels into runs for the vector kernels and adds the partial losses in order.
#include <algorithm>
#include <numeric>

#include "core/parallel.h"
#include "kernels/cross_entropy/cross_entropy_lanes.h"

namespace atrous::kernels::cross_entropy_impl {
namespace {

constexpr int64_t pixels_per_run = 2048;

void run_with(RunFn* kernel, const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
              const CrossEntropyResult& out) {
  const int64_t pixels = p.n * p.h * p.w;
  const double scale = *p.scale.data<double>();
  const Tensor by_class = p.class_weights.defined() ? p.class_weights.to(DType::f32) : Tensor();
  const Tensor by_pixel = p.pixel_weights.defined() ? p.pixel_weights.to(DType::f32) : Tensor();
  double sum_of_weights = static_cast<double>(p.classes);
  if (by_class.defined())
    sum_of_weights = std::accumulate(by_class.data<float>(), by_class.data<float>() + p.classes, 0.0);
  std::vector<double> partial(static_cast<size_t>((pixels + pixels_per_run - 1) / pixels_per_run), 0.0);
  parallel_for(pixels, pixels_per_run, [&](int64_t begin, int64_t end) {
    const PixelRun run{
        .logits = logits.data<float>() + begin * logits.pixel_stride(),
        .stride = logits.pixel_stride(),
        .classes = p.classes,
        .labels = labels.data<int32_t>() + begin,
        .count = end - begin,
        .ignore_index = static_cast<int32_t>(p.ignore_index),
        .class_weights = by_class.defined() ? by_class.data<float>() : nullptr,
        .pixel_weights = by_pixel.defined() ? by_pixel.data<float>() + begin : nullptr,
        .scale = static_cast<float>(scale),
        .gamma = static_cast<float>(p.gamma),
        .smoothing = static_cast<float>(p.label_smoothing),
        .sum_of_weights = static_cast<float>(sum_of_weights),
        .gradient = out.gradient.defined() ? out.gradient.data<float>() + begin * p.classes : nullptr,
        .pixel_losses = out.pixel_losses.defined() ? out.pixel_losses.data<float>() + begin : nullptr};
    partial[static_cast<size_t>(begin / pixels_per_run)] = kernel(run);
  });
  double total = 0;
  for (double s : partial) total += s;
  *out.loss.data<float>() = static_cast<float>(total * scale);
}

}  // namespace

double pixels_portable(const PixelRun& run) {
  return run_any_classes<4>(run);
}

void run_portable(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                  const CrossEntropyResult& out) {
  run_with(pixels_portable, p, logits, labels, out);
}
void run_avx2(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
              const CrossEntropyResult& out) {
  run_with(pixels_avx2, p, logits, labels, out);
}
void run_avx512(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out) {
  run_with(pixels_avx512, p, logits, labels, out);
}

}  // namespace atrous::kernels::cross_entropy_impl
