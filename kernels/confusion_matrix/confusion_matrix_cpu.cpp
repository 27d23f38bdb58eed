// Chunks of pixels on all threads, each with separate counts that are added at its end.
#include <algorithm>
#include <mutex>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/visit.h"
#include "kernels/confusion_matrix/confusion_matrix_impl.h"
#include "kernels/labels/label_view.h"

namespace atrous::kernels::confusion_matrix_impl {
namespace {

// add(pixel, bins) for every pixel.
template <class F>
void count_in_chunks(const ConfusionProblem& p, const Tensor& counts, F&& add) {
  counts.fill(0);
  const int64_t bins = counts.numel();
  // A chunk has separate counts to clear and add, so it has at least as many pixels as that takes.
  const int64_t chunk = std::max<int64_t>(1 << 16, 4 * bins);
  std::mutex mutex;
  parallel_for(p.pixels, chunk, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> own(static_cast<size_t>(bins));
    for (int64_t i = begin; i < end; ++i) add(i, own.data());
    const std::lock_guard lock(mutex);
    for (int64_t b = 0; b < bins; ++b) counts.data<int64_t>()[b] += own[static_cast<size_t>(b)];
  });
}

}  // namespace

void count_chunks(const ConfusionProblem& p, const Tensor& label, const Tensor& prediction,
                  const Tensor& counts) {
  const LabelView y(label), x(prediction);
  count_in_chunks(p, counts, [&](int64_t i, int64_t* own) {
    ++own[confusion_bin(y[i], x[i], p.classes, p.ignore_index)];
  });
}

void argmax_chunks(const ConfusionProblem& p, const Tensor& logits, const Tensor& labels) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto run = [&](auto* out) {
      parallel_for(p.pixels, 1 << 14, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t best = first_of_largest(logits.data<T>() + i * logits.pixel_stride(), p.classes);
          out[i] = static_cast<std::remove_pointer_t<decltype(out)>>(best);
        }
      });
    };
    labels.dtype() == DType::u8 ? run(labels.data<uint8_t>()) : run(labels.data<int32_t>());
  });
}

void argmax_count_chunks(const ConfusionProblem& p, const Tensor& logits, const Tensor& label,
                         const Tensor& counts) {
  const LabelView y(label);
  visit_float(p.dtype, [&](auto tag) {
    const auto* z = logits.data<decltype(tag)>();
    count_in_chunks(p, counts, [&](int64_t i, int64_t* own) {
      const int64_t best = first_of_largest(z + i * logits.pixel_stride(), p.classes);
      ++own[confusion_bin(y[i], best, p.classes, p.ignore_index)];
    });
  });
}

}  // namespace atrous::kernels::confusion_matrix_impl
