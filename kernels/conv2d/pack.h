// Filters in the order in which tiles read them: [panel][step][lanes of the panel], zero where a panel is not
// full. A step is one (tap, input channel) of the reduction, step = index of the tap in `taps` * c + channel.
#pragma once

#include <vector>

#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/taps.h"

namespace atrous::kernels {

// Output channels [first, first + channels), computed `vectors` vectors at a time.
struct Panel {
  int64_t first, channels, vectors;
  int64_t start, width;  // first lane, counted over all panels, and lanes
};
std::vector<Panel> split_into_panels(int64_t channels, int64_t lanes);

// Element (tap, c, k) of a filter lies at data[tap.index*tap_stride + c*c_stride + k*k_stride]; one of the
// channel strides is 1.
struct FilterView {
  const float* data;
  int64_t tap_stride, c_stride, k_stride;
};

// Steps [first_step, first_step + steps) of the panels from lane first_lane on. It does not own the memory.
struct PackedFilter {
  float* data = nullptr;
  int64_t first_lane = 0, first_step = 0, steps = 0;

  float* at(const Panel& panel, int64_t step) const {
    return data + (panel.start - first_lane) * steps + (step - first_step) * panel.width;
  }
};

// Writes steps [begin, end) of the panels [first, last) into `packed`.
void pack_steps(const FilterView& filter, const std::vector<Tap>& taps, int64_t c, const Panel* first,
                const Panel* last, int64_t begin, int64_t end, const PackedFilter& packed);

// All of it, on all threads. It depends on the filter alone, not on the images.
FloatBuffer pack_filter(const FilterView& filter, const std::vector<Tap>& taps, int64_t c,
                        const std::vector<Panel>& panels);

}  // namespace atrous::kernels
