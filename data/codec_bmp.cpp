// Windows bitmaps without compression: 1 to 8 bits with a palette, 16, 24 and 32 bits of colour, rows from
// the bottom up or from the top down.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <limits>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

constexpr uint32_t uncompressed = 0, bit_masks = 3, bit_masks_with_alpha = 6;

struct Header {
  int64_t width = 0, height = 0;
  bool top_down = false;
  int bits = 0;  // of a pixel
  size_t pixels_at = 0;
  size_t palette_at = 0, palette_entry = 4, palette_size = 0;
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha
  bool declares_alpha = false;

  int64_t stride() const { return (width * bits + 31) / 32 * 4; }
};

[[noreturn]] void bad(const FileName& name, std::string_view reason) {
  bad_image(name, "BMP", reason);
}

void read_masks(Bytes bytes, const FileName& name, size_t info_size, uint32_t compression, Header& h) {
  h.palette_at = 14 + info_size;
  if (h.bits <= 8) return;
  if (compression == uncompressed) {
    h.masks = h.bits == 16 ? std::array<uint32_t, 4>{0x7c00, 0x3e0, 0x1f, 0}
                           : std::array<uint32_t, 4>{0xff0000, 0xff00, 0xff, h.bits == 32 ? 0xff000000u : 0u};
    return;
  }
  // Behind the 40 bytes of the first header, whether a longer one counts them in or not.
  const bool with_alpha = compression == bit_masks_with_alpha || info_size >= 56;
  const size_t count = with_alpha ? 4 : 3;
  if (bytes.size() < 54 + 4 * count) bad(name, "the file ends in its header");
  for (size_t k = 0; k < count; ++k) h.masks[k] = little_endian(bytes, 54 + 4 * k, 4);
  h.declares_alpha = h.masks[3] != 0;
  for (size_t k = 0; k < 4; ++k) {
    const uint32_t mask = h.masks[k];
    if (mask == 0 && k == 3) continue;
    const int bits = std::popcount(mask);
    const uint32_t run = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if (bits < 1 || bits > 8 || run != (1u << bits) - 1)
      bad(name, "its colour masks are not runs of 1 to 8 bits. Convert it to PNG");
  }
}

Header read_header(Bytes bytes, const FileName& name) {
  if (bytes.size() < 18) bad(name, "the file ends in its header");
  Header h;
  h.pixels_at = little_endian(bytes, 10, 4);
  const size_t info_size = little_endian(bytes, 14, 4);
  const bool old = info_size == 12;  // OS/2 1.x: 16-bit sizes, palette of three bytes
  if (!old && (info_size < 40 || info_size > 1024))
    bad(name, fmt::format("its header has an unknown size of {} bytes", info_size));
  if (bytes.size() < 14 + info_size) bad(name, "the file ends in its header");
  const auto number = [&](size_t at, size_t count) { return int64_t{little_endian(bytes, 14 + at, count)}; };
  uint32_t compression = uncompressed;
  if (old) {
    h.width = number(4, 2);
    h.height = number(6, 2);
    h.bits = static_cast<int>(number(10, 2));
    h.palette_entry = 3;
  } else {
    h.width = static_cast<int32_t>(number(4, 4));
    h.height = static_cast<int32_t>(number(8, 4));
    h.top_down = h.height < 0;
    h.height = std::abs(h.height);
    h.bits = static_cast<int>(number(14, 2));
    compression = static_cast<uint32_t>(number(16, 4));
  }
  const std::array<int, 7> depths = {1, 2, 4, 8, 16, 24, 32};
  if (std::find(depths.begin(), depths.end(), h.bits) == depths.end())
    bad(name, fmt::format("pixels of {} bits are none of the known ones (1, 2, 4, 8, 16, 24, 32)", h.bits));
  const bool masked = compression == bit_masks || compression == bit_masks_with_alpha;
  if (compression != uncompressed && !(masked && (h.bits == 16 || h.bits == 32)))
    bad(name, "compressed BMP files are not read. Convert it to PNG");
  read_masks(bytes, name, info_size, compression, h);
  if (h.pixels_at < 14 + info_size) bad(name, "its header says that the pixels begin within the header");
  if (h.bits <= 8) {
    const size_t all = size_t{1} << h.bits, used = old ? 0 : static_cast<size_t>(number(32, 4));
    const size_t room = (h.pixels_at - h.palette_at) / h.palette_entry;
    h.palette_size = std::min({used == 0 ? all : used, all, room});
    if (bytes.size() < h.palette_at + h.palette_size * h.palette_entry)
      bad(name, "the file ends in its palette");
  }
  return h;
}

Tensor read_indices(const Header& h, const uint8_t* rows) {
  Tensor out = Tensor::empty({h.height, h.width, 1}, DType::u8);
  uint8_t* target = out.data<uint8_t>();
  const int per_byte = 8 / h.bits, mask = (1 << h.bits) - 1;
  for (int64_t y = 0; y < h.height; ++y) {
    const uint8_t* row = rows + (h.top_down ? y : h.height - 1 - y) * h.stride();
    for (int64_t x = 0; x < h.width; ++x) {
      const int shift =
          h.bits * (per_byte - 1 - static_cast<int>(x % per_byte));  // the first pixel is the highest
      *target++ = static_cast<uint8_t>(row[x / per_byte] >> shift & mask);
    }
  }
  return out;
}

// n bits as 8: repeated from the top, so that all ones are 255.
uint8_t widen(uint32_t value, int bits) {
  uint32_t wide = value << (8 - bits);
  for (int have = bits; have < 8; have *= 2) wide |= wide >> have;
  return static_cast<uint8_t>(wide);
}

Tensor read_colors(const Header& h, const uint8_t* rows) {
  const int64_t channels = h.masks[3] ? 4 : 3;
  const auto bytes = static_cast<size_t>(h.bits / 8);
  Tensor out = Tensor::empty({h.height, h.width, channels}, DType::u8);
  uint8_t* target = out.data<uint8_t>();
  std::array<int, 4> shifts{}, widths{};
  for (size_t k = 0; k < static_cast<size_t>(channels); ++k) {
    shifts[k] = std::countr_zero(h.masks[k]);
    widths[k] = std::popcount(h.masks[k]);
  }
  for (int64_t y = 0; y < h.height; ++y) {
    const uint8_t* pixel = rows + (h.top_down ? y : h.height - 1 - y) * h.stride();
    for (int64_t x = 0; x < h.width; ++x, pixel += bytes) {
      const uint32_t value = little_endian({pixel, bytes}, 0, bytes);
      for (size_t k = 0; k < static_cast<size_t>(channels); ++k)
        *target++ = widen((value & h.masks[k]) >> shifts[k], widths[k]);
    }
  }
  return channels == 4 ? without_void_alpha(out, h.declares_alpha) : out;
}

}  // namespace

Decoded decode_bmp(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits) {
  const Header h = read_header(bytes, name);
  Decoded out;
  out.format = fmt::format("BMP {}, {} bit", h.bits <= 8 ? "palette" : "RGB", h.bits);
  check_size(name, out.format, h.width, h.height, limits, std::numeric_limits<int64_t>::max());
  const auto size = static_cast<int64_t>(bytes.size()), begin = static_cast<int64_t>(h.pixels_at);
  check_bytes(name, out.format, h.stride() * h.height, std::max<int64_t>(size - begin, 0));
  for (size_t i = 0; i < h.palette_size; ++i) {
    const uint8_t* entry = bytes.data() + h.palette_at + i * h.palette_entry;  // blue first
    out.palette.push_back({entry[2], entry[1], entry[0]});
  }
  const uint8_t* rows = bytes.data() + h.pixels_at;
  if (h.bits > 8) {
    out.pixels = read_colors(h, rows);
  } else {
    const Tensor indices = read_indices(h, rows);
    out.pixels = use == Use::label ? indices : expand_palette(indices, out.palette, {}, name, out.format);
  }
  return out;
}

}  // namespace atrous::data::codecs
