#include "data/image_io.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "core/problem.h"
#include "data/codecs.h"

namespace atrous::data {
namespace codecs {

void bad_image(const FileName& name, std::string_view format, std::string_view reason) {
  // The libraries report a lack of memory only as text; it is not an error of the file.
  ATROUS_CHECK(reason.find("memory") == std::string_view::npos, ErrorKind::memory,
               "[{} {}] there must be memory to read {}. Got: {}. {}", name.what, name.path, format, reason,
               memory_advice(0));
  const bool has_advice = reason.find(". ") != std::string_view::npos;
  fail(ErrorKind::data, "[{} {}] {} could not be read: {}.{}", name.what, name.path, format, reason,
       has_advice ? "" : " Replace the file.");
}

void check_size(const FileName& name, std::string_view format, int64_t width, int64_t height,
                const ImageLimits& limits, int64_t max_pixels_in_file) {
  if (width < 1 || height < 1) bad_image(name, format, "the header says it has no pixels");
  ATROUS_CHECK(height <= limits.max_pixels / width, ErrorKind::data,
               "[{} {}] {} files may have at most {} pixels. Got {} x {} in the header. Cut it into tiles.",
               name.what, name.path, format, limits.max_pixels, width, height);
  if (width * height > max_pixels_in_file) {
    bad_image(name, format,
              fmt::format("the header says {} x {}, more than a file of this size can hold", width, height));
  }
}

void check_bytes(const FileName& name, std::string_view format, int64_t needed, int64_t available) {
  if (available >= needed) return;
  bad_image(name, format,
            fmt::format("the file ends early: its pixels need at least {} bytes, and {} are there", needed,
                        available));
}

Tensor expand_palette(const Tensor& indices, const std::vector<Color>& palette, Bytes alpha,
                      const FileName& name, const std::string& format) {
  const int64_t channels = alpha.empty() ? 3 : 4;
  Tensor out = Tensor::empty(indices.shape().with(2, channels), DType::u8);
  uint8_t* target = out.data<uint8_t>();
  for (int64_t p = 0; p < indices.numel(); ++p, target += channels) {
    const size_t index = indices.data<uint8_t>()[p];
    if (index >= palette.size()) {
      bad_image(name, format,
                fmt::format("a pixel has index {}, but the palette has {} colours", index, palette.size()));
    }
    std::copy_n(palette[index].begin(), 3, target);
    if (channels == 4) target[3] = index < alpha.size() ? alpha[index] : uint8_t{255};
  }
  return out;
}

Tensor without_void_alpha(const Tensor& rgba, bool declared) {
  const uint8_t* pixels = rgba.data<uint8_t>();
  bool all_clear = true, all_opaque = true;
  for (int64_t p = 0; p < rgba.pixels(); ++p) {
    all_clear = all_clear && pixels[4 * p + 3] == 0;
    all_opaque = all_opaque && pixels[4 * p + 3] == 255;
  }
  if (!all_clear && (declared || !all_opaque)) return rgba;
  Tensor out = Tensor::empty(rgba.shape().with(2, 3), DType::u8);
  for (int64_t p = 0; p < rgba.pixels(); ++p) std::copy_n(pixels + 4 * p, 3, out.data<uint8_t>() + 3 * p);
  return out;
}

}  // namespace codecs

namespace {

using codecs::Bytes;
using codecs::Decoded;

enum class Format { png, jpeg, bmp, pnm, matlab, tga, other };

bool starts_with(Bytes bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

// `P` and a digit, then what separates the fields of a header.
bool is_netpbm(Bytes bytes, std::string_view digits) {
  return bytes.size() > 2 && bytes[0] == 'P' &&
         digits.find(static_cast<char>(bytes[1])) != std::string_view::npos &&
         (bytes[2] == '#' || bytes[2] == ' ' || (bytes[2] >= '\t' && bytes[2] <= '\r'));
}

// The name of a format that is known but not read, and the remedy; empty for others.
std::pair<std::string_view, std::string_view> unsupported_format(Bytes bytes) {
  constexpr std::string_view tiff_le{"II*\0", 4}, tiff_be{"MM\0*", 4}, icon{"\0\0\1\0", 4};
  constexpr std::string_view convert = "atrous does not read this format. Convert it to PNG";
  if (starts_with(bytes, "GIF8")) return {"GIF", convert};
  if (starts_with(bytes, tiff_le) || starts_with(bytes, tiff_be)) return {"TIFF", convert};
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return {"WebP", convert};
  if (starts_with(bytes, "ftyp", 4)) return {"HEIF/AVIF", convert};
  if (starts_with(bytes, "8BPS")) return {"PSD", convert};
  if (starts_with(bytes, "#?RADIANCE") || starts_with(bytes, "#?RGBE")) return {"HDR", convert};
  if (starts_with(bytes, "v/1\1")) return {"OpenEXR", convert};
  if (starts_with(bytes, icon)) return {"icon", convert};
  if (is_netpbm(bytes, "123"))
    return {"plain or bit PNM", "atrous reads binary PGM and PPM (P5, P6). Convert it to PNG"};
  if (is_netpbm(bytes, "4")) return {"PBM", "atrous reads PGM and PPM (P5, P6). Convert it to PNG"};
  if (is_netpbm(bytes, "7")) return {"PAM", "atrous reads PGM and PPM (P5, P6). Convert it to PNG"};
  if (starts_with(bytes, "MATLAB 7.3 MAT-file"))
    return {"MATLAB 7.3 file", "atrous reads version 5. Save it with `-v7`"};
  return {};
}

// By the first bytes; `other` for formats that are not read.
Format format_of(Bytes bytes) {
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return Format::png;
  if (starts_with(bytes, "\xff\xd8\xff")) return Format::jpeg;
  if (starts_with(bytes, "BM")) return Format::bmp;
  if (starts_with(bytes, "P5") || starts_with(bytes, "P6")) return Format::pnm;
  if (starts_with(bytes, "MATLAB 5.0 MAT-file")) return Format::matlab;
  if (!unsupported_format(bytes).first.empty()) return Format::other;
  return codecs::may_be_tga(bytes) ? Format::tga : Format::other;
}

Format recognise(Bytes bytes, const codecs::FileName& name) {
  if (bytes.empty()) codecs::bad_image(name, "image", "the file is empty");
  const Format format = format_of(bytes);
  if (format != Format::other) return format;
  const auto [unsupported, advice] = unsupported_format(bytes);
  if (!unsupported.empty()) codecs::bad_image(name, unsupported, advice);
  codecs::bad_image(name, "unknown format", "neither PNG, JPEG, BMP, PGM/PPM nor TGA");
}

Decoded decode(Format format, Bytes bytes, const codecs::FileName& name, codecs::Use use,
               const ImageLimits& limits) {
  switch (format) {
    case Format::png: return codecs::decode_png(bytes, name, use, limits);
    case Format::jpeg: return codecs::decode_jpeg(bytes, name, limits);
    case Format::bmp: return codecs::decode_bmp(bytes, name, use, limits);
    case Format::pnm: return codecs::decode_pnm(bytes, name, use, limits);
    case Format::matlab: return codecs::decode_mat(bytes, name, limits);
    default: return codecs::decode_tga(bytes, name, limits);
  }
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
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  if (!in) throw_if_no_memory();
  ATROUS_CHECK(in && in.gcount() == size, ErrorKind::data, "[data] {} cannot be read: {}.", path,
               std::strerror(errno));
  return bytes;
}

Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name,
                    const ImageReadOptions& options) {
  const codecs::FileName file{"image", name};
  const Format format = recognise(bytes, file);
  if (format == Format::matlab)
    codecs::bad_image(file, "MATLAB file", "its matrices serve as labels, not as images");
  Decoded image = decode(format, bytes, file, codecs::Use::image, options.limits);
  if (options.apply_exif) image.pixels = codecs::apply_orientation(image.pixels, image.orientation);
  ATROUS_CHECK(image.bit_depth <= 8 || options.sixteen_bit != DepthPolicy::reject, ErrorKind::data,
               "[image {}] images must have 8 bits per sample. Got {}. Convert it, or set "
               "data.sixteen_bit=reduce to use the upper byte.",
               name, image.format);
  const int64_t channels = image.pixels.dim(2);
  const bool has_alpha = channels == 2 || channels == 4;
  ATROUS_CHECK(!has_alpha || options.alpha != AlphaPolicy::reject, ErrorKind::data,
               "[image {}] images must have no alpha channel. Got {} channels ({}). Save it without "
               "transparency, or set data.alpha=drop to ignore it, or data.alpha=keep with "
               "model.in_channels={} to read it as one more channel.",
               name, channels, image.format, channels);
  const int64_t keep = has_alpha && options.alpha == AlphaPolicy::drop ? channels - 1 : channels;
  const bool reduce = image.pixels.dtype() != DType::u8 && options.sixteen_bit != DepthPolicy::keep;
  if (keep == channels && !reduce) return image.pixels;
  if (image.pixels.dtype() == DType::u8 || reduce) return to_bytes(image.pixels, keep);
  return image.pixels.narrow_channels(0, keep).clone();
}

Tensor read_image(const std::string& path, const ImageReadOptions& options) {
  return decode_image(read_file(path, options.limits.max_file_bytes), path, options);
}

LabelFile read_label_file(const std::string& path, const ImageLimits& limits, bool apply_exif) {
  const std::vector<uint8_t> bytes = read_file(path, limits.max_file_bytes);
  const codecs::FileName file{"label", path};
  const Format format = recognise(bytes, file);
  ATROUS_CHECK(format != Format::jpeg, ErrorKind::data,
               "[label {}] labels must be stored without loss. Got a JPEG, whose values are only "
               "approximate. Write labels as PNG.",
               path);
  ATROUS_CHECK(format != Format::tga, ErrorKind::data,
               "[label {}] labels must be PNG, PGM, PPM or BMP, or a known set's MATLAB files. Got TGA. "
               "Write labels as PNG.",
               path);
  Decoded decoded = decode(format, bytes, file, codecs::Use::label, limits);
  ATROUS_CHECK(
      !apply_exif || decoded.orientation == 1, ErrorKind::data,
      "[label {}] labels must be stored upright. Got EXIF orientation {}. Write the label without the tag, "
      "turned like its image, or read images and labels as they are stored (data.exif=ignore).",
      path, decoded.orientation);
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

ImageKind kind_of_image(std::span<const uint8_t> first_bytes) {
  switch (format_of(first_bytes)) {
    case Format::png: return {"PNG", ""};
    case Format::jpeg: return {"JPEG", ""};
    case Format::bmp: return {"BMP", ""};
    case Format::pnm: return {"PNM", ""};
    case Format::matlab: return {"MATLAB", ""};
    case Format::tga: return {"TGA", ""};
    default: return {"", unsupported_format(first_bytes).first};
  }
}

std::string size_advice(const std::string& image_path, const ImageReadOptions& options, int64_t height,
                        int64_t width, const std::string& exif_key) {
  ImageReadOptions other = options;
  other.apply_exif = !options.apply_exif;
  const Tensor image = read_image(image_path, options), turned = read_image(image_path, other);
  if (turned.dim(0) == height && turned.dim(1) == width) {
    return options.apply_exif
               ? fmt::format(
                     "The image is turned by its EXIF orientation: {}=ignore reads it as stored, which fits",
                     exif_key)
               : fmt::format("The image has an EXIF orientation: {}=apply turns it, which fits", exif_key);
  }
  if (image.dim(0) == width && image.dim(1) == height)
    return "Height and width are exchanged: one of them is turned. Turn it back";
  return "Check that they belong together";
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
  // A second or fourth band that data.alpha=drop can leave out is not a colour.
  const bool has_extra = have == channels + 1 && (have == 2 || have == 4);
  ATROUS_CHECK(possible, ErrorKind::data,
               "[image {}] images must have the channels the model takes. Got {} channels, model.in_channels "
               "is {}. {}, or train with model.in_channels={}.",
               path, have, channels,
               has_extra ? std::string("Set data.alpha=drop, which leaves out the last one")
                         : fmt::format("Convert the images to {}",
                                       channels == 1   ? "grey"
                                       : channels == 3 ? "RGB"
                                                       : fmt::format("{} channels", channels)),
               have);
  return out;
}

}  // namespace atrous::data
