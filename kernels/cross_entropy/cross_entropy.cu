// Softmax cross-entropy, loss and gradient in one pass over the logits.
//
//   e = log(sum_k exp z_k) - z_y,   l = w_y u (1 - exp(-e))^gamma e,   dz_k = s w_y u c (softmax_k - [k = y])
//
// Memory: logits are pixel-strided, the gradient is dense. The factor s is known when these kernels start
// (labels.cu), so the logits are read once and no softmax is kept. Every block leaves the sum of its losses,
// in double; one more block adds these in order (pixel_loss.cuh).
//
//   naive      thread per pixel, reads its logits from memory three times
//   warp       warp per pixel, lanes share the classes: for many classes, since neighbours read neighbours
//   registers  thread per pixel of up to 32 classes, whose logits are read once into registers
//   staged     thread per pixel, whose logits and gradient come and go through shared memory in the order of
//              memory: 21 classes per thread are 84 bytes apart, which a warp cannot read in whole sectors
#include "kernels/cross_entropy/cross_entropy_impl.h"
#include "kernels/cross_entropy/pixel_loss.cuh"
#include "kernels/softmax/pixel_rows.cuh"

namespace atrous::kernels::cross_entropy_impl::ATROUS_GPU {
namespace {

using namespace kernels::ATROUS_GPU;

constexpr int threads = 128;
static_assert(threads == rows_per_block);
static_assert(bytes_of_rows(most_staged) <= (48 << 10));  // more would need permission and starve the SM
// Blocks take pixels in turns beyond this, so that few partial sums are left to add.
constexpr int64_t most_blocks = 4096;

template <class T>
struct Logits {
  Pixels<const T> z;
  T* gradient;  // dense, or null
  int64_t pixels;
};

__device__ inline void leave_sum(const Targets& t, double sum) {
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) t.partial[blockIdx.x] = sum;
}

// The loss of a pixel that the caller owns, from `below` = max - z_y and the sum of its exponentials. Returns
// the factors of its gradient, 0 for a pixel that does not count.
__device__ inline PixelLoss add_loss(const Targets& t, int64_t pixel, int32_t label, float below,
                                     float exponentials, double& sum, const SmoothSums& smooth = {}) {
  PixelLoss result{0, 0};
  if (t.counts(label)) {
    result = pixel_loss(t, pixel, label, std::log(exponentials) + below);
    if (t.smoothing != 0) result = smoothed(t, pixel, result, std::log(exponentials), smooth);
  }
  if (t.pixel_losses) t.pixel_losses[pixel] = result.loss;
  sum += static_cast<double>(result.loss);
  return result;
}

// max - z_y, or anything for a label that does not count.
template <class T>
__device__ inline float below_max(const Targets& t, const T* z, int32_t label, float max) {
  return t.counts(label) ? max - static_cast<float>(z[label]) : 0.0f;
}

// factor * (softmax - onehot); 0 for a pixel that does not count, whatever its logits are.
__device__ inline float gradient(bool counts, float factor, float softmax, bool hit) {
  return counts ? factor * (softmax - (hit ? 1.0f : 0.0f)) : 0.0f;
}

// What label smoothing adds to it.
__device__ inline float smooth_gradient(const Targets& t, const PixelLoss& loss, float softmax, int k) {
  return loss.spread != 0 ? loss.spread * (loss.sum_of_weights * softmax - t.class_weight(k)) : 0.0f;
}

template <class T>
__global__ void __launch_bounds__(threads) naive_kernel(Logits<T> logits, Targets t) {
  double loss = 0;
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x; i < logits.pixels; i += step) {
    const T* z = logits.z.at(i);
    const int32_t label = t.labels[i];
    float max = static_cast<float>(z[0]), sum = 0;
    for (int k = 1; k < t.classes; ++k) max = Maximum{}(max, static_cast<float>(z[k]));
    for (int k = 0; k < t.classes; ++k) sum += std::exp(static_cast<float>(z[k]) - max);
    SmoothSums smooth;
    for (int k = 0; t.smoothing != 0 && k < t.classes; ++k) smooth.add(t, k, max - static_cast<float>(z[k]));
    const PixelLoss own = add_loss(t, i, label, below_max(t, z, label, max), sum, loss, smooth);
    if (!logits.gradient) continue;
    T* dz = logits.gradient + i * t.classes;
    for (int k = 0; k < t.classes; ++k) {
      const float softmax = std::exp(static_cast<float>(z[k]) - max) / sum;
      dz[k] = static_cast<T>(gradient(t.counts(label), own.gradient_factor, softmax, k == label) +
                             smooth_gradient(t, own, softmax, k));
    }
  }
  leave_sum(t, loss);
}

template <class T>
__global__ void __launch_bounds__(threads) warp_kernel(Logits<T> logits, Targets t) {
  double loss = 0;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t step = static_cast<int64_t>(gridDim.x) * (threads / 32);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (threads / 32) + threadIdx.x / 32; i < logits.pixels;
       i += step) {
    const T* z = logits.z.at(i);
    const int32_t label = t.labels[i];
    float max = static_cast<float>(z[0]), sum = 0;
    for (int k = lane; k < t.classes; k += 32) max = Maximum{}(max, static_cast<float>(z[k]));
    max = warp_reduce<Maximum>(max);
    for (int k = lane; k < t.classes; k += 32) sum += std::exp(static_cast<float>(z[k]) - max);
    sum = warp_reduce<Plus>(sum);
    SmoothSums smooth;
    if (t.smoothing != 0) {
      for (int k = lane; k < t.classes; k += 32) smooth.add(t, k, max - static_cast<float>(z[k]));
      smooth.weights = warp_reduce<Plus>(smooth.weights);
      smooth.distances = warp_reduce<Plus>(smooth.distances);
    }
    PixelLoss own{0, 0};
    if (lane == 0) own = add_loss(t, i, label, below_max(t, z, label, max), sum, loss, smooth);
    own.gradient_factor = __shfl_sync(~0u, own.gradient_factor, 0);
    own.spread = __shfl_sync(~0u, own.spread, 0);
    own.sum_of_weights = smooth.weights;
    if (!logits.gradient) continue;
    T* dz = logits.gradient + i * t.classes;
    for (int k = lane; k < t.classes; k += 32) {
      const float softmax = std::exp(static_cast<float>(z[k]) - max) / sum;
      dz[k] = static_cast<T>(gradient(t.counts(label), own.gradient_factor, softmax, k == label) +
                             smooth_gradient(t, own, softmax, k));
    }
  }
  leave_sum(t, loss);
}

// Most: a compile-time bound of the classes, so that the loops unroll.
template <class T, int Most>
__global__ void __launch_bounds__(threads) registers_kernel(Logits<T> logits, Targets t) {
  double loss = 0;
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x; i < logits.pixels; i += step) {
    const T* z = logits.z.at(i);
    const int32_t label = t.labels[i];
    float v[Most];
    ATROUS_UNROLL
    for (int k = 0; k < Most; ++k) v[k] = k < t.classes ? static_cast<float>(z[k]) : -INFINITY;
    float max = v[0], sum = 0;
    ATROUS_UNROLL
    for (int k = 1; k < Most; ++k) max = Maximum{}(max, v[k]);
    ATROUS_UNROLL
    for (int k = 0; k < Most; ++k) {
      v[k] = k < t.classes ? std::exp(v[k] - max) : 0.0f;
      sum += v[k];
    }
    const float factor = add_loss(t, i, label, below_max(t, z, label, max), sum, loss).gradient_factor;
    if (!logits.gradient) continue;
    T* dz = logits.gradient + i * t.classes;
    const float share = 1 / sum;  // one division per pixel instead of one per class
    ATROUS_UNROLL
    for (int k = 0; k < Most; ++k) {
      if (k < t.classes) dz[k] = static_cast<T>(gradient(t.counts(label), factor, v[k] * share, k == label));
    }
  }
  leave_sum(t, loss);
}

template <class T>
__global__ void __launch_bounds__(threads) staged_kernel(Logits<T> logits, bool dense, Targets t) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<float*>(shared);
  float* v = rows + static_cast<int>(threadIdx.x) * row_pitch(t.classes);
  double loss = 0;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * threads; first < logits.pixels;
       first += static_cast<int64_t>(gridDim.x) * threads) {
    const int count = static_cast<int>(min(static_cast<int64_t>(threads), logits.pixels - first));
    __syncthreads();  // all threads have read the previous pixels
    load_rows<T>(rows, logits.z, dense, first, count, t.classes);
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) {
      const int64_t i = first + threadIdx.x;
      const int32_t label = t.labels[i];
      float max = v[0], sum = 0;
      for (int k = 1; k < t.classes; ++k) max = Maximum{}(max, v[k]);
      const float below = below_max(t, v, label, max);
      for (int k = 0; k < t.classes; ++k) {
        v[k] = std::exp(v[k] - max);
        sum += v[k];
      }
      const float factor = add_loss(t, i, label, below, sum, loss).gradient_factor;
      const float share = 1 / sum;
      for (int k = 0; k < t.classes; ++k) v[k] = gradient(t.counts(label), factor, v[k] * share, k == label);
    }
    if (!logits.gradient) continue;
    __syncthreads();
    store_rows(logits.gradient, rows, first, count, t.classes);
  }
  leave_sum(t, loss);
}

// run(logits, targets, blocks) launches a kernel whose blocks take pixels_per_block pixels at a time.
template <class F>
void with_logits(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                 const CrossEntropyResult& out, int64_t pixels_per_block, F&& run) {
  const int64_t pixels = p.n * p.h * p.w;
  const int64_t blocks = std::min(most_blocks, blocks_for(pixels, pixels_per_block));
  const Tensor partial = Tensor::empty({blocks}, DType::f64, logits.device());
  visit_activation(p.dtype, [&]<class T>(T) {
    T* gradient = out.gradient.defined() ? out.gradient.device_data<T>() : nullptr;
    run(Logits<T>{pixels_of<const T>(logits), gradient, pixels}, Targets(p, labels, out, partial), blocks);
  });
  finish_loss(p, partial, out);
}

}  // namespace

void run_naive(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
               const CrossEntropyResult& out) {
  with_logits(p, logits, labels, out, threads,
              [&]<class T>(const Logits<T>& z, const Targets& t, int64_t blocks) {
                launch<naive_kernel<T>>({blocks, threads}, z, t);
              });
}

void run_warp(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
              const CrossEntropyResult& out) {
  with_logits(p, logits, labels, out, threads / 32,
              [&]<class T>(const Logits<T>& z, const Targets& t, int64_t blocks) {
                launch<warp_kernel<T>>({blocks, threads}, z, t);
              });
}

void run_registers(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                   const CrossEntropyResult& out) {
  with_logits(p, logits, labels, out, threads,
              [&]<class T>(const Logits<T>& z, const Targets& t, int64_t blocks) {
                if (p.classes <= 4) return launch<registers_kernel<T, 4>>({blocks, threads}, z, t);
                if (p.classes <= 8) return launch<registers_kernel<T, 8>>({blocks, threads}, z, t);
                if (p.classes <= 16) return launch<registers_kernel<T, 16>>({blocks, threads}, z, t);
                if (p.classes <= 24) return launch<registers_kernel<T, 24>>({blocks, threads}, z, t);
                launch<registers_kernel<T, 32>>({blocks, threads}, z, t);
              });
}

void run_staged(const CrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out) {
  with_logits(
      p, logits, labels, out, threads, [&]<class T>(const Logits<T>& z, const Targets& t, int64_t blocks) {
        launch<staged_kernel<T>>({blocks, threads, bytes_of_rows(p.classes)}, z, rows_are_dense(logits), t);
      });
}

}  // namespace atrous::kernels::cross_entropy_impl::ATROUS_GPU
