// Dropout: y = x / (1 - p) where number i of the stream is at least p, else 0. The numbers are those of the
// CPU (core/random.h), so that the masks are bit-identical on every device.
//
//   scalar      a thread per element draws a block of four numbers and uses one
//   vectorised  a thread per 16 bytes uses every number it draws. If rows of channels are no multiple of
//               four, or memory is not aligned, numbers would have to be shared between threads: then as
//               above
#include "kernels/dropout/dropout_impl.h"
#include "kernels/pointwise/elements.cuh"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

// Which elements a stream keeps. Rows are pixels, unless all is dense.
struct Mask {
  RandomKey key;
  uint32_t threshold;
  float keep;                // 1 / (1 - p)
  int64_t pixels_per_image;  // 0: a number per element; else one per image and channel
};

// Results of a thread's group, whose numbers are first, first + 1, ... The first of four or more is a
// multiple of 4.
template <int N>
__device__ inline void apply(const Mask& mask, uint64_t first, Vec<float, N>& v) {
  const CounterRng rng(mask.key);
  ATROUS_UNROLL
  for (int b = 0; b < (N + 3) / 4; ++b) {
    const auto words = rng.block(first / 4 + static_cast<uint64_t>(b));
    ATROUS_UNROLL
    for (int i = 0; i < 4; ++i) {
      const bool kept = (words[static_cast<size_t>(i)] >> 8) >= mask.threshold;
      const int at = N == 1 ? (first % 4 == static_cast<uint64_t>(i) ? 0 : 1) : 4 * b + i;
      if (at < N) v[at] = kept ? v[at] * mask.keep : 0.0f;
    }
  }
}

template <class T, int N>
__global__ void __launch_bounds__(element_threads)
    dropout_kernel(Elements e, Pixels<T> x, Pixels<T> y, Mask mask) {
  if (own_group() >= e.groups(N)) return;
  const Group<N> group(e, own_group());
  const int64_t row = mask.pixels_per_image ? divide(group.row, mask.pixels_per_image).quotient : group.row;
  Vec<float, N> v = group.load(x);
  apply(mask, static_cast<uint64_t>(row * e.width + group.column), v);
  group.store(y, v);
}

void run(bool wide, const DropoutProblem& problem, const Tensor& x, const Tensor& y) {
  const Elements e({&x, &y}, problem.by_channel);
  const bool fours = e.rows == 1 || e.width % 4 == 0;
  const Mask mask{problem.key, dropout_threshold(problem.p), static_cast<float>(1.0 / (1.0 - problem.p)),
                  problem.by_channel ? x.pixels() / x.dim(0) : 0};
  visit_activation(problem.dtype, [&]<class T>(T) {
    with_groups<T>(e, wide && fours, [&]<int n>(std::integral_constant<int, n>, int64_t blocks) {
      launch<dropout_kernel<T, n>>({blocks, element_threads}, e, pixels_of<T>(x), pixels_of<T>(y), mask);
    });
  });
}

}  // namespace

void dropout_scalar(const DropoutProblem& problem, const Tensor& x, const Tensor& y) {
  run(false, problem, x, y);
}
void dropout_vectorised(const DropoutProblem& problem, const Tensor& x, const Tensor& y) {
  run(true, problem, x, y);
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
