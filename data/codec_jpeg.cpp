// libjpeg-turbo through its TurboJPEG interface, and the one EXIF field that matters: the orientation.
#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

struct CloseHandle {
  void operator()(void* handle) const { tjDestroy(handle); }
};

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

int orientation_of_tiff(Bytes bytes) {
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
    if (tiff.get(entry, 2) != 0x0112) continue;  // Orientation: one SHORT
    if (tiff.get(entry + 2, 2) != 3 || tiff.get(entry + 4, 4) != 1) return 1;
    const uint32_t value = tiff.get(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

// Print colours as a screen shows them without a colour profile. Files hold 255 for no ink, as Adobe writes
// them; whoever else writes CMYK has followed.
Tensor rgb_of_cmyk(const Tensor& cmyk) {
  Tensor out = Tensor::empty(cmyk.shape().with(2, 3), DType::u8);
  const uint8_t* source = cmyk.data<uint8_t>();
  uint8_t* target = out.data<uint8_t>();
  for (int64_t p = 0; p < cmyk.pixels(); ++p, source += 4, target += 3) {
    for (int c = 0; c < 3; ++c) target[c] = static_cast<uint8_t>((source[c] * source[3] + 127) / 255);
  }
  return out;
}

}  // namespace

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
      return orientation_of_tiff(body.subspan(6));
    }
    at += 2 + length;
  }
  return 1;
}

Tensor apply_orientation(const Tensor& image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.dim(2);
  const bool transposed = orientation >= 5;
  // Where the upright pixel (x, y) lies in the file: columns or rows run backwards.
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Tensor out = Tensor::empty(transposed ? Shape{width, height, channels} : image.shape(), DType::u8);
  const uint8_t* source = image.data<uint8_t>();
  uint8_t* target = out.data<uint8_t>();
  for (int64_t y = 0; y < out.dim(0); ++y) {
    for (int64_t x = 0; x < out.dim(1); ++x, target += channels) {
      int64_t sx = transposed ? y : x;
      int64_t sy = transposed ? x : y;
      if (flip_x) sx = width - 1 - sx;
      if (flip_y) sy = height - 1 - sy;
      std::memcpy(target, source + (sy * width + sx) * channels, static_cast<size_t>(channels));
    }
  }
  return out;
}

Decoded decode_jpeg(Bytes bytes, const std::string& name, bool apply_exif, const ImageLimits& limits) {
  const std::unique_ptr<void, CloseHandle> handle(tjInitDecompress());
  ATROUS_CHECK(handle, ErrorKind::memory, "[image {}] libjpeg-turbo could not start: out of memory.", name);
  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0, height = 0, subsampling = 0, color_space = 0;
  if (tjDecompressHeader3(handle.get(), bytes.data(), size, &width, &height, &subsampling, &color_space) !=
      0) {
    bad_image(name, "JPEG", tjGetErrorStr2(handle.get()));
  }
  // A Huffman-coded block of 8x8 pixels takes at least one bit.
  check_size(name, "JPEG", width, height, limits, static_cast<int64_t>(bytes.size()) * 8 * 64);
  const bool is_cmyk = color_space == TJCS_CMYK || color_space == TJCS_YCCK;
  const int channels = color_space == TJCS_GRAY ? 1 : is_cmyk ? 4 : 3;
  const TJPF layout = channels == 1 ? TJPF_GRAY : is_cmyk ? TJPF_CMYK : TJPF_RGB;
  Decoded out;
  out.format = channels == 1 ? "JPEG grey" : is_cmyk ? "JPEG CMYK" : "JPEG RGB";
  out.pixels = Tensor::empty({height, width, channels}, DType::u8);
  // A progressive file may hold thousands of scans over the whole image: limited. A warning means damaged
  // data: an error.
  const int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;
  if (tjDecompress2(handle.get(), bytes.data(), size, out.pixels.data<uint8_t>(), width, 0, height, layout,
                    flags) != 0) {
    bad_image(name, "JPEG", tjGetErrorStr2(handle.get()));
  }
  if (is_cmyk) out.pixels = rgb_of_cmyk(out.pixels);
  if (apply_exif) out.pixels = apply_orientation(out.pixels, exif_orientation(bytes));
  return out;
}

}  // namespace atrous::data::codecs
