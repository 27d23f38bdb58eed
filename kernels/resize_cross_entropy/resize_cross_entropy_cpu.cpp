// Cuts the logits into bands of rows. Neighbouring bands both add to the row between them: the upper one
// keeps its share in a halo row, and all halos are added in order afterwards, so that results are
// bit-identical on any number of threads.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/resize_cross_entropy/resize_cross_entropy_lanes.h"

namespace atrous::kernels::resize_cross_entropy_impl {
namespace {

constexpr int64_t rows_per_band = 4;

std::vector<ResizeTap> taps_of(const ResizeCrossEntropyProblem& p, int64_t in, int64_t out) {
  std::vector<ResizeTap> taps(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    taps[static_cast<size_t>(i)] = resize_tap(ResizeMode::bilinear, p.align_corners, i, in, out);
  }
  return taps;
}

// For each row of logits, the first output row whose upper tap is this row or a later one; one more at the
// end.
std::vector<int64_t> first_outputs(const std::vector<ResizeTap>& rows, int64_t in_h) {
  std::vector<int64_t> first(static_cast<size_t>(in_h) + 1, static_cast<int64_t>(rows.size()));
  for (int64_t y = static_cast<int64_t>(rows.size()) - 1; y >= 0; --y) {
    first[static_cast<size_t>(rows[static_cast<size_t>(y)].low)] = y;
  }
  for (int64_t h = in_h - 1; h >= 0; --h) {
    first[static_cast<size_t>(h)] =
        std::min(first[static_cast<size_t>(h)], first[static_cast<size_t>(h) + 1]);
  }
  return first;
}

void run_with(BandFn* kernel, int64_t lanes, const ResizeCrossEntropyProblem& p, const Tensor& logits,
              const Tensor& labels, const CrossEntropyResult& out) {
  const CrossEntropyProblem& l = p.loss;
  const auto rows = taps_of(p, p.in_h, l.h);
  const auto columns = taps_of(p, p.in_w, l.w);
  const auto first = first_outputs(rows, p.in_h);
  const double scale = *l.scale.data<double>();
  const Tensor by_class = l.class_weights.defined() ? l.class_weights.to(DType::f32) : Tensor();
  const Tensor by_pixel = l.pixel_weights.defined() ? l.pixel_weights.to(DType::f32) : Tensor();
  const int64_t bands = (p.in_h + rows_per_band - 1) / rows_per_band;  // per image
  const int64_t dense_row = p.in_w * l.classes;
  const int64_t padded = (l.classes + lanes - 1) / lanes * lanes;
  const bool with_gradient = out.gradient.defined();
  const Tensor halos = with_gradient ? Tensor::empty({l.n * bands, dense_row}) : Tensor();
  std::vector<double> partial(static_cast<size_t>(l.n * bands), 0.0);

  parallel_for(l.n * bands, 1, [&](int64_t band, int64_t) {
    const int64_t image = band / bands;
    const int64_t begin = band % bands * rows_per_band;
    const Tensor scratch = Tensor::empty({scratch_rows, p.in_w * padded});
    const BandRun run{
        .logits = logits.data<float>() + image * p.in_h * p.in_w * logits.pixel_stride(),
        .stride = logits.pixel_stride(),
        .in_h = p.in_h,
        .in_w = p.in_w,
        .out_w = l.w,
        .classes = l.classes,
        .begin = begin,
        .end = std::min(p.in_h, begin + rows_per_band),
        .first_output = first.data(),
        .rows = rows.data(),
        .columns = columns.data(),
        .labels = labels.data<int32_t>() + image * l.h * l.w,
        .ignore_index = static_cast<int32_t>(l.ignore_index),
        .class_weights = by_class.defined() ? by_class.data<float>() : nullptr,
        .pixel_weights = by_pixel.defined() ? by_pixel.data<float>() + image * l.h * l.w : nullptr,
        .scale = static_cast<float>(scale),
        .gamma = static_cast<float>(l.gamma),
        .gradient = with_gradient ? out.gradient.data<float>() + image * p.in_h * dense_row : nullptr,
        .halo = with_gradient ? halos.data<float>() + band * dense_row : nullptr,
        .pixel_losses =
            out.pixel_losses.defined() ? out.pixel_losses.data<float>() + image * l.h * l.w : nullptr,
        .scratch = scratch.data<float>()};
    partial[static_cast<size_t>(band)] = kernel(run);
  });

  double total = 0;
  for (int64_t band = 0; band < l.n * bands; ++band) {
    total += partial[static_cast<size_t>(band)];
    const int64_t row_below = (band % bands + 1) * rows_per_band;
    if (!with_gradient || row_below >= p.in_h) continue;
    float* target = out.gradient.data<float>() + (band / bands * p.in_h + row_below) * dense_row;
    const float* halo = halos.data<float>() + band * dense_row;
    for (int64_t i = 0; i < dense_row; ++i) target[i] += halo[i];
  }
  *out.loss.data<float>() = static_cast<float>(total * scale);
}

}  // namespace

double band_portable(const BandRun& run) {
  return band_any<4>(run);
}

void run_portable(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                  const CrossEntropyResult& out) {
  run_with(band_portable, 4, p, logits, labels, out);
}
void run_avx2(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
              const CrossEntropyResult& out) {
  run_with(band_avx2, 8, p, logits, labels, out);
}
void run_avx512(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out) {
  run_with(band_avx512, 16, p, logits, labels, out);
}

}  // namespace atrous::kernels::resize_cross_entropy_impl
