// Counters for last_block_to_arrive (block.h), kept between launches so that a reduction needs no pass that
// clears them.
#pragma once

#include <cstdint>

#include "core/device.h"

namespace atrous::kernels {

inline constexpr int64_t max_tickets = 4096;

// `count` counters at 0, of the current stream. Kernels of one stream run one after another, and each leaves
// its counters at 0 for the next, as last_block_to_arrive does.
unsigned* tickets(Device device, int64_t count);

}  // namespace atrous::kernels
