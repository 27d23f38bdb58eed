// Sums over pixels, for the gradient of a bias and for the statistics that convolutions leave in parts:
//
//   result[k] = sum_i dy[i,k]
//
// Layout: pixels at any stride, channels dense. All sums are f64 and formed in a fixed order.
//
// The ladder:
//   naive    one thread per channel
//   stages   a block adds 512 pixels of 32 channels and writes one row of sums; rows of sums are added in the
//            same way until one is left. So there is work for the whole GPU, without atomics.
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256, lanes = 32, runs = threads / lanes;
constexpr int rows_per_block = 512;

template <class T>
__global__ void __launch_bounds__(threads)
    channel_sums_naive_kernel(Pixels<const T> dy, int64_t pixels, int64_t channels, float* result) {
  const int64_t k = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (k >= channels) return;
  double sum = 0;
  for (int64_t i = 0; i < pixels; ++i) sum += static_cast<double>(static_cast<float>(dy.at(i)[k]));
  result[k] = static_cast<float>(sum);
}

template <class T>
__device__ double widen(T value) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return static_cast<double>(static_cast<float>(value));
}

template <class In, class Out>
__global__ void __launch_bounds__(threads)
    sum_rows(Pixels<const In> in, int64_t rows, int64_t columns, Out* out) {
  ATROUS_SHARED(double, part, [runs][lanes]);
  const int lane = threadIdx.x % lanes, run = threadIdx.x / lanes;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * lanes + lane;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * rows_per_block;
  const int64_t end = min(rows, begin + rows_per_block);
  double sum = 0;
  if (column < columns) {
    for (int64_t row = begin + run; row < end; row += runs) sum += widen(in.at(row)[column]);
  }
  part[run][lane] = sum;
  __syncthreads();
  if (run != 0 || column >= columns) return;
  for (int other = 1; other < runs; ++other) sum += part[other][lane];
  out[blockIdx.x * columns + column] = static_cast<Out>(sum);
}

template <class In, class Out>
void sum_all_rows(Pixels<const In> in, int64_t rows, int64_t columns, Device device, Out* out) {
  const int64_t blocks = std::max<int64_t>(1, blocks_for(rows, rows_per_block));
  const LaunchShape shape{{blocks, blocks_for(columns, lanes)}, threads};
  if (blocks == 1) {
    launch<sum_rows<In, Out>>(shape, in, rows, columns, out);
    return;
  }
  const Tensor partial = Tensor::empty({blocks, columns}, DType::f64, device);
  launch<sum_rows<In, double>>(shape, in, rows, columns, partial.device_data<double>());
  sum_all_rows<double, Out>(pixels_of<const double>(partial), blocks, columns, device, out);
}

}  // namespace

void channel_sums_naive(const ChannelSumsProblem& p, const Tensor& dy, const Tensor& result) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch<channel_sums_naive_kernel<T>>({blocks_for(p.channels, threads), threads}, pixels_of<const T>(dy),
                                         p.pixels, p.channels, result.device_data<float>());
  });
}

void channel_sums_in_stages(const ChannelSumsProblem& p, const Tensor& dy, const Tensor& result) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    sum_all_rows(pixels_of<const T>(dy), p.pixels, p.channels, dy.device(), result.device_data<float>());
  });
}

void add_partial_sums(const Tensor& partial, const Tensor& sums) {
  sum_all_rows(pixels_of<const double>(partial), partial.pixels(), partial.channels(), partial.device(),
               sums.device_data<double>());
}

}  // namespace atrous::kernels::ATROUS_GPU
