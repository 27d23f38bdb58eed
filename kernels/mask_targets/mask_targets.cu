// Mask targets on a GPU: RoIAlign of masks of bytes, adaptive, one value per bin (roi_align_math.h).
//
//   naive     one bin per thread, which goes through the bin's samples: one per pixel
//   per_warp  a bin of a large region has hundreds of samples: the lanes of a warp share them, and add their
//             sums in a fixed order
#include "kernels/common/divide.h"
#include "kernels/gpu/gpu.h"
#include "kernels/mask_targets/mask_targets_impl.h"
#include "kernels/roi_align/roi_align_math.h"

namespace atrous::kernels::mask_targets_impl::ATROUS_GPU {
namespace {

constexpr int threads = 256;

// The sum over samples first, first + step, ... of a bin, divided by the number of all of them.
__device__ float share_of_samples(const MaskTargetsProblem& p, const uint8_t* masks, const float* rois,
                                  int64_t bin, int first, int step) {
  const Division line = divide(bin, p.size);
  const Division at = divide(line.quotient, p.size);
  const float* roi = rois + 5 * at.quotient;
  const int64_t mask = roi_image(roi[0], p.masks);
  if (mask < 0) return 0.0f;
  const RoiAxis rows = roi_axis(roi[2], roi[4], 1.0f, false, p.size, 0);
  const RoiAxis columns = roi_axis(roi[1], roi[3], 1.0f, false, p.size, 0);
  const RoiSamples is = roi_samples_inside(rows, at.remainder, p.height);
  const RoiSamples js = roi_samples_inside(columns, line.remainder, p.width);
  if (is.begin >= is.end || js.begin >= js.end) return 0.0f;
  float sum = 0;
  const int64_t width = js.end - js.begin, count = width * (is.end - is.begin);
  for (int64_t s = first; s < count; s += step) {
    const Division sample = divide(s, width);
    const RoiTap v =
        roi_tap(roi_sample(rows, at.remainder, is.begin + static_cast<int32_t>(sample.quotient)), p.height);
    const RoiTap u = roi_tap(
        roi_sample(columns, line.remainder, js.begin + static_cast<int32_t>(sample.remainder)), p.width);
    if (v.low < 0 || u.low < 0) continue;
    const uint8_t* top = masks + (mask * p.height + v.low) * p.width;
    const uint8_t* bottom = masks + (mask * p.height + v.high) * p.width;
    const float above = (1.0f - u.weight) * top[u.low] + u.weight * top[u.high];
    const float below = (1.0f - u.weight) * bottom[u.low] + u.weight * bottom[u.high];
    sum += (1.0f - v.weight) * above + v.weight * below;
  }
  return sum / (static_cast<float>(rows.samples) * static_cast<float>(columns.samples));
}

__global__ __launch_bounds__(threads) void bin_per_thread(MaskTargetsProblem p, const uint8_t* masks,
                                                          const float* rois, float* y) {
  const int64_t bin = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (bin < p.rois * p.size * p.size) y[bin] = share_of_samples(p, masks, rois, bin, 0, 1);
}

__global__ __launch_bounds__(threads, 4) void bin_per_warp(MaskTargetsProblem p, const uint8_t* masks,
                                                           const float* rois, float* y) {
  const int64_t bin = int64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const bool exists = bin < p.rois * p.size * p.size;
  const float own = exists ? share_of_samples(p, masks, rois, bin, lane, 32) : 0.0f;
  const float sum = warp_reduce<Plus>(own);
  if (exists && lane == 0) y[bin] = sum;
}

}  // namespace

void forward_naive(const MaskTargetsProblem& p, const Tensor& masks, const Tensor& rois, const Tensor& y) {
  launch<bin_per_thread>({blocks_for(y.numel(), threads), threads}, p,
                         static_cast<const uint8_t*>(masks.device_data<uint8_t>()),
                         static_cast<const float*>(rois.device_data<float>()), y.device_data<float>());
}

void forward_per_warp(const MaskTargetsProblem& p, const Tensor& masks, const Tensor& rois, const Tensor& y) {
  launch<bin_per_warp>({blocks_for(y.numel(), threads / 32), threads}, p,
                       static_cast<const uint8_t*>(masks.device_data<uint8_t>()),
                       static_cast<const float*>(rois.device_data<float>()), y.device_data<float>());
}

}  // namespace atrous::kernels::mask_targets_impl::ATROUS_GPU
