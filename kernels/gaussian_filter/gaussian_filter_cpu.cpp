// Both passes in one: a few rows at a time are summed over the rows around them, then along themselves while
// they are in the cache. Rows of x are multiplied by `before` as they come into a ring of rows, which holds
// those that are within reach. So x is read from memory once and y written once.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/gaussian_filter/gaussian_filter_lanes.h"

namespace atrous::kernels::gaussian_filter_impl {

const Runs runs_portable = runs<4>;

namespace {

constexpr int64_t rows_at_once = 8;

int64_t blocks_of(int64_t n, int64_t block) {
  return (n + block - 1) / block;
}

Tensor tap_tensor(double sigma, int64_t extent) {
  std::vector<double> taps = gaussian_taps(sigma, extent - 1);
  taps.push_back(0);
  return Tensor::from<double>({static_cast<int64_t>(taps.size())}, taps).to(DType::f32);
}

Taps as_taps(const Tensor& t) {
  return {t.data<float>(), t.numel() - 2};
}

const float* factors_at(const Tensor& t, int64_t pixel) {
  return t.defined() ? t.data<float>() + pixel : nullptr;
}

// Rows [begin, end) of an image, whose first row is row `top` of the batch.
void filter_rows(const Runs& with, const GaussianFilterProblem& p, const Taps& column_taps,
                 const Taps& row_taps, const Tensor& x, const Tensor& before, const Tensor& after,
                 const Tensor& y, int64_t top, int64_t begin, int64_t end) {
  const int64_t length = p.width * p.channels, padded = blocks_of(length, with.strip) * with.strip;
  const int64_t reach = row_taps.radius * p.channels;
  const int64_t ring = std::min(rows_at_once + 2 * column_taps.radius, p.height);
  const int channels = static_cast<int>(p.channels);
  // The padding of the rows is 0: pixels outside of the image count as 0.
  const Tensor rows = Tensor::zeros({ring, padded}),
               sums = Tensor::zeros({rows_at_once, reach + padded + reach});
  const auto pixel_row = [&](int64_t h) { return (top + h) * p.width; };
  int64_t loaded = std::max<int64_t>(0, begin - column_taps.radius);
  for (int64_t first = begin; first < end; first += rows_at_once) {
    const int64_t behind = std::min(end, first + rows_at_once);
    for (; loaded < std::min(p.height, behind + column_taps.radius); ++loaded) {
      with.scale(x.data<float>() + pixel_row(loaded) * x.pixel_stride(), x.pixel_stride(),
                 factors_at(before, pixel_row(loaded)), rows.data<float>() + loaded % ring * padded, p.width,
                 channels);
    }
    with.columns(column_taps, {rows.data<float>(), padded, ring, p.height}, first, behind,
                 sums.data<float>() + reach, sums.channels());
    for (int64_t h = first; h < behind; ++h) {
      float* to = y.data<float>() + pixel_row(h) * p.channels;
      with.row(row_taps, sums.data<float>() + (h - first) * sums.channels() + reach, p.channels, to, length);
      if (after.defined()) with.scale(to, p.channels, factors_at(after, pixel_row(h)), to, p.width, channels);
    }
  }
}

void filter_with(const Runs& with, const GaussianFilterProblem& p, const Tensor& x, const Tensor& before,
                 const Tensor& after, const Tensor& y) {
  const Tensor row_taps = tap_tensor(p.sigma, p.width), column_taps = tap_tensor(p.sigma, p.height);
  // Every thread fills a ring first: few large blocks. Where they begin does not change any sum.
  const int64_t per_image = std::min(p.height, std::max<int64_t>(1, num_threads()));
  const int64_t block = blocks_of(p.height, per_image);
  parallel_for(p.batch * per_image, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i % per_image * block;
      filter_rows(with, p, as_taps(column_taps), as_taps(row_taps), x, before, after, y,
                  i / per_image * p.height, begin, std::min(p.height, begin + block));
    }
  });
}

}  // namespace

void filter_portable(const GaussianFilterProblem& p, const Tensor& x, const Tensor& before,
                     const Tensor& after, const Tensor& y) {
  filter_with(runs_portable, p, x, before, after, y);
}
void filter_avx2(const GaussianFilterProblem& p, const Tensor& x, const Tensor& before, const Tensor& after,
                 const Tensor& y) {
  filter_with(runs_avx2, p, x, before, after, y);
}
void filter_avx512(const GaussianFilterProblem& p, const Tensor& x, const Tensor& before, const Tensor& after,
                   const Tensor& y) {
  filter_with(runs_avx512, p, x, before, after, y);
}

}  // namespace atrous::kernels::gaussian_filter_impl
