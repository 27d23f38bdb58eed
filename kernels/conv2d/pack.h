// Filters in the order in which tiles read them: [panel][tap][c][lanes of the panel], zero where a panel is
// not full.
#pragma once

#include "kernels/conv2d/correlation.h"

namespace atrous::kernels {

FloatBuffer pack_filter(const FilterView& filter, const std::vector<Tap>& taps, int64_t c,
                        const std::vector<Panel>& panels, int64_t lanes);

}  // namespace atrous::kernels
