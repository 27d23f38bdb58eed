// Soft Dice and soft IoU of class probabilities: sums over all pixels, a formula per class, the gradient.
//
//   I_k = sum p_k [y = k],   P_k = sum p_k or p_k^2,   G_k = sum [y = k]
//   dp_k = hit_k [y = k] + base_k dP_k/dp_k
//
// Memory: p is pixel-strided [pixels, K], the gradient is dense. Sums are in double: first of each block,
// then one block adds the blocks in order.
//
//   naive   a block per class walks over all pixels, K elements apart; the gradient by thread per element
//   strips  a thread keeps to one class and neighbouring threads take neighbouring classes, then pixels:
//           memory is read in order, and hit and base of the class stay in registers
#include <algorithm>

#include "kernels/gpu/gpu.h"
#include "kernels/labels/label_view.h"
#include "kernels/overlap_loss/overlap_loss_impl.h"
#include "kernels/overlap_loss/overlap_loss_math.h"

namespace atrous::kernels::overlap_loss_impl::ATROUS_GPU {
namespace {

constexpr int threads = 128;
constexpr int64_t most_strips = 512;
constexpr int64_t pixels_per_thread = 8;  // at least, if there are as many

template <class T>
struct Input {
  Pixels<const T> p;
  LabelView labels;
  int64_t pixels;
  int32_t classes;
  int32_t ignore_index;
  bool squared;

  // Labels out of range are not counted: loss_scale reports them.
  __device__ bool counts(int32_t label) const {
    return label != ignore_index && label >= 0 && label < classes;
  }
};

struct Sums {
  double intersection = 0, predicted = 0, present = 0;

  template <class T>
  __device__ void add(const Input<T>& in, int64_t pixel, int32_t k) {
    const int32_t label = in.labels[pixel];
    if (!in.counts(label)) return;
    const auto v = static_cast<double>(static_cast<float>(in.p.at(pixel)[k]));
    predicted += in.squared ? v * v : v;
    if (label != k) return;
    intersection += v;
    present += 1;
  }
  __device__ void add(const Sums& s) {
    intersection += s.intersection;
    predicted += s.predicted;
    present += s.present;
  }
};

// Derivatives of the loss of a class.
struct Slopes {
  float hit = 0, base = 0;

  template <class T>
  __device__ T gradient(const Input<T>& in, int64_t pixel, int32_t k) const {
    const int32_t label = in.labels[pixel];
    if (!in.counts(label)) return T(0.0f);
    const float slope = in.squared ? 2 * static_cast<float>(in.p.at(pixel)[k]) : 1.0f;
    return T(base * slope + (label == k ? hit : 0.0f));
  }
};

// ---- naive ----

template <class T>
__global__ void __launch_bounds__(threads) sums_naive_kernel(Input<T> in, Sums* sums) {
  const auto k = static_cast<int32_t>(blockIdx.x);
  Sums own;
  for (int64_t i = threadIdx.x; i < in.pixels; i += threads) own.add(in, i, k);
  const double intersection = block_reduce<Plus>(own.intersection, 0.0);
  const double predicted = block_reduce<Plus>(own.predicted, 0.0);
  const double present = block_reduce<Plus>(own.present, 0.0);
  if (threadIdx.x == 0) sums[k] = {intersection, predicted, present};
}

template <class T>
__global__ void __launch_bounds__(threads)
    gradient_naive_kernel(Input<T> in, const Slopes* slopes, T* gradient) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= in.pixels * in.classes) return;
  const auto k = static_cast<int32_t>(i % in.classes);
  gradient[i] = slopes[k].gradient(in, i / in.classes, k);
}

// ---- strips ----

// The class of a thread, and the pixels it takes.
struct Place {
  int32_t width;  // classes side by side in the block
  int32_t lanes;  // pixels side by side in the block
  int32_t k;
  int64_t first, step;
  bool active;

  __device__ explicit Place(int32_t classes)
      : width(min(classes, threads)),
        lanes(threads / width),
        k(static_cast<int32_t>(blockIdx.y) * threads + static_cast<int32_t>(threadIdx.x) % width),
        first(static_cast<int64_t>(blockIdx.x) * lanes + static_cast<int32_t>(threadIdx.x) / width),
        step(static_cast<int64_t>(gridDim.x) * lanes),
        active(static_cast<int32_t>(threadIdx.x) < width * lanes && k < classes) {}
};

template <class T>
__global__ void __launch_bounds__(threads) sums_strips_kernel(Input<T> in, Sums* sums) {
  ATROUS_SHARED(double, shared, [3][threads]);
  const Place place(in.classes);
  Sums own;
  if (place.active) {
    for (int64_t i = place.first; i < in.pixels; i += place.step) own.add(in, i, place.k);
  }
  shared[0][threadIdx.x] = own.intersection;
  shared[1][threadIdx.x] = own.predicted;
  shared[2][threadIdx.x] = own.present;
  __syncthreads();
  if (!place.active || static_cast<int32_t>(threadIdx.x) >= place.width) return;
  Sums total;
  for (int32_t lane = 0; lane < place.lanes; ++lane) {
    const int32_t at = lane * place.width + static_cast<int32_t>(threadIdx.x);
    total.add({shared[0][at], shared[1][at], shared[2][at]});
  }
  sums[static_cast<int64_t>(blockIdx.x) * in.classes + place.k] = total;
}

template <class T>
__global__ void __launch_bounds__(threads)
    gradient_strips_kernel(Input<T> in, const Slopes* slopes, T* gradient) {
  const Place place(in.classes);
  if (!place.active) return;
  const Slopes own = slopes[place.k];
  for (int64_t i = place.first; i < in.pixels; i += place.step)
    gradient[i * in.classes + place.k] = own.gradient(in, i, place.k);
}

// ---- the formula ----

// One block: adds the sums of `strips` blocks into the first of them, then the loss and its slopes. `valid`
// is 1, or NaN if a label is bad.
__global__ void __launch_bounds__(threads)
    overlap_kernel(Sums* sums, int64_t strips, int32_t classes, OverlapMeasure measure, double smooth,
                   const double* valid, Slopes* slopes, float* loss) {
  double present = 0;
  for (int32_t k = static_cast<int32_t>(threadIdx.x); k < classes; k += threads) {
    Sums total;
    for (int64_t s = 0; s < strips; ++s) total.add(sums[s * classes + k]);
    if (strips > 0) sums[k] = total;
    present += total.present > 0 ? 1.0 : 0.0;
  }
  present = block_reduce<Plus>(present, 0.0);
  double sum = 0;
  for (int32_t k = static_cast<int32_t>(threadIdx.x); k < classes; k += threads) {
    const Sums total = strips > 0 ? sums[k] : Sums{};
    ClassOverlap overlap{0, 0, 0};
    if (total.present > 0) {
      overlap = class_overlap(measure, smooth, total.intersection, total.predicted, total.present, present);
    }
    sum += overlap.loss;
    slopes[k] = {static_cast<float>(*valid * overlap.hit), static_cast<float>(*valid * overlap.base)};
  }
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *loss = static_cast<float>(*valid * sum);
}

// Memory between the kernels, and the launch of the middle one.
struct Work {
  Tensor sums, slopes;
  int64_t strips;

  Work(const OverlapLossProblem& p, const Tensor& labels, int64_t strips_)
      : sums(Tensor::empty({strips_ * p.classes, 3}, DType::f64, labels.device())),
        slopes(Tensor::empty({p.classes, 2}, DType::f32, labels.device())),
        strips(strips_) {}
  Sums* sums_data() const { return reinterpret_cast<Sums*>(sums.device_data<double>()); }
  Slopes* slopes_data() const { return reinterpret_cast<Slopes*>(slopes.device_data<float>()); }
  void run_formula(const OverlapLossProblem& p, const Tensor& valid, const Tensor& loss) const {
    launch<overlap_kernel>({1, threads}, sums_data(), strips, static_cast<int32_t>(p.classes),
                           p.options.measure, p.options.smooth,
                           static_cast<const double*>(valid.device_data<double>()), slopes_data(),
                           loss.device_data<float>());
  }
};

template <class T>
Input<T> input_of(const OverlapLossProblem& p, const Tensor& probabilities, const Tensor& labels) {
  return {pixels_of<const T>(probabilities),
          LabelView(labels),
          p.pixels,
          static_cast<int32_t>(p.classes),
          static_cast<int32_t>(p.options.ignore_index),
          p.options.squared};
}

}  // namespace

void run_naive(const OverlapLossProblem& p, const Tensor& probabilities, const Tensor& labels,
               const Tensor& valid, const OverlapLossResult& out) {
  const Work work(p, labels, 1);
  visit_activation(p.dtype, [&]<class T>(T) {
    const auto in = input_of<T>(p, probabilities, labels);
    launch<sums_naive_kernel<T>>({p.classes, threads}, in, work.sums_data());
    work.run_formula(p, valid, out.loss);
    if (!out.gradient.defined()) return;
    launch<gradient_naive_kernel<T>>({blocks_for(p.pixels * p.classes, threads), threads}, in,
                                     static_cast<const Slopes*>(work.slopes_data()),
                                     out.gradient.device_data<T>());
  });
}

void run_strips(const OverlapLossProblem& p, const Tensor& probabilities, const Tensor& labels,
                const Tensor& valid, const OverlapLossResult& out) {
  const int64_t lanes = threads / std::min<int64_t>(p.classes, threads);
  const Extent grid{std::min(most_strips, blocks_for(p.pixels, lanes * pixels_per_thread)),
                    blocks_for(p.classes, threads)};
  const Work work(p, labels, grid.x);
  visit_activation(p.dtype, [&]<class T>(T) {
    const auto in = input_of<T>(p, probabilities, labels);
    launch<sums_strips_kernel<T>>({grid, threads}, in, work.sums_data());
    work.run_formula(p, valid, out.loss);
    if (!out.gradient.defined()) return;
    launch<gradient_strips_kernel<T>>({grid, threads}, in, static_cast<const Slopes*>(work.slopes_data()),
                                      out.gradient.device_data<T>());
  });
}

}  // namespace atrous::kernels::overlap_loss_impl::ATROUS_GPU
