// Row by row. The middle of an output row is one shifted copy of an input row; only its ends look up sources.
// backward gathers: a task owns rows of dx and adds the rows and columns that were copied from it, in order.
#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "kernels/pad/pad_impl.h"

namespace atrous::kernels::pad_impl {
namespace {

constexpr int64_t elements_per_task = 1 << 15;

int64_t rows_per_task(int64_t row_elements) {
  return std::max<int64_t>(1, elements_per_task / std::max<int64_t>(1, row_elements));
}

void copy_pixels(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t count,
                 int64_t channels) {
  if (from_stride == channels && to_stride == channels) {
    std::memcpy(to, from, static_cast<size_t>(count * channels) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, static_cast<size_t>(channels) * sizeof(float));
  }
}

// For each input index, the output indices that copy it, ascending.
std::vector<std::vector<int64_t>> copies_of(PadMode mode, int64_t pad, int64_t in, int64_t out) {
  std::vector<std::vector<int64_t>> copies(static_cast<size_t>(in));
  for (int64_t i = 0; i < out; ++i) {
    const int64_t source = pad_source(mode, i, pad, in);
    if (source >= 0) copies[static_cast<size_t>(source)].push_back(i);
  }
  return copies;
}

}  // namespace

void forward_rows(const PadProblem& p, const Tensor& x, const Tensor& y) {
  const auto value = static_cast<float>(p.pads.value);
  const int64_t c = p.channels, xs = x.pixel_stride(), ys = y.pixel_stride();
  // Output columns [begin, end) copy input columns straight.
  const int64_t begin = std::clamp<int64_t>(p.pads.left, 0, p.out_w);
  const int64_t end = std::clamp<int64_t>(p.in_w + p.pads.left, begin, p.out_w);
  parallel_for(p.n * p.out_h, rows_per_task(p.out_w * c), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      float* to = y.data<float>() + r * p.out_w * ys;
      const int64_t row = pad_source(p.pads.mode, r % p.out_h, p.pads.top, p.in_h);
      const float* from = row < 0 ? nullptr : x.data<float>() + (r / p.out_h * p.in_h + row) * p.in_w * xs;
      auto edge = [&](int64_t j) {
        const int64_t column = from ? pad_source(p.pads.mode, j, p.pads.left, p.in_w) : -1;
        if (column < 0) {
          std::fill_n(to + j * ys, c, value);
        } else {
          copy_pixels(from + column * xs, xs, to + j * ys, ys, 1, c);
        }
      };
      for (int64_t j = 0; j < (from ? begin : p.out_w); ++j) edge(j);
      if (!from) continue;
      copy_pixels(from + (begin - p.pads.left) * xs, xs, to + begin * ys, ys, end - begin, c);
      for (int64_t j = end; j < p.out_w; ++j) edge(j);
    }
  });
}

void backward_rows(const PadProblem& p, const Tensor& dy, const Tensor& dx) {
  const auto rows = copies_of(p.pads.mode, p.pads.top, p.in_h, p.out_h);
  const auto columns = copies_of(p.pads.mode, p.pads.left, p.in_w, p.out_w);
  const int64_t c = p.channels;
  parallel_for(p.n * p.in_h, rows_per_task(p.in_w * c), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      float* to = dx.data<float>() + r * p.in_w * c;
      std::fill_n(to, p.in_w * c, 0.0f);
      for (int64_t i : rows[static_cast<size_t>(r % p.in_h)]) {
        const float* from = dy.data<float>() + (r / p.in_h * p.out_h + i) * p.out_w * dy.pixel_stride();
        for (int64_t column = 0; column < p.in_w; ++column) {
          for (int64_t j : columns[static_cast<size_t>(column)]) {
            const float* g = from + j * dy.pixel_stride();
            for (int64_t k = 0; k < c; ++k) to[column * c + k] += g[k];
          }
        }
      }
    }
  });
}

}  // namespace atrous::kernels::pad_impl
