#include <vector>

#include "kernels/common/visit.h"
#include "kernels/take_rows/take_rows_impl.h"

namespace atrous::kernels {
namespace {

// The element at channel c of a pixel of a row.
template <class T>
T& element(const Tensor& t, const TakeRowsProblem& p, int64_t row, int64_t pixel, int64_t c) {
  return t.data<T>()[(row * p.pixels + pixel) * t.pixel_stride() + c];
}

bool names_one_of(int64_t count, int32_t index) {
  return index >= 0 && index < count;
}

}  // namespace

void take_rows_ref(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  visit_dtype(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < p.to; ++i) {
      const int32_t row = index.data<int32_t>()[i];
      for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
        for (int64_t c = 0; c < p.channels; ++c) {
          const bool exists = names_one_of(p.from, row);
          element<T>(y, p, i, pixel, c) = exists ? element<T>(x, p, row, pixel, c) : T{};
        }
      }
    }
  });
}

void take_rows_backward_ref(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                            const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t row = 0; row < p.from; ++row) {
      for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
        for (int64_t c = 0; c < p.channels; ++c) {
          double sum = 0;
          for (int64_t i = 0; i < p.to; ++i) {
            if (index.data<int32_t>()[i] == row) sum += static_cast<double>(element<T>(dy, p, i, pixel, c));
          }
          element<T>(dx, p, row, pixel, c) = static_cast<T>(sum);
        }
      }
    }
  });
}

void take_class_ref(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t width = p.channels / p.classes;
    for (int64_t i = 0; i < p.from; ++i) {
      const int32_t k = index.data<int32_t>()[i];
      for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
        for (int64_t c = 0; c < width; ++c) {
          const bool exists = names_one_of(p.classes, k);
          element<T>(y, p, i, pixel, c) = exists ? element<T>(x, p, i, pixel, k * width + c) : T{};
        }
      }
    }
  });
}

void take_class_backward_ref(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                             const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t width = p.channels / p.classes;
    for (int64_t i = 0; i < p.from; ++i) {
      for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
        for (int64_t c = 0; c < p.channels; ++c) {
          const bool own = c / width == index.data<int32_t>()[i];
          element<T>(dx, p, i, pixel, c) = own ? element<T>(dy, p, i, pixel, c % width) : T{};
        }
      }
    }
  });
}

}  // namespace atrous::kernels
