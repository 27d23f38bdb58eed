#include "data/image_io.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "data/codecs.h"

namespace atrous::data {
namespace codecs {

void bad_image(const std::string& name, std::string_view format, std::string_view reason) {
  fail(ErrorKind::data, "[image {}] {} could not be read: {}. Replace the file or take it out of the list.",
       name, format, reason);
}

void check_size(const std::string& name, std::string_view format, int64_t width, int64_t height,
                const ImageLimits& limits, int64_t max_pixels_in_file) {
  if (width < 1 || height < 1) bad_image(name, format, "the header says it has no pixels");
  ATROUS_CHECK(
      height <= limits.max_pixels / width, ErrorKind::data,
      "[image {}] {} images may have at most {} pixels. Got {} x {} in the header. Cut it into tiles.", name,
      format, limits.max_pixels, width, height);
  if (width * height > max_pixels_in_file) {
    bad_image(name, format,
              fmt::format("the header says {} x {}, more than a file of this size can hold", width, height));
  }
}

}  // namespace codecs

namespace {

using codecs::Bytes;
using codecs::Decoded;

enum class Format { png, jpeg, bmp, pnm, matlab, other };

bool starts_with(Bytes bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

Format recognise(Bytes bytes, const std::string& name) {
  if (bytes.empty()) codecs::bad_image(name, "image", "the file is empty");
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return Format::png;
  if (starts_with(bytes, "\xff\xd8\xff")) return Format::jpeg;
  if (starts_with(bytes, "BM")) return Format::bmp;
  if (starts_with(bytes, "P5") || starts_with(bytes, "P6")) return Format::pnm;
  if (starts_with(bytes, "MATLAB 5.0 MAT-file")) return Format::matlab;
  if (starts_with(bytes, "MATLAB 7.3 MAT-file")) {
    codecs::bad_image(name, "MATLAB 7.3 file", "atrous reads version 5. Save it with `-v7`");
  }
  constexpr std::string_view tiff_le{"II*\0", 4}, tiff_be{"MM\0*", 4};
  const char* unsupported = starts_with(bytes, "GIF8")                                   ? "GIF"
                            : starts_with(bytes, tiff_le) || starts_with(bytes, tiff_be) ? "TIFF"
                            : starts_with(bytes, "WEBP", 8)                              ? "WebP"
                            : starts_with(bytes, "ftyp", 4)                              ? "HEIF/AVIF"
                                                                                         : nullptr;
  if (unsupported)
    codecs::bad_image(name, unsupported, "atrous does not read this format. Convert it to PNG");
  return Format::other;
}

// The first `keep` channels as bytes; 16-bit samples are cut to their upper byte.
Tensor to_bytes(const Tensor& pixels, int64_t keep) {
  Tensor out = Tensor::empty(pixels.shape().with(2, keep), DType::u8);
  const int64_t channels = pixels.dim(2);
  for (int64_t p = 0; p < pixels.pixels(); ++p) {
    for (int64_t c = 0; c < keep; ++c) {
      const int64_t at = p * channels + c;
      out.data<uint8_t>()[p * keep + c] = pixels.dtype() == DType::u8
                                              ? pixels.data<uint8_t>()[at]
                                              : static_cast<uint8_t>(pixels.data<int32_t>()[at] >> 8);
    }
  }
  return out;
}

}  // namespace

std::vector<uint8_t> read_file(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  ATROUS_CHECK(std::filesystem::exists(status), ErrorKind::data, "[data] {} does not exist. Check the path.",
               path);
  ATROUS_CHECK(std::filesystem::is_regular_file(status), ErrorKind::data, "[data] {} is not a file.", path);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  ATROUS_CHECK(!error, ErrorKind::data, "[data] {} cannot be read: {}.", path, error.message());
  ATROUS_CHECK(size <= max_bytes, ErrorKind::data, "[data] {} has {} bytes, more than the limit of {}.", path,
               size, max_bytes);
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  ATROUS_CHECK(in && in.gcount() == size, ErrorKind::data, "[data] {} cannot be read: {}.", path,
               std::strerror(errno));
  return bytes;
}

Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name,
                    const ImageReadOptions& options) {
  const Format format = recognise(bytes, name);
  Decoded image;
  if (format == Format::png) {
    image = codecs::decode_png(bytes, name, codecs::PngMode::image, options.limits);
  } else if (format == Format::jpeg) {
    image = codecs::decode_jpeg(bytes, name, options.apply_exif, options.limits);
  } else if (format == Format::matlab) {
    codecs::bad_image(name, "MATLAB file", "its matrices serve as labels, not as images");
  } else {
    image = codecs::decode_stb(bytes, name, options.sixteen_bit == DepthPolicy::keep, options.limits);
  }
  ATROUS_CHECK(image.bit_depth <= 8 || options.sixteen_bit != DepthPolicy::reject, ErrorKind::data,
               "[image {}] images must have 8 bits per sample. Got {}. Convert it; where a config "
               "says how images are read, data.sixteen_bit=reduce uses the upper byte.",
               name, image.format);
  const int64_t channels = image.pixels.dim(2);
  const bool has_alpha = channels == 2 || channels == 4;
  ATROUS_CHECK(!has_alpha || options.alpha != AlphaPolicy::reject, ErrorKind::data,
               "[image {}] images must have no alpha channel. Got {} channels ({}). Save it without "
               "transparency; where a config says how images are read, data.alpha=drop ignores it.",
               name, channels, image.format);
  const int64_t keep = has_alpha && options.alpha == AlphaPolicy::drop ? channels - 1 : channels;
  const bool reduce = image.pixels.dtype() != DType::u8 && options.sixteen_bit != DepthPolicy::keep;
  if (keep == channels && !reduce) return image.pixels;
  if (image.pixels.dtype() == DType::u8 || reduce) return to_bytes(image.pixels, keep);
  return image.pixels.narrow_channels(0, keep).clone();
}

Tensor read_image(const std::string& path, const ImageReadOptions& options) {
  return decode_image(read_file(path, options.limits.max_file_bytes), path, options);
}

LabelFile read_label_file(const std::string& path, const ImageLimits& limits) {
  const std::vector<uint8_t> bytes = read_file(path, limits.max_file_bytes);
  const Format format = recognise(bytes, path);
  ATROUS_CHECK(format != Format::jpeg, ErrorKind::data,
               "[label {}] labels must be stored without loss. Got a JPEG, whose values are only "
               "approximate. Write labels as "
               "PNG.",
               path);
  Decoded decoded;
  if (format == Format::png) {
    decoded = codecs::decode_png(bytes, path, codecs::PngMode::label, limits);
  } else if (format == Format::pnm) {
    decoded = codecs::decode_stb(bytes, path, true, limits);
  } else if (format == Format::matlab) {
    decoded = codecs::decode_mat(bytes, path, limits);
  } else {
    fail(ErrorKind::data,
         "[label {}] labels must be PNG, PGM or PPM, or a known set's MATLAB files: other formats lose "
         "palette "
         "indices. Write labels as PNG.",
         path);
  }
  const int64_t channels = decoded.pixels.dim(2);
  ATROUS_CHECK(channels == 1 || channels == 3, ErrorKind::data,
               "[label {}] labels must have no alpha channel. Got {} channels ({}). Save indices as a grey "
               "or palette PNG.",
               path, channels, decoded.format);
  ATROUS_CHECK(channels == 1 || decoded.bit_depth == 8, ErrorKind::data,
               "[label {}] colour labels must have 8 bits per channel. Got {}.", path, decoded.format);
  LabelFile out;
  out.format = decoded.format;
  out.is_rgb = channels == 3;
  out.bit_depth = decoded.bit_depth;
  out.palette = std::move(decoded.palette);
  out.values =
      out.is_rgb ? decoded.pixels : decoded.pixels.reshape({decoded.pixels.dim(0), decoded.pixels.dim(1)});
  return out;
}

Tensor with_channels(const Tensor& image, int64_t channels, const std::string& path) {
  const int64_t have = image.dim(2);
  if (have == channels) return image;
  Tensor out = Tensor::empty(image.shape().with(2, channels), DType::u8);
  const uint8_t* source = image.data<uint8_t>();
  uint8_t* target = out.data<uint8_t>();
  bool possible = (have == 1 && channels == 3) || (have == 3 && channels == 1);
  for (int64_t p = 0; possible && p < image.pixels(); ++p, source += have, target += channels) {
    if (have == 1) {
      target[0] = target[1] = target[2] = source[0];
    } else {
      possible = source[0] == source[1] && source[1] == source[2];
      target[0] = source[0];
    }
  }
  ATROUS_CHECK(possible, ErrorKind::data,
               "[image {}] images must have the channels the model takes. Got {} channels, model.in_channels "
               "is {}. Set "
               "model.in_channels={} or convert the images.",
               path, have, channels, have);
  return out;
}

}  // namespace atrous::data
