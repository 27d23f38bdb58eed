// stb_image for the simple formats. PNG and JPEG are compiled out: other libraries read those more strictly.
#include <algorithm>
#include <climits>
#include <memory>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_ONLY_TGA
#define STBI_MAX_DIMENSIONS (1 << 20)
#include <stb/stb_image.h>

#include "data/codecs.h"

namespace atrous::data::codecs {

Decoded decode_stb(Bytes bytes, const std::string& name, bool keep_16_bit, const ImageLimits& limits) {
  Decoded out;
  out.format = bytes.size() > 1 && bytes[0] == 'B' && bytes[1] == 'M' ? "BMP"
               : bytes.size() > 1 && bytes[0] == 'P'                  ? "PNM"
                                                                      : "TGA";
  ATROUS_CHECK(bytes.size() <= INT_MAX, ErrorKind::data,
               "[image {}] {} files are read up to 2 GiB. Convert it to PNG.", name, out.format);
  const auto size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height, &channels)) {
    // TGA has no signature: what is no TGA either is simply unknown.
    bad_image(name, out.format == "TGA" ? "unknown format" : out.format,
              out.format == "TGA" ? "neither PNG, JPEG, BMP, PGM/PPM nor TGA" : stbi_failure_reason());
  }
  // Only TGA can be compressed: runs of up to 128 pixels.
  check_size(name, out.format, width, height, limits,
             static_cast<int64_t>(size) * (out.format == "TGA" ? 128 : 8));
  out.bit_depth = stbi_is_16_bit_from_memory(bytes.data(), size) ? 16 : 8;
  const Shape shape{height, width, channels};
  const auto take = [&](auto* raw, auto zero) {
    const std::unique_ptr<std::remove_pointer_t<decltype(raw)>, void (*)(void*)> pixels(raw, stbi_image_free);
    if (!pixels) bad_image(name, out.format, stbi_failure_reason());
    // The two calls of stb parse the header separately; nothing here relies on their agreement.
    if (Shape{height, width, channels} != shape)
      bad_image(name, out.format, "its header and its pixels disagree about the size");
    out.pixels = Tensor::empty(shape, dtype_of<decltype(zero)>);
    std::copy_n(raw, shape.numel(), out.pixels.data<decltype(zero)>());
  };
  if (out.bit_depth == 16 && keep_16_bit) {
    take(stbi_load_16_from_memory(bytes.data(), size, &width, &height, &channels, 0), int32_t{});
  } else {
    take(stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 0), uint8_t{});
  }
  return out;
}

}  // namespace atrous::data::codecs
