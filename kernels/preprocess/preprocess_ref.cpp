#include "kernels/common/visit.h"
#include "kernels/preprocess/preprocess_impl.h"
#include "kernels/preprocess/preprocess_math.h"

namespace atrous::kernels::preprocess_impl {

void forward_ref(const PreprocessProblem& p, const Tensor& images, const Tensor& labels, const Tensor& maps,
                 const Tensor& colors, const Tensor& statistics, const Tensor& out,
                 const Tensor& out_labels) {
  const float* s = statistics.data<float>();
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* y = out.data<T>();
    for (int64_t n = 0; n < p.n; ++n) {
      const uint8_t* image = images.data<uint8_t>() + n * p.in_h * p.in_w * p.channels;
      const float* color = colors.data<float>() + n * color_values;
      for (int64_t i = 0; i < p.out_h; ++i) {
        for (int64_t j = 0; j < p.out_w; ++j) {
          const Source at = source_of(p, maps.data<double>() + n * 6, i, j);
          for (int64_t c = 0; c < p.channels; ++c) {
            *y++ = static_cast<T>(at.inside ? channel_value<double>(p, image, color, s, taps_of(p, at), c)
                                            : border_value<double>(p, s, c));
          }
          if (!p.labels) continue;
          out_labels.data<uint8_t>()[(n * p.out_h + i) * p.out_w + j] =
              at.inside ? labels.data<uint8_t>()[n * p.in_h * p.in_w + nearest(p, at)] : p.ignore_label;
        }
      }
    }
  });
}

}  // namespace atrous::kernels::preprocess_impl
