// Rows of the output on all threads, in f32; pixels of 1, 3 or 4 channels read their taps once.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/preprocess/preprocess_impl.h"
#include "kernels/preprocess/preprocess_math.h"

namespace atrous::kernels::preprocess_impl {
namespace {

// Channels 0: any number of them.
template <int channels>
void write_row(const PreprocessProblem& p, const uint8_t* image, const uint8_t* labels, const double* map,
               const float* color, const float* statistics, int64_t row, float* out, uint8_t* out_labels) {
  for (int64_t j = 0; j < p.out_w; ++j, out += p.channels) {
    const Source at = source_of(p, map, row, j);
    if (out_labels) out_labels[j] = at.inside ? labels[nearest(p, at)] : p.ignore_label;
    if (!at.inside) {
      for (int64_t c = 0; c < p.channels; ++c) out[c] = border_value<float>(p, statistics, c);
    } else if constexpr (channels > 0) {
      pixel_values<channels>(p, image, color, statistics, taps_of(p, at), out);
    } else {
      const Taps taps = taps_of(p, at);
      for (int64_t c = 0; c < p.channels; ++c)
        out[c] = channel_value<float>(p, image, color, statistics, taps, c);
    }
  }
}

}  // namespace

void forward_rows(const PreprocessProblem& p, const Tensor& images, const Tensor& labels, const Tensor& maps,
                  const Tensor& colors, const Tensor& statistics, const Tensor& out,
                  const Tensor& out_labels) {
  const auto write = p.channels == 1   ? write_row<1>
                     : p.channels == 3 ? write_row<3>
                     : p.channels == 4 ? write_row<4>
                                       : write_row<0>;
  const int64_t rows_per_task = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, p.out_w));
  parallel_for(p.n * p.out_h, rows_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t n = r / p.out_h, area = p.in_h * p.in_w;
      write(p, images.data<uint8_t>() + n * area * p.channels,
            p.labels ? labels.data<uint8_t>() + n * area : nullptr, maps.data<double>() + n * 6,
            colors.data<float>() + n * color_values, statistics.data<float>(), r % p.out_h,
            out.data<float>() + r * p.out_w * p.channels,
            p.labels ? out_labels.data<uint8_t>() + r * p.out_w : nullptr);
    }
  });
}

}  // namespace atrous::kernels::preprocess_impl
