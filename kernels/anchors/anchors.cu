// anchor[(y W + x) k + i] = cell_i + (x, y, x, y) strides, dense [H W k, 4].
//
//   naive    thread per number; neighbours write neighbours. Bound by writing, a few microseconds, once per
//            image size
#include "kernels/anchors/anchors_impl.h"
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

struct Grid {
  int64_t width, stride_y, stride_x, count, cell_numbers;
};

__global__ void __launch_bounds__(threads) naive_kernel(Grid grid, const float* cell, float* anchors) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i >= grid.count) return;
  const Division place = divide(i, grid.cell_numbers);
  const Division row = divide(place.quotient, grid.width);
  const int64_t shift = i % 2 ? row.quotient * grid.stride_y : row.remainder * grid.stride_x;
  anchors[i] = static_cast<float>(shift) + cell[place.remainder];
}

}  // namespace

void anchors_naive(const AnchorProblem& p, const Tensor& anchors) {
  const auto numbers = static_cast<int64_t>(p.cell.size()) * 4;
  const Tensor cell =
      Tensor::from<float>({numbers}, std::span<const float>(p.cell[0].data(), p.cell.size() * 4))
          .to(anchors.device());
  launch<naive_kernel>({blocks_for(anchors.numel(), threads), threads},
                       Grid{p.width, p.stride_y, p.stride_x, anchors.numel(), numbers},
                       cell.device_data<float>(), anchors.device_data<float>());
}

}  // namespace atrous::kernels::ATROUS_GPU
