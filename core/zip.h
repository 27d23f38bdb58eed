// The directory of a zip archive, as torch.save writes them: entries that are stored, not compressed.
//
// Untrusted input, so every rule is enforced: the end record ends the file and the directory ends where it
// begins; offsets and sizes of 32 and 64 bits (zip64) agree and lie in the file; local headers have the name
// and method of the directory; entries do not overlap; names are unique; nothing is encrypted or compressed.
// Names are only compared: nothing is extracted, so ".." in one means nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace atrous {

class ByteSource;

struct ZipEntry {
  std::string name;
  uint64_t offset = 0;  // of its data
  uint64_t size = 0;
  uint32_t crc = 0;  // 0: none was computed (torch.serialization.set_crc32_options(False))
};

// In the order of their data. Error(checkpoint) if the file breaks a rule.
std::vector<ZipEntry> read_zip_directory(const ByteSource& file);

// CRC-32 as zip and zlib have it; `crc` continues one.
uint32_t zip_crc(const void* data, size_t bytes, uint32_t crc = 0);

}  // namespace atrous
