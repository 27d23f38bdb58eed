// The decoders behind image_io.h, one file per format. Internal to data/.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_io.h"

namespace atrous::data::codecs {

using Bytes = std::span<const uint8_t>;

struct Decoded {
  Tensor pixels;        // u8 [H, W, C], or i32 [H, W, C] holding 16-bit samples
  std::string format;   // for messages
  int bit_depth = 8;    // of a sample in the file
  int orientation = 1;  // EXIF: 1..8; the pixels are as stored
  std::vector<Color> palette = {};
};

// A file as named in messages: "image a.png".
struct FileName {
  const char* what = "image";  // or "label"
  std::string path;
};

// image: palettes expanded, samples scaled to 0..255 (or 0..65535). label: indices and values exactly as
// stored.
enum class Use { image, label };

Decoded decode_png(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits);
Decoded decode_jpeg(Bytes bytes, const FileName& name, const ImageLimits& limits);
Decoded decode_bmp(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits);
// PGM and PPM (P5, P6).
Decoded decode_pnm(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits);
Decoded decode_tga(Bytes bytes, const FileName& name, const ImageLimits& limits);
// TGA has no signature: whether these bytes can be its header.
bool may_be_tga(Bytes bytes);

// The label map of a MATLAB version 5 file: u8 or, for values above 255, i32 [H, W, 1].
Decoded decode_mat(Bytes bytes, const FileName& name, const ImageLimits& limits);

// Orientation 1..8 of a TIFF block, as EXIF stores it; 1 if there is none or it is malformed.
int tiff_orientation(Bytes tiff);
// The same of the EXIF block of a JPEG file.
int exif_orientation(Bytes jpeg);
// Turns or mirrors [H, W, C] so that an image of this orientation stands upright.
Tensor apply_orientation(const Tensor& image, int orientation);

[[noreturn]] void bad_image(const FileName& name, std::string_view format, std::string_view reason);
// Checks the size that a header claims, before anything of that size is allocated. `max_pixels_in_file`
// bounds the pixels that the compressed bytes can hold at all.
void check_size(const FileName& name, std::string_view format, int64_t width, int64_t height,
                const ImageLimits& limits, int64_t max_pixels_in_file);
// Formats without compression: all bytes of the pixels must be present.
void check_bytes(const FileName& name, std::string_view format, int64_t needed, int64_t available);

// Unsigned integer of 1 to 4 bytes, lowest byte first. The caller has checked that they are there.
inline uint32_t little_endian(Bytes bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint32_t{bytes[at + i]} << (8 * i);
  return value;
}

// The colours of indices u8 [H, W, 1]: RGB, or RGBA where `alpha` holds the transparency of the first colours
// (the others are opaque). Error(data) for an index without a colour.
Tensor expand_palette(const Tensor& indices, const std::vector<Color>& palette, Bytes alpha,
                      const FileName& name, const std::string& format);

// u8 [H, W, 4] whose fourth byte need not be transparency. Where the file does not say that it is, it is not
// if all pixels hold 0 or all 255; where it does, all 0 (an invisible image) means that the writer left
// it out. Then the result has 3 channels.
Tensor without_void_alpha(const Tensor& rgba, bool declared);

}  // namespace atrous::data::codecs
