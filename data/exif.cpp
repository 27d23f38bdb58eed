// The only EXIF field that is used: the orientation.
#include <cstring>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

// Bounds-checked integers of a TIFF block, in its own byte order.
struct Tiff {
  Bytes bytes;
  bool big_endian = false;

  bool has(size_t at, size_t count) const { return at <= bytes.size() && count <= bytes.size() - at; }
  uint32_t get(size_t at, size_t count) const {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value |= uint32_t{bytes[at + i]} << (8 * (big_endian ? count - 1 - i : i));
    }
    return value;
  }
};

// Bytes of a field's unsigned integer types; 0 for all others. The standard prescribes SHORT; writers use the
// others too.
size_t integer_size(uint32_t type) {
  return type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;  // BYTE, SHORT, LONG
}

}  // namespace

int tiff_orientation(Bytes bytes) {
  Tiff tiff{bytes};
  if (!tiff.has(0, 8)) return 1;
  if (bytes[0] == 'M' && bytes[1] == 'M') {
    tiff.big_endian = true;
  } else if (bytes[0] != 'I' || bytes[1] != 'I') {
    return 1;
  }
  if (tiff.get(2, 2) != 42) return 1;
  const size_t directory = tiff.get(4, 4);
  if (!tiff.has(directory, 2)) return 1;
  const size_t entries = tiff.get(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (!tiff.has(entry, 12)) return 1;
    if (tiff.get(entry, 2) != 0x0112) continue;
    const size_t size = integer_size(tiff.get(entry + 2, 2));
    if (size == 0 || tiff.get(entry + 4, 4) != 1) return 1;
    const uint32_t value =
        tiff.get(entry + 8, size);  // left-justified in its four bytes, in either byte order
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int exif_orientation(Bytes jpeg) {
  size_t at = 2;  // after SOI
  while (at + 4 <= jpeg.size() && jpeg[at] == 0xff) {
    const uint8_t marker = jpeg[at + 1];
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // pixels begin: no header fields behind
    const size_t length = size_t{jpeg[at + 2]} << 8 | jpeg[at + 3];
    if (length < 2 || length > jpeg.size() - at - 2) break;
    const Bytes body = jpeg.subspan(at + 4, length - 2);
    if (marker == 0xe1 && body.size() >= 6 && std::memcmp(body.data(), "Exif\0\0", 6) == 0) {
      return tiff_orientation(body.subspan(6));
    }
    at += 2 + length;
  }
  return 1;
}

Tensor apply_orientation(const Tensor& image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.dim(2);
  const bool transposed = orientation >= 5;
  // Where the upright pixel (x, y) lies in the file: columns or rows may be in reverse order.
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Tensor out = Tensor::empty(transposed ? Shape{width, height, channels} : image.shape(), image.dtype());
  const size_t pixel = static_cast<size_t>(image.bytes() / image.pixels());
  const auto* source = image.raw();
  auto* target = out.raw();
  for (int64_t y = 0; y < out.dim(0); ++y) {
    for (int64_t x = 0; x < out.dim(1); ++x, target += pixel) {
      int64_t sx = transposed ? y : x;
      int64_t sy = transposed ? x : y;
      if (flip_x) sx = width - 1 - sx;
      if (flip_y) sy = height - 1 - sy;
      std::memcpy(target, source + static_cast<size_t>(sy * width + sx) * pixel, pixel);
    }
  }
  return out;
}

}  // namespace atrous::data::codecs
