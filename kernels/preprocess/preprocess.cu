// Warp, colours, normalisation and cast of a batch of u8 pictures on a GPU; preprocess.h has the formula.
//
// NHWC, all dense. Results are f32 or bf16; labels u8. A picture is copied to the device as bytes and read
// once.
//
//   naive        thread per output pixel, channel by channel: the formula; for any number of channels
//   vectorised   thread per 4 (f32) or 8 (bf16) neighbouring output pixels of 1, 3 or 4 channels: every tap
//                is read once for all channels, and results leave in 16-byte accesses
#include "kernels/common/channel_groups.h"
#include "kernels/preprocess/preprocess_impl.h"
#include "kernels/preprocess/preprocess_math.h"

namespace atrous::kernels::preprocess_impl::ATROUS_GPU {
namespace {

constexpr int threads = 128;

struct Batch {
  const uint8_t* images;
  const uint8_t* labels;  // or null
  Parameters parameters;
  uint8_t* out_labels;

  Batch(const Tensor& x, const Tensor& y, const Tensor& maps, const Tensor& colors, const Tensor& statistics,
        const Tensor& to)
      : images(x.device_data<uint8_t>()),
        labels(y.defined() ? y.device_data<uint8_t>() : nullptr),
        parameters{maps.device_data<double>(), colors.device_data<float>(), statistics.device_data<float>()},
        out_labels(to.defined() ? to.device_data<uint8_t>() : nullptr) {}
};

__device__ inline uint8_t label_at(const PreprocessProblem& p, const Batch& batch, int64_t image, Source at) {
  return at.inside ? batch.labels[image * p.in_h * p.in_w + nearest(p, at)] : p.ignore_label;
}

template <class T>
__global__ void __launch_bounds__(threads) naive_kernel(PreprocessProblem p, Batch batch, T* out) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  const Position to = position_of(pixel, p.out_h, p.out_w);
  if (to.image >= p.n) return;
  const Parameters& q = batch.parameters;
  const Source at = source_of(p, q.maps + to.image * 6, to.row, to.column);
  if (p.labels) batch.out_labels[pixel] = label_at(p, batch, to.image, at);
  const uint8_t* image = batch.images + to.image * p.in_h * p.in_w * p.channels;
  const float* color = q.colors + to.image * color_values;
  for (int64_t c = 0; c < p.channels; ++c) {
    out[pixel * p.channels + c] =
        static_cast<T>(at.inside ? channel_value<float>(p, image, color, q.statistics, taps_of(p, at), c)
                                 : border_value<float>(p, q.statistics, c));
  }
}

// Pixels of a thread, written in as many accesses as there are channels: 16 bytes each of f32, 8 of bf16. The
// taps of eight pixels do not fit into the registers.
constexpr int group = 4;

template <class T, int channels>
__global__ void __launch_bounds__(threads) vectorised_kernel(PreprocessProblem p, Batch batch, T* out) {
  const int64_t pixels = p.n * p.out_h * p.out_w;
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) * group;
  if (first >= pixels) return;
  const Parameters& q = batch.parameters;
  Position to = position_of(first, p.out_h, p.out_w);
  float values[group * channels];
  Vec<uint8_t, group> labels;
  ATROUS_UNROLL
  for (int i = 0; i < group; ++i) {
    float* v = &values[i * channels];
    ATROUS_UNROLL
    for (int c = 0; c < channels; ++c) v[c] = 0;
    labels[i] = 0;
    if (first + i >= pixels) continue;
    const Source at = source_of(p, q.maps + to.image * 6, to.row, to.column);
    if (p.labels) labels[i] = label_at(p, batch, to.image, at);
    if (at.inside) {
      pixel_values<channels>(p, batch.images + to.image * p.in_h * p.in_w * channels,
                             q.colors + to.image * color_values, q.statistics, taps_of(p, at), v);
    } else {
      ATROUS_UNROLL
      for (int c = 0; c < channels; ++c) v[c] = border_value<float>(p, q.statistics, c);
    }
    // The next pixel may lie in the next row, or image.
    if (++to.column == p.out_w) {
      to.column = 0;
      if (++to.row == p.out_h) {
        to.row = 0;
        ++to.image;
      }
    }
  }
  T* y = out + first * channels;
  if (first + group <= pixels) {
    ATROUS_UNROLL
    for (int k = 0; k < channels; ++k) {
      Vec<float, group> part;
      ATROUS_UNROLL
      for (int i = 0; i < group; ++i) part[i] = values[k * group + i];
      store_f32(y + k * group, part);
    }
    if (p.labels) store(batch.out_labels + first, labels);
    return;
  }
  ATROUS_UNROLL
  for (int i = 0; i < group; ++i) {
    if (first + i >= pixels) continue;
    ATROUS_UNROLL
    for (int c = 0; c < channels; ++c) y[i * channels + c] = static_cast<T>(values[i * channels + c]);
    if (p.labels) batch.out_labels[first + i] = labels[i];
  }
}

template <class T, int channels>
void launch_vectorised(const PreprocessProblem& p, const Batch& batch, T* out) {
  launch<vectorised_kernel<T, channels>>(
      {blocks_for(p.n * p.out_h * p.out_w, int64_t{threads} * group), threads}, p, batch, out);
}

}  // namespace

void forward_naive(const PreprocessProblem& p, const Tensor& images, const Tensor& labels, const Tensor& maps,
                   const Tensor& colors, const Tensor& statistics, const Tensor& out,
                   const Tensor& out_labels) {
  const Batch batch(images, labels, maps, colors, statistics, out_labels);
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<naive_kernel<T>>({blocks_for(p.n * p.out_h * p.out_w, threads), threads}, p, batch,
                            out.device_data<T>());
  });
}

void forward_vectorised(const PreprocessProblem& p, const Tensor& images, const Tensor& labels,
                        const Tensor& maps, const Tensor& colors, const Tensor& statistics, const Tensor& out,
                        const Tensor& out_labels) {
  const Batch batch(images, labels, maps, colors, statistics, out_labels);
  visit_activation(p.dtype, [&](auto tag) {
    auto* y = out.device_data<decltype(tag)>();
    if (p.channels == 1) return launch_vectorised<decltype(tag), 1>(p, batch, y);
    if (p.channels == 3) return launch_vectorised<decltype(tag), 3>(p, batch, y);
    ATROUS_ASSERT(p.channels == 4);
    launch_vectorised<decltype(tag), 4>(p, batch, y);
  });
}

}  // namespace atrous::kernels::preprocess_impl::ATROUS_GPU
