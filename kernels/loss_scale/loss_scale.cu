// Two kernels: a fixed number of blocks adds up in double, then one block adds the blocks' sums in order and
// decides. The host does not wait: factor and report stay on the device.
#include "kernels/gpu/gpu.h"
#include "kernels/labels/label_view.h"
#include "kernels/loss_scale/loss_scale_impl.h"

namespace atrous::kernels::loss_scale_impl::ATROUS_GPU {
namespace {

constexpr int threads = 128;
constexpr int64_t most_blocks = 1024;
constexpr int64_t pixels_per_thread = 8;  // at least, if there are as many: a block is worth its start

struct First {
  __device__ int64_t operator()(int64_t a, int64_t b) const { return a < b ? a : b; }
};
constexpr int64_t none = INT64_MAX;

struct Weights {
  const float* by_class;  // or null
  const float* by_pixel;  // or null
};

__global__ void __launch_bounds__(threads)
    sum_weights_kernel(LabelView labels, int64_t pixels, int64_t classes, int64_t ignore_index,
                       Weights weights, double* sums, int64_t* first_bad) {
  double sum = 0;
  int64_t bad = none;
  const int64_t step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x; i < pixels; i += step) {
    const int32_t y = labels[i];
    if (y == ignore_index) continue;
    if (y < 0 || y >= classes) {
      bad = First{}(bad, i);
      continue;
    }
    sum += (weights.by_class ? static_cast<double>(weights.by_class[y]) : 1.0) *
           (weights.by_pixel ? static_cast<double>(weights.by_pixel[i]) : 1.0);
  }
  sum = block_reduce<Plus>(sum, 0.0);
  bad = block_reduce<First>(bad, none);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
    first_bad[blockIdx.x] = bad;
  }
}

__global__ void __launch_bounds__(threads)
    finish_scale_kernel(const double* sums, const int64_t* first_bad, int64_t blocks, bool mean,
                        LabelView labels, BadLabel about, double* scale, BadLabel* report) {
  double sum = 0;
  int64_t bad = none;
  for (int64_t b = threadIdx.x; b < blocks; b += threads) {
    sum += sums[b];
    bad = First{}(bad, first_bad[b]);
  }
  sum = block_reduce<Plus>(sum, 0.0);
  bad = block_reduce<First>(bad, none);
  if (threadIdx.x != 0) return;
  *scale = bad != none ? NAN : scale_of_sum(mean, sum);
  if (bad == none || report->found) return;
  about.found = 1;
  about.pixel = bad;
  about.label = labels[bad];
  *report = about;
}

const float* floats_of(const Tensor& t) {
  return t.defined() ? t.device_data<float>() : nullptr;
}

}  // namespace

void run_two_kernels(const LossScaleProblem& p, const Tensor& labels, const Tensor& class_weights,
                     const Tensor& pixel_weights, const Tensor& scale, const Tensor& report) {
  const int64_t blocks = std::min(most_blocks, blocks_for(p.pixels(), int64_t{threads} * pixels_per_thread));
  const Tensor sums = Tensor::empty({blocks}, DType::f64, labels.device());
  const Tensor first_bad = Tensor::empty({blocks}, DType::i64, labels.device());
  launch<sum_weights_kernel>({blocks, threads}, LabelView(labels), p.pixels(), p.classes, p.ignore_index,
                             Weights{floats_of(class_weights), floats_of(pixel_weights)},
                             sums.device_data<double>(), first_bad.device_data<int64_t>());
  const BadLabel about{.height = p.h, .width = p.w, .classes = p.classes, .ignore_index = p.ignore_index};
  launch<finish_scale_kernel>({1, threads}, static_cast<const double*>(sums.device_data<double>()),
                              static_cast<const int64_t*>(first_bad.device_data<int64_t>()), blocks, p.mean,
                              LabelView(labels), about, scale.device_data<double>(),
                              reinterpret_cast<BadLabel*>(report.device_data<int64_t>()));
}

}  // namespace atrous::kernels::loss_scale_impl::ATROUS_GPU
