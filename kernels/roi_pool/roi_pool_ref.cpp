// RoIPool as the formulas in roi_pool.h read.
#include "kernels/common/visit.h"
#include "kernels/roi_align/roi_align_math.h"
#include "kernels/roi_pool/roi_pool_impl.h"
#include "kernels/roi_pool/roi_pool_math.h"

namespace atrous::kernels::roi_pool_impl {

void forward_ref(const RoiPoolProblem& p, const Tensor& x, const Tensor& rois, const Tensor& y,
                 const Tensor& argmax) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t out = 0; out < y.pixels(); ++out) {
      const int64_t across = out % p.out_width, down = out / p.out_width % p.out_height;
      const float* roi = rois.data<float>() + 5 * (out / (p.out_width * p.out_height));
      const int64_t image = roi_image(roi[0], p.images);
      RoiPoolBin rows = roi_pool_bin(roi_pool_axis(roi[2], roi[4], p.scale, p.out_height), down, p.height);
      const RoiPoolBin columns =
          roi_pool_bin(roi_pool_axis(roi[1], roi[3], p.scale, p.out_width), across, p.width);
      if (image < 0) rows = {0, 0};
      for (int64_t c = 0; c < p.channels; ++c) {
        T best = 0;
        int64_t index = -1;
        for (int64_t h = rows.begin; h < rows.end; ++h) {
          for (int64_t w = columns.begin; w < columns.end; ++w) {
            const T v = x.data<T>()[((image * p.height + h) * p.width + w) * x.pixel_stride() + c];
            if (index < 0 || v > best || v != v) {
              best = v;
              index = h * p.width + w;
            }
          }
        }
        y.data<T>()[out * p.channels + c] = best;
        if (argmax.defined()) argmax.data<int32_t>()[out * p.channels + c] = static_cast<int32_t>(index);
      }
    }
  });
}

void backward_ref(const RoiPoolProblem& p, const Tensor& dy, const Tensor& rois, const Tensor& argmax,
                  const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    dx.fill(0);
    for (int64_t out = 0; out < dy.pixels(); ++out) {
      const int64_t image = roi_image(rois.data<float>()[5 * (out / (p.out_width * p.out_height))], p.images);
      for (int64_t c = 0; c < p.channels; ++c) {
        const int64_t index = argmax.data<int32_t>()[out * p.channels + c];
        if (image < 0 || index < 0) continue;
        dx.data<T>()[(image * p.height * p.width + index) * p.channels + c] +=
            dy.data<T>()[out * dy.pixel_stride() + c];
      }
    }
  });
}

}  // namespace atrous::kernels::roi_pool_impl
