// Bilinear resize of logits to the labels' size, softmax and cross-entropy in one pass; full-resolution
// logits exist in registers and shared memory only.
//
//   z = sum of four samples times weights,   g = s w u c (softmax(z) - onehot)   per output pixel
//   gradient of a sample = sum of weight * g over the output pixels that read it
//
// Memory: logits are pixel-strided [N,h,w,K], their gradient is dense. Each sample's sum has one owner, who
// adds in a fixed order: no atomics. Which outputs read a sample is looked up in tables of both axes, made on
// the device by a small kernel.
//
//   gather  thread per output pixel for the loss, which leaves log-sum-exp and the gradient's factor (8 bytes
//           instead of K logits); then thread per sample and class, which interpolates and exponentiates
//           again for each output that reads the sample: four times in all
//   tiled   block per tile of samples. Its outputs, with those just outside that still read the tile, are
//           taken in turn: softmax of each once in shared memory, then each (column, class) of the tile
//           collects from them. Only the rim is computed twice
#include "kernels/common/channel_groups.h"
#include "kernels/cross_entropy/pixel_loss.cuh"
#include "kernels/resize_cross_entropy/resize_cross_entropy_impl.h"

namespace atrous::kernels::resize_cross_entropy_impl::ATROUS_GPU {
namespace {

using namespace kernels::ATROUS_GPU;

constexpr int threads = 128;
constexpr int64_t most_blocks = 4096;

// One axis of the resize. Output i reads samples low[i] and low[i] + 1 (if there is one) with weights
// 1 - weight[i] and weight[i]; first[v] is the first output with low >= v, for v in [0, in].
struct Axis {
  int32_t in, out;
  int32_t* low;
  float* weight;
  int32_t* first;

  __device__ int32_t high(int32_t i) const { return min(low[i] + 1, in - 1); }
  // The outputs that read sample v: [begin_of(v), end_of(v)), those with low = v - 1 or v.
  __device__ int32_t begin_of(int32_t v) const { return first[max(v - 1, 0)]; }
  __device__ int32_t end_of(int32_t v) const { return first[v + 1]; }
  __device__ float weight_of(int32_t i, int32_t v) const { return low[i] == v ? 1 - weight[i] : weight[i]; }
};

__global__ void __launch_bounds__(threads) axis_kernel(Axis axis, bool align_corners) {
  const auto i = static_cast<int32_t>(blockIdx.x * threads + threadIdx.x);
  const auto low_of = [&](int32_t o) {
    return resize_tap(ResizeMode::bilinear, align_corners, o, axis.in, axis.out).low;
  };
  if (i < axis.out) {
    const ResizeTap tap = resize_tap(ResizeMode::bilinear, align_corners, i, axis.in, axis.out);
    axis.low[i] = tap.low;
    axis.weight[i] = static_cast<float>(tap.weight);
  }
  if (i <= axis.in) {
    int32_t begin = 0, end = axis.out;  // the answer is in [begin, end]
    while (begin < end) {
      const int32_t middle = begin + (end - begin) / 2;
      if (low_of(middle) >= i)
        end = middle;
      else
        begin = middle + 1;
    }
    axis.first[i] = begin;
  }
}

// Memory of an Axis.
struct AxisTables {
  Tensor low, weight, first;
  Axis axis;

  AxisTables(int64_t in, int64_t out, bool align_corners, Device device)
      : low(Tensor::empty({out}, DType::i32, device)),
        weight(Tensor::empty({out}, DType::f32, device)),
        first(Tensor::empty({in + 1}, DType::i32, device)),
        axis{static_cast<int32_t>(in), static_cast<int32_t>(out), low.device_data<int32_t>(),
             weight.device_data<float>(), first.device_data<int32_t>()} {
    launch<axis_kernel>({blocks_for(std::max(in + 1, out), threads), threads}, axis, align_corners);
  }
};

template <class T>
struct Head {
  Pixels<const T> z;
  T* gradient;  // dense, or null
  Axis rows, columns;
  int64_t images;

  __device__ int64_t sample(int64_t image, int32_t row, int32_t column) const {
    return (image * rows.in + row) * columns.in + column;
  }
};

// ---- gather ----

// The samples that an output pixel reads: its logits, one class at a time.
template <class T>
struct Corners {
  const T *top_left, *top_right, *bottom_left, *bottom_right;
  float v, u;  // weights of the lower and the right samples

  __device__ Corners(const Head<T>& head, int64_t image, int32_t y, int32_t x)
      : top_left(head.z.at(head.sample(image, head.rows.low[y], head.columns.low[x]))),
        top_right(head.z.at(head.sample(image, head.rows.low[y], head.columns.high(x)))),
        bottom_left(head.z.at(head.sample(image, head.rows.high(y), head.columns.low[x]))),
        bottom_right(head.z.at(head.sample(image, head.rows.high(y), head.columns.high(x)))),
        v(head.rows.weight[y]),
        u(head.columns.weight[x]) {}
  __device__ float operator[](int k) const {
    const float top = static_cast<float>(top_left[k]) * (1 - u) + static_cast<float>(top_right[k]) * u;
    const float bottom =
        static_cast<float>(bottom_left[k]) * (1 - u) + static_cast<float>(bottom_right[k]) * u;
    return top * (1 - v) + bottom * v;
  }
};

// The values of an output pixel that the gradient needs: g_k = factor * (exp(z_k - log_sum) - [k = y]).
struct PixelState {
  float log_sum;
  float factor;
};

template <class T>
__global__ void __launch_bounds__(threads) loss_kernel(Head<T> head, Targets t, PixelState* states) {
  double loss = 0;
  const int64_t area = static_cast<int64_t>(head.rows.out) * head.columns.out;
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x; i < head.images * area;
       i += step) {
    const int32_t label = t.labels[i];
    PixelState state{0, 0};
    PixelLoss result{0, 0};
    if (t.counts(label)) {
      const Position at = position_of(i, head.rows.out, head.columns.out);
      const Corners<T> z(head, at.image, static_cast<int32_t>(at.row), static_cast<int32_t>(at.column));
      float max = z[0], sum = 0;
      for (int k = 1; k < t.classes; ++k) max = Maximum{}(max, z[k]);
      for (int k = 0; k < t.classes; ++k) sum += std::exp(z[k] - max);
      result = pixel_loss(t, i, label, std::log(sum) + (max - z[label]));
      state = {max + std::log(sum), result.gradient_factor};
    }
    if (t.pixel_losses) t.pixel_losses[i] = result.loss;
    if (head.gradient) states[i] = state;
    loss += static_cast<double>(result.loss);
  }
  loss = block_reduce<Plus>(loss, 0.0);
  if (threadIdx.x == 0) t.partial[blockIdx.x] = loss;
}

template <class T>
__global__ void __launch_bounds__(threads) gather_kernel(Head<T> head, Targets t, const PixelState* states) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  const Division own = divide(i, t.classes);
  const Position at = position_of(own.quotient, head.rows.in, head.columns.in);
  const int64_t image = at.image;
  if (image >= head.images) return;
  const auto k = static_cast<int>(own.remainder);
  const auto row = static_cast<int32_t>(at.row), column = static_cast<int32_t>(at.column);
  float sum = 0;
  for (int32_t y = head.rows.begin_of(row); y < head.rows.end_of(row); ++y) {
    const float v = head.rows.weight_of(y, row);
    for (int32_t x = head.columns.begin_of(column); x < head.columns.end_of(column); ++x) {
      const int64_t pixel = (image * head.rows.out + y) * head.columns.out + x;
      const PixelState state = states[pixel];
      if (state.factor == 0) continue;  // ignored pixel: its logits may be anything
      const float softmax = std::exp(Corners<T>(head, image, y, x)[k] - state.log_sum);
      const float onehot = t.labels[pixel] == k ? 1.0f : 0.0f;
      sum += v * head.columns.weight_of(x, column) * (state.factor * (softmax - onehot));
    }
  }
  head.gradient[i] = static_cast<T>(sum);
}

// ---- tiled ----

// A block's tile of samples [top, bottom) x [left, right) and its shared memory.
struct Place {
  int64_t image;
  int32_t top, bottom, left, right;
  float* samples;  // [size + 2][size + 2][K], of the tile and one sample around it
  float* g;        // [slots][K | 1], logits and then gradients of output pixels
  float* sums;     // [size][size][K], the gradient of the tile
  int around;      // size + 2
  int pitch;       // K | 1
};

template <class T>
__device__ inline Place place_of(const Head<T>& head, int classes, const Tile& tile, float* shared) {
  const int32_t down = (head.rows.in + tile.size - 1) / tile.size;
  const int32_t across = (head.columns.in + tile.size - 1) / tile.size;
  Place p;
  p.image = blockIdx.x / (down * across);
  const auto in_image = static_cast<int32_t>(blockIdx.x % (down * across));
  p.top = in_image / across * tile.size;
  p.left = in_image % across * tile.size;
  p.bottom = min(p.top + tile.size, head.rows.in);
  p.right = min(p.left + tile.size, head.columns.in);
  p.around = tile.size + 2;
  p.pitch = classes | 1;
  p.samples = shared;
  p.sums = p.samples + p.around * p.around * classes;
  p.g = p.sums + tile.size * tile.size * classes;
  return p;
}

// Logits of the tile and of one sample around it (the border's samples repeat).
template <class T>
__device__ inline void load_samples(const Head<T>& head, const Place& p, int classes) {
  for (int e = static_cast<int>(threadIdx.x); e < p.around * p.around * classes; e += threads) {
    const int s = e / classes, k = e - s * classes;
    const int32_t row = min(max(p.top - 1 + s / p.around, 0), head.rows.in - 1);
    const int32_t column = min(max(p.left - 1 + s % p.around, 0), head.columns.in - 1);
    p.samples[e] = static_cast<float>(head.z.at(head.sample(p.image, row, column))[k]);
  }
}

// Softmax and loss of output (y, x); leaves its gradient in g.
template <class T>
__device__ inline void output_pixel(const Head<T>& head, const Targets& t, const Place& p, int32_t y,
                                    int32_t x, float* g, double& loss) {
  const int64_t pixel = (p.image * head.rows.out + y) * head.columns.out + x;
  const int32_t label = t.labels[pixel], row = head.rows.low[y], column = head.columns.low[x];
  // Outputs just outside of the tile belong to another block, but their gradient contributes to the tile.
  const bool own = row >= p.top && column >= p.left;
  PixelLoss result{0, 0};
  if (t.counts(label)) {
    const float v = head.rows.weight[y], u = head.columns.weight[x];
    const float* corner = p.samples + ((row - p.top + 1) * p.around + (column - p.left + 1)) * t.classes;
    const float* right = corner + t.classes;
    const int below = p.around * t.classes;
    float max = -INFINITY, sum = 0;
    for (int k = 0; k < t.classes; ++k) {
      const float z = (corner[k] * (1 - u) + right[k] * u) * (1 - v) +
                      (corner[below + k] * (1 - u) + right[below + k] * u) * v;
      g[k] = z;
      max = Maximum{}(max, z);
    }
    const float below_max = max - g[label];
    for (int k = 0; k < t.classes; ++k) {
      g[k] = std::exp(g[k] - max);
      sum += g[k];
    }
    result = pixel_loss(t, pixel, label, std::log(sum) + below_max);
    const float share = 1 / sum;
    for (int k = 0; k < t.classes; ++k)
      g[k] = result.gradient_factor * (g[k] * share - (k == label ? 1.0f : 0.0f));
  } else {
    for (int k = 0; k < t.classes; ++k) g[k] = 0;
  }
  if (!own) return;
  if (t.pixel_losses) t.pixel_losses[pixel] = result.loss;
  loss += static_cast<double>(result.loss);
}

// Adds the gradients of the outputs [y_begin, y_end) x [x_begin, x_end) in g to the sums of the tile. A
// thread owns a column of the tile and a class.
template <class T>
__device__ inline void collect(const Head<T>& head, const Place& p, int classes, int size, int32_t y_begin,
                               int32_t y_end, int32_t x_begin, int32_t x_end) {
  for (int o = static_cast<int>(threadIdx.x); o < (p.right - p.left) * classes; o += threads) {
    const int32_t column = p.left + o / classes;
    const int k = o % classes;
    const int32_t begin = max(x_begin, head.columns.begin_of(column));
    const int32_t end = min(x_end, head.columns.end_of(column));
    for (int32_t y = y_begin; y < y_end; ++y) {
      const float* g = p.g + ((y - y_begin) * (x_end - x_begin) - x_begin) * p.pitch + k;
      float sum = 0;
      for (int32_t x = begin; x < end; ++x) sum += head.columns.weight_of(x, column) * g[x * p.pitch];
      const int32_t low = head.rows.low[y], high = head.rows.high(y);
      const float v = head.rows.weight[y];
      float* sums = p.sums + (column - p.left) * classes + k;
      if (low >= p.top) sums[(low - p.top) * size * classes] += (1 - v) * sum;
      if (high > low && high < p.bottom) sums[(high - p.top) * size * classes] += v * sum;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(threads) tiled_kernel(Head<T> head, Targets t, Tile tile) {
  ATROUS_DYNAMIC_SHARED(shared);
  const Place p = place_of(head, t.classes, tile, reinterpret_cast<float*>(shared));
  load_samples(head, p, t.classes);
  for (int e = static_cast<int>(threadIdx.x); e < tile.size * tile.size * t.classes; e += threads)
    p.sums[e] = 0;
  // Without a gradient the outputs just outside are not needed.
  const int32_t reach = head.gradient ? 1 : 0;
  const int32_t y_first = head.rows.first[max(p.top - reach, 0)], y_last = head.rows.first[p.bottom];
  const int32_t x_first = head.columns.first[max(p.left - reach, 0)], x_last = head.columns.first[p.right];
  const int32_t wide = min(max(x_last - x_first, 1), tile.slots), tall = tile.slots / wide;
  double loss = 0;
  for (int32_t y = y_first; y < y_last; y += tall) {
    for (int32_t x = x_first; x < x_last; x += wide) {
      const int32_t y_end = min(y + tall, y_last), x_end = min(x + wide, x_last), width = x_end - x;
      __syncthreads();  // samples are loaded; the previous outputs are collected
      for (int s = static_cast<int>(threadIdx.x); s < (y_end - y) * width; s += threads)
        output_pixel(head, t, p, y + s / width, x + s % width, p.g + s * p.pitch, loss);
      if (!head.gradient) continue;
      __syncthreads();
      collect(head, p, t.classes, tile.size, y, y_end, x, x_end);
    }
  }
  loss = block_reduce<Plus>(loss, 0.0);  // its barriers also end the last collection
  if (threadIdx.x == 0) t.partial[blockIdx.x] = loss;
  if (!head.gradient) return;
  const int width = (p.right - p.left) * t.classes;
  for (int e = static_cast<int>(threadIdx.x); e < (p.bottom - p.top) * width; e += threads) {
    const int row = e / width, at = e - row * width;
    head.gradient[head.sample(p.image, p.top + row, p.left) * t.classes + at] =
        static_cast<T>(p.sums[row * tile.size * t.classes + at]);
  }
}

template <class T>
Head<T> head_of(const ResizeCrossEntropyProblem& p, const Tensor& logits, const CrossEntropyResult& out,
                const AxisTables& rows, const AxisTables& columns) {
  return {pixels_of<const T>(logits), out.gradient.defined() ? out.gradient.device_data<T>() : nullptr,
          rows.axis, columns.axis, p.loss.n};
}

}  // namespace

void run_gather(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
                const CrossEntropyResult& out) {
  const CrossEntropyProblem& l = p.loss;
  const AxisTables rows(p.in_h, l.h, p.align_corners, logits.device());
  const AxisTables columns(p.in_w, l.w, p.align_corners, logits.device());
  const int64_t pixels = labels.numel();
  const Tensor partial =
      Tensor::empty({std::min(most_blocks, blocks_for(pixels, threads))}, DType::f64, logits.device());
  const Tensor states = Tensor::empty({out.gradient.defined() ? pixels : 0, 2}, DType::f32, logits.device());
  auto* state = reinterpret_cast<PixelState*>(states.device_data<float>());
  visit_activation(l.dtype, [&]<class T>(T) {
    const auto head = head_of<T>(p, logits, out, rows, columns);
    const Targets targets(l, labels, out, partial);
    launch<loss_kernel<T>>({partial.numel(), threads}, head, targets, state);
    if (!head.gradient) return;
    launch<gather_kernel<T>>({blocks_for(logits.numel(), threads), threads}, head, targets,
                             static_cast<const PixelState*>(state));
  });
  finish_loss(l, partial, out);
}

void run_tiled(const ResizeCrossEntropyProblem& p, const Tensor& logits, const Tensor& labels,
               const CrossEntropyResult& out) {
  const CrossEntropyProblem& l = p.loss;
  const Tile tile = tile_of(l.classes);
  const AxisTables rows(p.in_h, l.h, p.align_corners, logits.device());
  const AxisTables columns(p.in_w, l.w, p.align_corners, logits.device());
  const int64_t blocks = l.n * blocks_for(p.in_h, tile.size) * blocks_for(p.in_w, tile.size);
  const Tensor partial = Tensor::empty({blocks}, DType::f64, logits.device());
  visit_activation(l.dtype, [&]<class T>(T) {
    launch<tiled_kernel<T>>({blocks, threads, tile.shared_bytes}, head_of<T>(p, logits, out, rows, columns),
                            Targets(l, labels, out, partial), tile);
  });
  finish_loss(l, partial, out);
}

}  // namespace atrous::kernels::resize_cross_entropy_impl::ATROUS_GPU
