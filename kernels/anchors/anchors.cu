// anchor[(y W + x) k + i] = cell_i + (x, y, x, y) strides, dense [H W k, 4].
//
//   naive    thread per number; neighbours write neighbours. Bound by writing, a few microseconds, once per
//            image size
#include <algorithm>

#include "kernels/anchors/anchors_impl.h"
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

struct Grid {
  int64_t width, stride_y, stride_x;
  int64_t boxes;  // k, of a cell
};

// Some boxes of a cell, by value: no table needs to be copied to the device, whose stream may be captured.
struct Cell {
  static constexpr int most = 32;
  float numbers[4 * most];
  int first, count;  // of boxes
};

__global__ void __launch_bounds__(threads)
    naive_kernel(Grid grid, Cell cell, int64_t places, float* anchors) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  const Division place = divide(i, 4 * cell.count);
  if (place.quotient >= places) return;
  const Division row = divide(place.quotient, grid.width);
  const int64_t shift = i % 2 ? row.quotient * grid.stride_y : row.remainder * grid.stride_x;
  anchors[4 * (place.quotient * grid.boxes + cell.first) + place.remainder] =
      static_cast<float>(shift) + cell.numbers[place.remainder];
}

}  // namespace

void anchors_naive(const AnchorProblem& p, const Tensor& anchors) {
  const int64_t places = p.height * p.width;
  const auto boxes = static_cast<int>(p.cell.size());
  for (Cell cell{{}, 0, 0}; cell.first < boxes; cell.first += Cell::most) {
    cell.count = std::min(Cell::most, boxes - cell.first);
    for (int i = 0; i < cell.count; ++i)
      std::ranges::copy(p.cell[static_cast<size_t>(cell.first + i)], cell.numbers + 4 * i);
    launch<naive_kernel>({blocks_for(places * 4 * cell.count, threads), threads},
                         Grid{p.width, p.stride_y, p.stride_x, boxes}, cell, places,
                         anchors.device_data<float>());
  }
}

}  // namespace atrous::kernels::ATROUS_GPU
