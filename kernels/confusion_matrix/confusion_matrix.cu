// Counts of label against prediction on a GPU: counts[label[i], prediction[i]] += 1; predictions are the
// first of the largest logits of each pixel.
//
// Labels and predictions are dense, u8 or i32; logits are pixel-strided, f32 or bf16. Sums of integers have
// no order, so atomics give the same counts on every run.
//
//   naive    thread per pixel, one atomic in global memory each. Most pixels of an image have the same few
//            pairs, so nearly all threads queue at the same few addresses
//   shared   counts in shared memory, added to global memory once per block; a thread owns runs of 16
//            neighbouring pixels, read in 16-byte accesses, and adds equal neighbours at once
//   staged   for logits: pixels come through shared memory, so that they are read in the order of memory, and
//            are counted in shared memory; a prediction is never written
#include <algorithm>

#include "kernels/confusion_matrix/confusion_matrix_impl.h"
#include "kernels/labels/label_view.h"
#include "kernels/softmax/pixel_rows.cuh"

namespace atrous::kernels::confusion_matrix_impl::ATROUS_GPU {
namespace {

using namespace kernels::ATROUS_GPU;

constexpr int threads = 128;
static_assert(threads == rows_per_block);
constexpr int run_length = 16;  // pixels that a thread reads at once: 16 bytes of u8
constexpr int64_t most_blocks = 1024;

constexpr size_t bytes_of_bins(int64_t classes) {
  return static_cast<size_t>(confusion_bins(classes)) * sizeof(unsigned);
}
constexpr size_t granted = 99 << 10;  // dynamic shared memory per block, sm_80 and later
static_assert(bytes_of_bins(most_shared) <= granted &&
              bytes_of_bins(most_staged) + bytes_of_rows(most_staged) <= granted);

struct Rule {
  int64_t classes, ignore;
  __device__ int64_t bin(int64_t label, int64_t prediction) const {
    return confusion_bin(label, prediction, classes, ignore);
  }
};

// CUDA adds 64 bits as unsigned only; counts are never negative.
__device__ inline void add(int64_t* counts, int64_t bin, unsigned count) {
  atomicAdd(reinterpret_cast<unsigned long long*>(counts + bin), static_cast<unsigned long long>(count));
}

// Counts of a block in shared memory. Both contain barriers.
__device__ inline void clear_bins(unsigned* bins, int64_t size) {
  for (int64_t b = threadIdx.x; b < size; b += threads) bins[b] = 0;
  __syncthreads();
}
__device__ inline void add_bins(const unsigned* bins, int64_t size, int64_t* counts) {
  __syncthreads();
  for (int64_t b = threadIdx.x; b < size; b += threads) {
    if (bins[b]) add(counts, b, bins[b]);
  }
}

__device__ inline int64_t own_pixel() {
  return static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
}

// ---- naive ----

__global__ void __launch_bounds__(threads)
    count_naive_kernel(LabelView label, LabelView prediction, int64_t pixels, Rule rule, int64_t* counts) {
  const int64_t i = own_pixel();
  if (i < pixels) add(counts, rule.bin(label[i], prediction[i]), 1);
}

template <class T, class L>
__global__ void __launch_bounds__(threads)
    argmax_naive_kernel(Pixels<const T> logits, int64_t pixels, int64_t classes, L* labels) {
  const int64_t i = own_pixel();
  if (i < pixels) labels[i] = static_cast<L>(first_of_largest(logits.at(i), classes));
}

template <class T>
__global__ void __launch_bounds__(threads)
    argmax_count_naive_kernel(Pixels<const T> logits, LabelView label, int64_t pixels, Rule rule,
                              int64_t* counts) {
  const int64_t i = own_pixel();
  if (i < pixels) add(counts, rule.bin(label[i], first_of_largest(logits.at(i), rule.classes)), 1);
}

// ---- shared ----

struct Run {
  int32_t value[run_length];
};

// Labels from `first`, a multiple of run_length, on; those past the end repeat the last one.
__device__ inline Run load_run(LabelView labels, bool aligned, int64_t first, int64_t pixels) {
  Run run;
  if (!aligned || first + run_length > pixels) {
    ATROUS_UNROLL
    for (int i = 0; i < run_length; ++i) run.value[i] = labels[first + i < pixels ? first + i : pixels - 1];
  } else if (labels.bytes) {
    const auto v = load<run_length>(labels.bytes + first);
    ATROUS_UNROLL
    for (int i = 0; i < run_length; ++i) run.value[i] = v[i];
  } else {
    ATROUS_UNROLL
    for (int i = 0; i < run_length; i += 4) {
      const auto v = load<4>(labels.words + first + i);
      ATROUS_UNROLL
      for (int j = 0; j < 4; ++j) run.value[i + j] = v[j];
    }
  }
  return run;
}

__global__ void __launch_bounds__(threads)
    count_shared_kernel(LabelView label, LabelView prediction, bool aligned, int64_t pixels, Rule rule,
                        int64_t* counts) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* bins = reinterpret_cast<unsigned*>(shared);
  const int64_t size = confusion_bins(rule.classes);
  clear_bins(bins, size);
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads * run_length;
  for (int64_t first = own_pixel() * run_length; first < pixels; first += step) {
    const Run y = load_run(label, aligned, first, pixels), x = load_run(prediction, aligned, first, pixels);
    const int64_t count = pixels - first;
    int64_t bin = rule.bin(y.value[0], x.value[0]);
    unsigned equal = 1;
    ATROUS_UNROLL
    for (int i = 1; i < run_length; ++i) {
      if (i >= count) continue;  // not break: the loop unrolls, and the run stays in registers
      const int64_t next = rule.bin(y.value[i], x.value[i]);
      if (next != bin) {
        atomicAdd(&bins[bin], equal);
        bin = next;
        equal = 0;
      }
      ++equal;
    }
    atomicAdd(&bins[bin], equal);
  }
  add_bins(bins, size, counts);
}

// ---- staged ----

template <class T, class L>
__global__ void __launch_bounds__(threads)
    argmax_staged_kernel(Pixels<const T> logits, bool dense, int64_t pixels, int classes, L* labels) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<float*>(shared);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * threads;
  const int count = static_cast<int>(pixels - first < threads ? pixels - first : threads);
  load_rows(rows, logits, dense, first, count, classes);
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  if (own < count)
    labels[first + own] = static_cast<L>(first_of_largest(rows + own * row_pitch(classes), classes));
}

template <class T>
__global__ void __launch_bounds__(threads)
    argmax_count_staged_kernel(Pixels<const T> logits, bool dense, LabelView label, int64_t pixels, Rule rule,
                               int64_t* counts) {
  ATROUS_DYNAMIC_SHARED(shared);
  const int classes = static_cast<int>(rule.classes);
  const int64_t size = confusion_bins(classes);
  auto* bins = reinterpret_cast<unsigned*>(shared);
  auto* rows = reinterpret_cast<float*>(bins + size);
  const int own = static_cast<int>(threadIdx.x);
  clear_bins(bins, size);
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * threads; first < pixels; first += step) {
    const int count = static_cast<int>(pixels - first < threads ? pixels - first : threads);
    load_rows(rows, logits, dense, first, count, classes);
    __syncthreads();
    if (own < count) {
      const int64_t best = first_of_largest(rows + own * row_pitch(classes), classes);
      atomicAdd(&bins[rule.bin(label[first + own], best)], 1u);
    }
    __syncthreads();  // the next pixels overwrite the rows
  }
  add_bins(bins, size, counts);
}

// ---- launchers ----

// f(T{}, first label) with the types of logits and labels.
template <class F>
void visit_argmax(const ConfusionProblem& p, const Tensor& labels, F&& f) {
  visit_activation(p.dtype, [&](auto tag) {
    labels.dtype() == DType::u8 ? f(tag, labels.device_data<uint8_t>())
                                : f(tag, labels.device_data<int32_t>());
  });
}

// Blocks that share the pixels: each has at least four pixels per counter that it clears and adds.
int64_t blocks_that_count(const ConfusionProblem& p, int64_t pixels_per_block) {
  const int64_t least = std::max(pixels_per_block, 4 * confusion_bins(p.classes));
  // The counts of one block have 32 bits.
  return std::max(std::min(most_blocks, blocks_for(p.pixels, least)), p.pixels >> 31);
}

bool is_aligned(const Tensor& labels) {
  return reinterpret_cast<uintptr_t>(labels.device_raw()) % 16 == 0;
}

}  // namespace

void count_naive(const ConfusionProblem& p, const Tensor& label, const Tensor& prediction,
                 const Tensor& counts) {
  counts.fill(0);
  launch<count_naive_kernel>({blocks_for(p.pixels, threads), threads}, LabelView(label),
                             LabelView(prediction), p.pixels, Rule{p.classes, p.ignore_index},
                             counts.device_data<int64_t>());
}

void count_shared(const ConfusionProblem& p, const Tensor& label, const Tensor& prediction,
                  const Tensor& counts) {
  counts.fill(0);
  launch<count_shared_kernel>({blocks_that_count(p, threads * run_length), threads, bytes_of_bins(p.classes)},
                              LabelView(label), LabelView(prediction),
                              is_aligned(label) && is_aligned(prediction), p.pixels,
                              Rule{p.classes, p.ignore_index}, counts.device_data<int64_t>());
}

void argmax_naive(const ConfusionProblem& p, const Tensor& logits, const Tensor& labels) {
  visit_argmax(p, labels, [&](auto tag, auto* out) {
    using T = decltype(tag);
    using L = std::remove_pointer_t<decltype(out)>;
    launch<argmax_naive_kernel<T, L>>({blocks_for(p.pixels, threads), threads}, pixels_of<const T>(logits),
                                      p.pixels, p.classes, out);
  });
}

void argmax_staged(const ConfusionProblem& p, const Tensor& logits, const Tensor& labels) {
  visit_argmax(p, labels, [&](auto tag, auto* out) {
    using T = decltype(tag);
    using L = std::remove_pointer_t<decltype(out)>;
    launch<argmax_staged_kernel<T, L>>({blocks_for(p.pixels, threads), threads, bytes_of_rows(p.classes)},
                                       pixels_of<const T>(logits), rows_are_dense(logits), p.pixels,
                                       static_cast<int>(p.classes), out);
  });
}

void argmax_count_naive(const ConfusionProblem& p, const Tensor& logits, const Tensor& label,
                        const Tensor& counts) {
  counts.fill(0);
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<argmax_count_naive_kernel<T>>({blocks_for(p.pixels, threads), threads}, pixels_of<const T>(logits),
                                         LabelView(label), p.pixels, Rule{p.classes, p.ignore_index},
                                         counts.device_data<int64_t>());
  });
}

void argmax_count_staged(const ConfusionProblem& p, const Tensor& logits, const Tensor& label,
                         const Tensor& counts) {
  counts.fill(0);
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<argmax_count_staged_kernel<T>>(
        {blocks_that_count(p, threads), threads, bytes_of_bins(p.classes) + bytes_of_rows(p.classes)},
        pixels_of<const T>(logits), rows_are_dense(logits), LabelView(label), p.pixels,
        Rule{p.classes, p.ignore_index}, counts.device_data<int64_t>());
  });
}

}  // namespace atrous::kernels::confusion_matrix_impl::ATROUS_GPU
