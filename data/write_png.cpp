// PNG output. A file is complete or absent (core/atomic_file.h).
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "core/atomic_file.h"
#include "data/image_io.h"

namespace atrous::data {
namespace {

struct Writer {
  png_structp png = nullptr;
  png_infop info = nullptr;
  char message[200] = "out of memory";

  Writer() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
    if (png) info = png_create_info_struct(png);
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  static void on_error(png_structp p, png_const_charp text) {
    auto* self = static_cast<Writer*>(png_get_error_ptr(p));
    std::snprintf(self->message, sizeof self->message, "%s", text);
    png_longjmp(p, 1);
  }
};

// libpng reports failures only as text.
ErrorKind kind_of(const char* message) {
  return std::strstr(message, "memory") ? ErrorKind::memory : ErrorKind::io;
}

template <class F>
bool guarded(png_structp png, F&& f) {
  if (setjmp(png_jmpbuf(png))) return false;
  f();
  return true;
}

// Sends the whole picture to where the writer's output was set. False on errors: see writer.message.
bool encode(Writer& writer, const Tensor& image, int color_type, std::span<const Color> palette,
            int bit_depth = 8) {
  const int64_t height = image.dim(0), width = image.dim(1);
  const int64_t row_bytes = width * (color_type == PNG_COLOR_TYPE_RGB ? 3 : 1) * bit_depth / 8;
  const Tensor dense = image.contiguous_copy_if_needed();
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  for (int64_t y = 0; y < height; ++y) rows[static_cast<size_t>(y)] = dense.data<uint8_t>() + y * row_bytes;
  std::vector<png_color> colors;
  for (const Color& c : palette) colors.push_back({c[0], c[1], c[2]});
  png_structp png = writer.png;
  png_infop info = writer.info;
  return guarded(png, [&] {
    png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bit_depth,
                 color_type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (!colors.empty()) png_set_PLTE(png, info, colors.data(), static_cast<int>(colors.size()));
    png_set_rows(png, info, rows.data());
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  });
}

void write(const std::string& path, const Tensor& image, int color_type, std::span<const Color> palette,
           int bit_depth = 8) {
  write_file_atomically(path, [&](std::ostream& out) {
    Writer writer;
    ATROUS_CHECK(writer.png && writer.info, ErrorKind::memory,
                 "[image {}] libpng could not start: out of memory.", path);
    const auto append = [](png_structp png, png_bytep data, size_t count) {
      auto* stream = static_cast<std::ostream*>(png_get_io_ptr(png));
      if (!stream->write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(count)))
        png_error(png, "write error");
    };
    png_set_write_fn(writer.png, &out, append, [](png_structp) {});
    // After a failed write the error gives the system's reason instead.
    ATROUS_CHECK(encode(writer, image, color_type, palette, bit_depth), kind_of(writer.message),
                 "[image {}] the picture must be encodable. Got {}: {}.", path, image.describe(),
                 writer.message);
  });
}

int color_type_of(const Tensor& image) {
  const bool has_channels = image.rank() == 3;
  ATROUS_CHECK(image.dtype() == DType::u8 &&
                   (image.rank() == 2 || (has_channels && (image.dim(2) == 1 || image.dim(2) == 3))),
               ErrorKind::usage, "[write_png] images are u8 [H, W], [H, W, 1] or [H, W, 3]. Got {}.",
               image.describe());
  return has_channels && image.dim(2) == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY;
}

}  // namespace

void write_png(const std::string& path, const Tensor& image) {
  write(path, image, color_type_of(image), {});
}

std::string encode_png(const Tensor& image) {
  const int color_type = color_type_of(image);
  std::string bytes;
  Writer writer;
  ATROUS_CHECK(writer.png && writer.info, ErrorKind::memory,
               "[encode_png] libpng could not start: out of memory.");
  // Exceptions must not propagate through libpng: running out of memory becomes its error.
  const auto append = [](png_structp png, png_bytep data, size_t count) {
    bool full = false;
    try {
      static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), count);
    } catch (const std::exception&) {
      full = true;
    }
    if (full) png_error(png, "out of memory");
  };
  png_set_write_fn(writer.png, &bytes, append, [](png_structp) {});
  ATROUS_CHECK(encode(writer, image, color_type, {}), ErrorKind::memory,
               "[encode_png] the picture must be encodable. Got {}: {}.", image.describe(), writer.message);
  return bytes;
}

void write_png(const std::string& path, const Tensor& index, std::span<const Color> palette) {
  ATROUS_CHECK(index.dtype() == DType::u8 && index.rank() == 2, ErrorKind::usage,
               "[write_png] index images are u8 [H, W]. Got {}.", index.describe());
  ATROUS_CHECK(!palette.empty() && palette.size() <= 256, ErrorKind::usage,
               "[write_png] a palette has 1 to 256 colours. Got {}.", palette.size());
  const uint8_t* values = index.data<uint8_t>();
  const uint8_t largest = index.numel() ? *std::max_element(values, values + index.numel()) : uint8_t{0};
  ATROUS_CHECK(largest < palette.size(), ErrorKind::usage,
               "[write_png] index {} has no colour: the palette has {}.", largest, palette.size());
  write(path, index, PNG_COLOR_TYPE_PALETTE, palette);
}

void write_png_16(const std::string& path, const Tensor& values) {
  ATROUS_CHECK(values.dtype() == DType::i32 && values.rank() == 2, ErrorKind::usage,
               "[write_png] images of 16 bits are i32 [H, W]. Got {}.", values.describe());
  const Tensor bytes = Tensor::empty({values.dim(0), values.dim(1), 2}, DType::u8);
  for (int64_t i = 0; i < values.numel(); ++i) {
    const int32_t v = values.data<int32_t>()[i];
    ATROUS_CHECK(v >= 0 && v <= 65535, ErrorKind::usage,
                 "[write_png] values of 16 bits are 0 to 65535. Got {}.", v);
    bytes.data<uint8_t>()[2 * i] = static_cast<uint8_t>(v >> 8);  // the high byte first
    bytes.data<uint8_t>()[2 * i + 1] = static_cast<uint8_t>(v);
  }
  write(path, bytes, PNG_COLOR_TYPE_GRAY, {}, 16);
}

}  // namespace atrous::data
