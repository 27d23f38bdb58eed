// The decoders behind image_io.h, one file per library. Internal to data/.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_io.h"

namespace atrous::data::codecs {

using Bytes = std::span<const uint8_t>;

struct Decoded {
  Tensor pixels;         // u8 [H, W, C], or i32 [H, W, C] holding 16-bit samples
  std::string format;    // for messages
  int bit_depth = 8;     // of a sample in the file
  bool indexed = false;  // pixels are palette indices
  std::vector<Color> palette;
};

// image: palette and tRNS expanded, grey scaled to 8 bits. label: indices and grey values exactly as stored.
enum class PngMode { image, label };

Decoded decode_png(Bytes bytes, const std::string& name, PngMode mode, const ImageLimits& limits);
Decoded decode_jpeg(Bytes bytes, const std::string& name, bool apply_exif, const ImageLimits& limits);
// BMP, PGM/PPM, TGA.
Decoded decode_stb(Bytes bytes, const std::string& name, bool keep_16_bit, const ImageLimits& limits);

// The label map of a MATLAB version 5 file: u8 or, for values above 255, i32 [H, W, 1].
Decoded decode_mat(Bytes bytes, const std::string& name, const ImageLimits& limits);

// Orientation 1..8 of the EXIF block of a JPEG file; 1 if there is none or it is malformed.
int exif_orientation(Bytes jpeg);
// Turns or mirrors [H, W, C] u8 so that an image of this orientation stands upright.
Tensor apply_orientation(const Tensor& image, int orientation);

[[noreturn]] void bad_image(const std::string& name, std::string_view format, std::string_view reason);
// Checks the size that a header claims, before anything of that size is allocated. `max_pixels_in_file`
// bounds what the compressed bytes can hold at all.
void check_size(const std::string& name, std::string_view format, int64_t width, int64_t height,
                const ImageLimits& limits, int64_t max_pixels_in_file);

}  // namespace atrous::data::codecs
