// Pasting masks on a GPU: y[i,h,w] = masks[i] sampled at pixel (h, w) (paste_masks_math.h), or 1 bit of it in
// a byte. Nearly all the traffic is the writing of y.
//
//   naive       one pixel per thread
//   vectorised  16 bytes of y per thread, which may go over the end of a row: one wide access, and the row's
//               part is computed once
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"
#include "kernels/paste_masks/paste_masks_impl.h"

namespace atrous::kernels::paste_masks_impl::ATROUS_GPU {
namespace {

constexpr int threads = 256;

template <class T>
__device__ float read(const T* mask, int size, int row, int column) {
  const bool inside = row >= 0 && row < size && column >= 0 && column < size;
  return inside ? static_cast<float>(mask[row * size + column]) : 0.0f;
}

// T: the masks; Out: uint8_t for thresholded ones.
template <class T, class Out, int V>
__global__ __launch_bounds__(threads) void paste(PasteMasksProblem p, const T* masks, const float* boxes,
                                                 Out* y) {
  const int64_t first = (int64_t{blockIdx.x} * threads + threadIdx.x) * V, end = p.count * p.height * p.width;
  if (first >= end) return;
  const Division line = divide(first, p.width);
  const Division image = divide(line.quotient, p.height);
  int64_t n = image.quotient, h = image.remainder, w = line.remainder;
  const int size = static_cast<int>(p.size);
  Vec<Out, V> result{};
  for (int k = 0; k < V;) {
    if (first + k >= end) break;
    // As much of one row as this thread owns.
    const float* box = boxes + 4 * n;
    const T* mask = masks + n * p.size * p.size;
    const PasteAxis rows = paste_axis(p.rule, box[1], box[3], p.size, p.height);
    const PasteAxis columns = paste_axis(p.rule, box[0], box[2], p.size, p.width);
    const bool covered = h >= rows.begin && h < rows.end;
    const PasteTap v = covered ? paste_tap(rows, h, p.size) : PasteTap{-2, 0.0f};
    for (; k < V && w < p.width; ++k, ++w) {
      if (!covered || w < columns.begin || w >= columns.end) continue;
      const PasteTap u = paste_tap(columns, w, p.size);
      const float above =
          (1.0f - u.weight) * read(mask, size, v.low, u.low) + u.weight * read(mask, size, v.low, u.low + 1);
      const float below = (1.0f - u.weight) * read(mask, size, v.low + 1, u.low) +
                          u.weight * read(mask, size, v.low + 1, u.low + 1);
      const float value = (1.0f - v.weight) * above + v.weight * below;
      if constexpr (std::is_same_v<Out, uint8_t>)
        result[k] = paste_passes(p.rule, value, p.threshold) ? 1 : 0;
      else
        result[k] = static_cast<Out>(value);
    }
    w = 0;
    if (++h == p.height) h = 0, ++n;
  }
  if (first + V <= end) {
    store<V>(y + first, result);
  } else {
    for (int k = 0; k < V && first + k < end; ++k) y[first + k] = result[k];
  }
}

template <class T, class Out, int V>
void run(const PasteMasksProblem& p, const Tensor& masks, const Tensor& boxes, const Tensor& y) {
  launch<paste<T, Out, V>>({blocks_for(y.numel(), threads * V), threads}, p,
                           static_cast<const T*>(masks.device_data<T>()),
                           static_cast<const float*>(boxes.device_data<float>()), y.device_data<Out>());
}

}  // namespace

void forward_naive(const PasteMasksProblem& p, const Tensor& masks, const Tensor& boxes, const Tensor& y) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    p.binary ? run<T, uint8_t, 1>(p, masks, boxes, y) : run<T, T, 1>(p, masks, boxes, y);
  });
}

void forward_vectorised(const PasteMasksProblem& p, const Tensor& masks, const Tensor& boxes,
                        const Tensor& y) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    p.binary ? run<T, uint8_t, vector_width<uint8_t>>(p, masks, boxes, y)
             : run<T, T, vector_width<T>>(p, masks, boxes, y);
  });
}

}  // namespace atrous::kernels::paste_masks_impl::ATROUS_GPU
