// Rows on all threads. The backward pass of take_rows first sorts the picks by the row they name.
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/visit.h"
#include "kernels/take_rows/take_rows_impl.h"

namespace atrous::kernels {
namespace {

// Rows per chunk that are worth a task.
int64_t rows_per_chunk(int64_t elements_per_row) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, elements_per_row));
}

// The picks of each row in their order: picks[begin[row]] ... picks[begin[row + 1] - 1].
struct PickLists {
  std::vector<int32_t> begin, picks;

  PickLists(const int32_t* index, int64_t count, int64_t rows) : begin(static_cast<size_t>(rows) + 1) {
    const auto names_a_row = [&](int64_t i) { return index[i] >= 0 && index[i] < rows; };
    for (int64_t i = 0; i < count; ++i) {
      if (names_a_row(i)) ++begin[static_cast<size_t>(index[i]) + 1];
    }
    for (size_t r = 1; r < begin.size(); ++r) begin[r] += begin[r - 1];
    picks.resize(static_cast<size_t>(begin.back()));
    std::vector<int32_t> next = begin;
    for (int64_t i = 0; i < count; ++i) {
      if (names_a_row(i))
        picks[static_cast<size_t>(next[static_cast<size_t>(index[i])]++)] = static_cast<int32_t>(i);
    }
  }
};

}  // namespace

void take_rows_copies(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  const size_t element = size_of(p.dtype), bytes = static_cast<size_t>(p.channels) * element;
  const auto stride = static_cast<size_t>(x.pixel_stride()) * element;
  parallel_for(p.to, rows_per_chunk(p.pixels * p.channels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int32_t row = index.data<int32_t>()[i];
      std::byte* to = y.raw() + static_cast<size_t>(i * p.pixels) * bytes;
      if (row < 0 || row >= p.from) {
        std::memset(to, 0, static_cast<size_t>(p.pixels) * bytes);
        continue;
      }
      const std::byte* from = x.raw() + static_cast<size_t>(row * p.pixels) * stride;
      for (int64_t pixel = 0; pixel < p.pixels; ++pixel, to += bytes, from += stride)
        std::memcpy(to, from, bytes);
    }
  });
}

void take_rows_backward_lists(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                              const Tensor& dx) {
  const PickLists lists(index.data<int32_t>(), p.to, p.from);
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t row_elements = p.pixels * p.channels, stride = dy.pixel_stride();
    parallel_for(p.from, rows_per_chunk(row_elements), [&](int64_t begin, int64_t end) {
      std::fill(dx.data<T>() + begin * row_elements, dx.data<T>() + end * row_elements, T{0});
      for (int64_t row = begin; row < end; ++row) {
        const auto at = static_cast<size_t>(row);
        for (int32_t i = lists.begin[at]; i < lists.begin[at + 1]; ++i) {
          const int64_t pick = lists.picks[static_cast<size_t>(i)];
          for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
            const T* from = dy.data<T>() + (pick * p.pixels + pixel) * stride;
            T* to = dx.data<T>() + (row * p.pixels + pixel) * p.channels;
            for (int64_t c = 0; c < p.channels; ++c) to[c] += from[c];
          }
        }
      }
    });
  });
}

void take_class_rows(const TakeRowsProblem& p, const Tensor& x, const Tensor& index, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t width = p.channels / p.classes;
    parallel_for(p.from, rows_per_chunk(p.pixels * width), [&](int64_t begin, int64_t end) {
      for (int64_t pixel = begin * p.pixels; pixel < end * p.pixels; ++pixel) {
        const int32_t k = index.data<int32_t>()[pixel / p.pixels];
        T* to = y.data<T>() + pixel * width;
        if (k < 0 || k >= p.classes) {
          std::fill_n(to, width, T{0});
        } else {
          std::copy_n(x.data<T>() + pixel * x.pixel_stride() + k * width, width, to);
        }
      }
    });
  });
}

void take_class_backward_rows(const TakeRowsProblem& p, const Tensor& dy, const Tensor& index,
                              const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t width = p.channels / p.classes;
    parallel_for(p.from, rows_per_chunk(p.pixels * p.channels), [&](int64_t begin, int64_t end) {
      std::fill(dx.data<T>() + begin * p.pixels * p.channels, dx.data<T>() + end * p.pixels * p.channels,
                T{0});
      for (int64_t pixel = begin * p.pixels; pixel < end * p.pixels; ++pixel) {
        const int32_t k = index.data<int32_t>()[pixel / p.pixels];
        if (k < 0 || k >= p.classes) continue;
        std::copy_n(dy.data<T>() + pixel * dy.pixel_stride(), width,
                    dx.data<T>() + pixel * p.channels + k * width);
      }
    });
  });
}

}  // namespace atrous::kernels
