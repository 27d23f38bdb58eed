// Targa: palette, colour and grey, plain or in runs. It has no signature, so the header is checked in full.
#include <algorithm>
#include <array>
#include <limits>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

struct Header {
  bool has_palette = false, runs = false;
  int kind = 0;  // 1 palette, 2 colour, 3 grey
  int64_t palette_first = 0, palette_size = 0;
  int palette_bits = 0;
  int64_t width = 0, height = 0;
  int bits = 0;
  int alpha_bits = 0;
  bool right_to_left = false, top_down = false, interleaved = false;
  size_t palette_at = 0, pixels_at = 0;
};

Header parse(Bytes b) {
  Header h;
  h.has_palette = b[1] == 1;
  h.runs = b[2] >= 8;
  h.kind = b[2] & 7;
  h.palette_first = little_endian(b, 3, 2);
  h.palette_size = little_endian(b, 5, 2);
  h.palette_bits = b[7];
  h.width = little_endian(b, 12, 2);
  h.height = little_endian(b, 14, 2);
  h.bits = b[16];
  h.alpha_bits = b[17] & 15;
  h.right_to_left = b[17] & 16;
  h.top_down = b[17] & 32;
  h.interleaved = b[17] & 0xc0;
  h.palette_at = size_t{18} + b[0];
  h.pixels_at = h.palette_at;
  if (h.has_palette)
    h.pixels_at += static_cast<size_t>(h.palette_size) * static_cast<size_t>((h.palette_bits + 7) / 8);
  return h;
}

bool is_color_depth(int bits) {
  return bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

int64_t channels_of(const Header& h) {
  const int bits = h.kind == 1 ? h.palette_bits : h.bits;
  if (h.kind == 3) return bits == 16 ? 2 : 1;
  if (bits == 8) return 1;  // a palette of greys
  return bits == 32 ? 4 : 3;
}

// One pixel or palette entry in `bits`, blue first.
void put(const uint8_t* from, int bits, uint8_t* to) {
  if (bits == 8) {
    to[0] = from[0];
  } else if (bits <= 16) {
    const int value = from[0] | from[1] << 8;
    for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>((value >> (10 - 5 * c) & 31) * 255 / 31);
  } else {
    for (int c = 0; c < 3; ++c) to[c] = from[2 - c];
    if (bits == 32) to[3] = from[3];
  }
}

class Decoder {
 public:
  Decoder(Bytes bytes, const Header& h, const FileName& name, const std::string& format)
      : bytes_(bytes), h_(h), name_(name), format_(format), channels_(channels_of(h)) {}

  Tensor decode() {
    Tensor out = Tensor::empty({h_.height, h_.width, channels_}, DType::u8);
    const auto unit = static_cast<size_t>((h_.bits + 7) / 8);
    size_t at = h_.pixels_at;
    const int64_t count = h_.width * h_.height;
    for (int64_t p = 0; p < count;) {
      int64_t length = count;
      bool repeated = false;
      if (h_.runs) {
        need(at, 1);
        repeated = bytes_[at] & 128;
        length = (bytes_[at++] & 127) + 1;
        if (length > count - p) bad_image(name_, format_, "a run goes past the last pixel");
      }
      const size_t units = repeated ? 1 : static_cast<size_t>(length);
      need(at, units * unit);
      for (int64_t i = 0; i < length; ++i)
        pixel(bytes_.data() + at + (repeated ? 0 : static_cast<size_t>(i) * unit), place(out, p + i));
      at += units * unit;
      p += length;
    }
    return out;
  }

 private:
  void need(size_t at, size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) {
      check_bytes(
          name_, format_, static_cast<int64_t>(at + count - h_.pixels_at),
          std::max<int64_t>(static_cast<int64_t>(bytes_.size()) - static_cast<int64_t>(h_.pixels_at), 0));
    }
  }

  uint8_t* place(Tensor& out, int64_t p) const {
    const int64_t row = p / h_.width, column = p % h_.width;
    const int64_t y = h_.top_down ? row : h_.height - 1 - row;
    const int64_t x = h_.right_to_left ? h_.width - 1 - column : column;
    return out.data<uint8_t>() + (y * h_.width + x) * channels_;
  }

  void pixel(const uint8_t* from, uint8_t* to) const {
    if (h_.kind == 3) {
      std::copy_n(from, channels_, to);
      return;
    }
    if (h_.kind == 2) {
      put(from, h_.bits, to);
      return;
    }
    const int64_t index = (h_.bits == 16 ? from[0] | from[1] << 8 : from[0]) - h_.palette_first;
    if (index < 0 || index >= h_.palette_size) {
      bad_image(name_, format_,
                fmt::format("a pixel has index {}, but the palette has {} to {}", index + h_.palette_first,
                            h_.palette_first, h_.palette_first + h_.palette_size - 1));
    }
    const auto entry = static_cast<size_t>((h_.palette_bits + 7) / 8);
    put(bytes_.data() + h_.palette_at + static_cast<size_t>(index) * entry, h_.palette_bits, to);
  }

  Bytes bytes_;
  const Header& h_;
  const FileName& name_;
  const std::string& format_;
  int64_t channels_;
};

}  // namespace

bool may_be_tga(Bytes bytes) {
  if (bytes.size() < 18 || bytes[1] > 1) return false;
  const std::array<uint8_t, 6> types = {1, 2, 3, 9, 10, 11};
  if (std::find(types.begin(), types.end(), bytes[2]) == types.end()) return false;
  const Header h = parse(bytes);
  if (h.width < 1 || h.height < 1) return false;
  if (h.has_palette && h.palette_bits != 8 && !is_color_depth(h.palette_bits)) return false;
  if (h.kind == 1) return h.has_palette && h.palette_size > 0 && (h.bits == 8 || h.bits == 16);
  if (h.kind == 3) return h.bits == 8 || h.bits == 16;
  return is_color_depth(h.bits);
}

Decoded decode_tga(Bytes bytes, const FileName& name, const ImageLimits& limits) {
  const Header h = parse(bytes);
  Decoded out;
  out.format = fmt::format("TGA {}, {} bit", h.kind == 1 ? "palette" : h.kind == 2 ? "RGB" : "grey", h.bits);
  if (h.interleaved) bad_image(name, out.format, "interleaved rows are not read. Convert it to PNG");
  const auto available = static_cast<int64_t>(bytes.size()) - static_cast<int64_t>(h.pixels_at);
  const int64_t unit = (h.bits + 7) / 8, count = h.width * h.height;
  // A run of up to 128 pixels takes a byte and a pixel.
  check_size(name, out.format, h.width, h.height, limits, std::numeric_limits<int64_t>::max());
  check_bytes(name, out.format, h.runs ? (count + 127) / 128 * (1 + unit) : count * unit,
              std::max<int64_t>(available, 0));
  out.pixels = Decoder(bytes, h, name, out.format).decode();
  if (out.pixels.dim(2) == 4) out.pixels = without_void_alpha(out.pixels, h.alpha_bits > 0);
  return out;
}

}  // namespace atrous::data::codecs
