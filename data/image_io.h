// Image files in and out. A file is recognised by its content, never by its name.
//
// Reading an untrusted file is safe: its size is checked before it is read, and the width and height in its
// header are checked against `ImageLimits` and against what that many bytes can hold at all before any pixel
// is allocated. PNG is read by libpng, JPEG by libjpeg-turbo; BMP, PGM/PPM and TGA by readers of
// atrous. A file that lacks one byte of its pixels is an error in every format, and so are damaged data (bad
// checksum, bad codes). Warnings of a library on header fields that change no pixel are notes (notes.h).
// Errors are Error(data) that name file, format and reason.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "data/image_policy.h"

namespace atrous::data {

using Color = std::array<uint8_t, 3>;

struct ImageLimits {
  int64_t max_file_bytes = int64_t{1} << 30;
  int64_t max_pixels = int64_t{1} << 28;
};

struct ImageReadOptions {
  bool apply_exif = true;  // turn pictures (JPEG, PNG) as their EXIF orientation says
  AlphaPolicy alpha = AlphaPolicy::reject;
  DepthPolicy sixteen_bit = DepthPolicy::reject;
  ImageLimits limits = {};
};

// u8 [H, W, C], C = 1 (grey) or 3 (RGB); 2 or 4 only with AlphaPolicy::keep; i32 only for 16 bits with
// DepthPolicy::keep. Palettes are expanded to RGB; grey of 1, 2 or 4 bits to 0..255.
Tensor read_image(const std::string& path, const ImageReadOptions& options = {});
// The same from memory; `name` is for messages.
Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name,
                    const ImageReadOptions& options = {});

// image u8 [H, W, C] with as many channels as a network takes. Grey images are expanded to RGB; RGB images
// whose channels agree are reduced to grey. Both lose nothing; all else is Error(data), which names `path`.
Tensor with_channels(const Tensor& image, int64_t channels, const std::string& path);

// The format of a file by its first bytes (64 are enough).
struct ImageKind {
  std::string_view format;       // "PNG", "JPEG", "BMP", "PNM", "TGA" or "MATLAB"; empty: none of these
  std::string_view unsupported;  // else: a known format that is not read, "TIFF"
};
ImageKind kind_of_image(std::span<const uint8_t> first_bytes);

// The advice for an image that was read with a size other than that of its partner, height x width.
// `exif_key` is the key that turns EXIF orientations on and off: "data.exif".
std::string size_advice(const std::string& image_path, const ImageReadOptions& options, int64_t height,
                        int64_t width, const std::string& exif_key);

// A label file as it is stored.
struct LabelFile {
  std::string format;   // "PNG palette, 8 bit"
  bool is_rgb = false;  // values is u8 [H, W, 3]: colours, no indices
  int bit_depth = 8;
  Tensor values;               // u8 [H, W]; i32 [H, W] for 16 bits
  std::vector<Color> palette;  // what a viewer shows; never used to read indices
};

// PNG, PGM, PPM, BMP, and the .mat files of SBD, PASCAL-Context and CrackForest. Palette images give their
// indices, grey images their values as stored (never rescaled). JPEG (lossy), TGA and alpha channels are
// refused, and with `apply_exif` labels with an EXIF orientation: whether their writer had turned them
// cannot be known.
LabelFile read_label_file(const std::string& path, const ImageLimits& limits = {}, bool apply_exif = true);

// image: u8 [H, W], [H, W, 1] or [H, W, 3]. Written to a temporary file beside `path`, then renamed.
// Error(io).
void write_png(const std::string& path, const Tensor& image);
// The bytes of such a file.
std::string encode_png(const Tensor& image);
// index: u8 [H, W], written as indices into `palette` (at most 256 colours, more than the largest index).
void write_png(const std::string& path, const Tensor& index, std::span<const Color> palette);

// values: i32 [H, W] of 0 to 65535, written as grey of 16 bits: indices that a palette cannot hold.
void write_png_16(const std::string& path, const Tensor& values);

// Whole file into memory; refuses folders, missing files and more than max_bytes. Error(data).
std::vector<uint8_t> read_file(const std::string& path, int64_t max_bytes);

}  // namespace atrous::data
