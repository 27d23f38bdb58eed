// CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of checkpoints and of TensorBoard records.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atrous::train {

// Continues from `crc` (0 at the start), so that crc32c(b, crc32c(a)) is the checksum of a followed by b.
uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0);

}  // namespace atrous::train
