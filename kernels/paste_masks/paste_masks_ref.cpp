// Pasting pixel by pixel.
#include "kernels/common/visit.h"
#include "kernels/paste_masks/paste_masks_impl.h"

namespace atrous::kernels::paste_masks_impl {

void forward_ref(const PasteMasksProblem& p, const Tensor& masks, const Tensor& boxes, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < y.numel(); ++i) {
      const int64_t w = i % p.width, h = i / p.width % p.height, n = i / p.width / p.height;
      const float* box = boxes.data<float>() + 4 * n;
      const PasteAxis rows = paste_axis(p.rule, box[1], box[3], p.size, p.height);
      const PasteAxis columns = paste_axis(p.rule, box[0], box[2], p.size, p.width);
      double value = 0;
      if (h >= rows.begin && h < rows.end && w >= columns.begin && w < columns.end) {
        const PasteTap v = paste_tap(rows, h, p.size), u = paste_tap(columns, w, p.size);
        const auto at = [&](int64_t row, int64_t column) {
          const bool inside = row >= 0 && row < p.size && column >= 0 && column < p.size;
          return inside ? static_cast<double>(masks.data<T>()[(n * p.size + row) * p.size + column]) : 0.0;
        };
        const double down = v.weight, across = u.weight;
        value = (1 - down) * ((1 - across) * at(v.low, u.low) + across * at(v.low, u.low + 1)) +
                down * ((1 - across) * at(v.low + 1, u.low) + across * at(v.low + 1, u.low + 1));
      }
      if (p.binary)
        y.data<uint8_t>()[i] = paste_passes(p.rule, static_cast<float>(value), p.threshold);
      else
        y.data<T>()[i] = static_cast<T>(value);
    }
  });
}

}  // namespace atrous::kernels::paste_masks_impl
