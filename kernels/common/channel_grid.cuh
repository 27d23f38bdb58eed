// How the threads of a grid share a tensor whose parameters or results are per channel.
//
// A tensor is [images, pixels, channels]. A thread owns Width neighbouring channels, one 16-byte access, and
// walks over pixels; so parameters and sums of its channels stay in registers. A block is `lanes` such
// vectors side by side times `rows` pixels: neighbouring threads touch neighbouring memory, for 8 channels as
// for 2048. `columns` blocks lie side by side to cover all channels, `strips` blocks share the pixels.
//
//            lane 0   lane 1   lane 2 | lane 0 ...            one column: lanes * Width channels
//   row 0    CCCC     CCCC     CCCC   | CCCC
//   row 1    CCCC     CCCC     CCCC   | CCCC                  strip 0
//   row 0    CCCC     CCCC     CCCC   | CCCC                  strip 1, then strip 0 again, ...
//
// The strips sweep the tensor together from start to end: at the end of a pass its last part is what the L2
// cache holds. A pass that follows walks `backward` and finds it there.
#pragma once

#include <algorithm>

#include "kernels/common/channel_groups.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

inline constexpr int channel_threads = 256;
// Independent loads per thread, so that memory is busy while a thread waits.
inline constexpr int pixels_in_flight = 4;

// The work of one thread.
struct ChannelPlace {
  int64_t image;
  int64_t strip;
  int column;
  int channel;  // first of its Width
  int row;
  int64_t pixel;  // first of the tensor, ...
  int64_t step;   // ... distance to the next, ...
  int64_t count;  // ... how many; 0 if the thread has no channel
};

struct ChannelGrid {
  int64_t images = 0, pixels = 0;  // per image
  int channels = 0, width = 1;
  int lanes = 1, rows = 1, columns = 1;
  int64_t strips = 1;

  // At most about max_blocks blocks, each thread with at least min_pixels pixels if there are as many. The
  // shape alone decides, so that sums are formed in the same order on every GPU.
  ChannelGrid(const Tensor& x, int64_t images_, int width_, int64_t max_blocks, int64_t min_pixels)
      : images(images_),
        pixels(images_ ? x.pixels() / images_ : 0),
        channels(static_cast<int>(x.channels())),
        width(width_) {
    if (channels == 0) images = 0;
    const int vectors = static_cast<int>(blocks_for(std::max(channels, 1), width));
    columns = static_cast<int>(blocks_for(vectors, 32));
    lanes = static_cast<int>(blocks_for(vectors, columns));
    rows = channel_threads / lanes;
    const int64_t most = std::max<int64_t>(1, max_blocks / (columns * std::max<int64_t>(1, images)));
    strips = std::clamp<int64_t>(blocks_for(pixels, rows * min_pixels), 1, most);
  }

  LaunchShape shape() const { return {images * strips * columns, channel_threads}; }

  template <bool Backward>
  __device__ ChannelPlace place() const {
    const Division block = divide(blockIdx.x, columns), part = divide(block.quotient, strips);
    const int64_t strip = part.remainder, image = Backward ? images - 1 - part.quotient : part.quotient;
    const int64_t step = strips * rows;
    const int thread = static_cast<int>(threadIdx.x), column = static_cast<int>(block.remainder);
    const int row = thread / lanes, channel = (column * lanes + thread % lanes) * width;
    const int64_t offset = strip * rows + row;
    const bool active = row < rows && channel < channels && offset < pixels;
    return {.image = image,
            .strip = strip,
            .column = column,
            .channel = channel,
            .row = row,
            .pixel = image * pixels + (Backward ? pixels - 1 - offset : offset),
            .step = Backward ? -step : step,
            .count = active ? divide(pixels - offset + step - 1, step).quotient : 0};
  }
};

// f.template run<K>(pixel, step) for all pixels of the thread: K of them, `step` apart, at a time.
template <class F>
__device__ inline void walk(const ChannelPlace& at, F& f) {
  int64_t pixel = at.pixel, left = at.count;
  for (; left >= pixels_in_flight; left -= pixels_in_flight, pixel += pixels_in_flight * at.step)
    f.template run<pixels_in_flight>(pixel, at.step);
  for (; left > 0; --left, pixel += at.step) f.template run<1>(pixel, at.step);
}

}  // namespace atrous::kernels::ATROUS_GPU
