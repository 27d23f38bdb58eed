// libpng. It reports errors by longjmp, which must not jump over destructors: every call into it that may
// fail runs inside `guarded`, as a lambda that holds no objects with destructors.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  Bytes bytes;
  size_t position = 0;
  char message[200] = "out of memory";

  explicit Reader(Bytes b) : bytes(b) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png) info = png_create_info_struct(png);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  static void on_error(png_structp p, png_const_charp text) {
    auto* self = static_cast<Reader*>(png_get_error_ptr(p));
    std::snprintf(self->message, sizeof self->message, "%s", text);
    png_longjmp(p, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp p, png_bytep out, size_t count) {
    auto* self = static_cast<Reader*>(png_get_io_ptr(p));
    if (count > self->bytes.size() - self->position) png_error(p, "the file ends early");
    std::memcpy(out, self->bytes.data() + self->position, count);
    self->position += count;
  }
};

template <class F>
bool guarded(png_structp png, F&& f) {
  if (setjmp(png_jmpbuf(png))) return false;
  f();
  return true;
}

// How libpng converts the samples.
void set_transforms(png_structp png, png_infop info, Use use) {
  const int type = png_get_color_type(png, info);
  const int depth = png_get_bit_depth(png, info);
  if (use == Use::image && type != PNG_COLOR_TYPE_PALETTE) {
    png_set_expand(png);  // tRNS to alpha, small grey to 8 bits
  } else if (depth < 8) {
    png_set_packing(png);  // one value per byte, not rescaled
  }
  if (depth == 16) png_set_swap(png);  // files are big-endian
  // libpng would paint indices without a colour black. In labels, the label map checks them.
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_check_for_invalid_index(png, 0);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

std::string describe(int type, int depth) {
  const char* kind = type == PNG_COLOR_TYPE_PALETTE      ? "palette"
                     : type == PNG_COLOR_TYPE_GRAY       ? "grey"
                     : type == PNG_COLOR_TYPE_GRAY_ALPHA ? "grey + alpha"
                     : type == PNG_COLOR_TYPE_RGB        ? "RGB"
                                                         : "RGB + alpha";
  return fmt::format("PNG {}, {} bit", kind, depth);
}

}  // namespace

Decoded decode_png(Bytes bytes, const FileName& name, Use use, const ImageLimits& limits) {
  Reader reader(bytes);
  ATROUS_CHECK(reader.png && reader.info, ErrorKind::memory, "[{} {}] libpng could not start: out of memory.",
               name.what, name.path);
  png_structp png = reader.png;
  png_infop info = reader.info;
  const bool header_ok = guarded(png, [&] {
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png, 1u << 20, 1u << 20);
    png_set_chunk_malloc_max(png, 8u << 20);
    png_set_read_fn(png, &reader, Reader::on_read);
    png_read_info(png, info);
  });
  if (!header_ok) bad_image(name, "PNG", reader.message);
  const int64_t width = png_get_image_width(png, info);
  const int64_t height = png_get_image_height(png, info);
  Decoded out;
  out.bit_depth = png_get_bit_depth(png, info);
  const int type = png_get_color_type(png, info);
  out.format = describe(type, out.bit_depth);
  // Deflate cannot expand by more than 1032.
  const int64_t bits_per_pixel = int64_t{png_get_channels(png, info)} * out.bit_depth;
  check_size(name, out.format, width, height, limits,
             static_cast<int64_t>(bytes.size()) * 1032 * 8 / bits_per_pixel);

  if (!guarded(png, [&] { set_transforms(png, info, use); })) bad_image(name, out.format, reader.message);
  const int64_t channels = png_get_channels(png, info);
  const bool wide = png_get_bit_depth(png, info) == 16;
  const int64_t row_bytes = width * channels * (wide ? 2 : 1);
  ATROUS_ASSERT(static_cast<int64_t>(png_get_rowbytes(png, info)) == row_bytes);

  const Shape shape{height, width, channels};
  std::vector<uint16_t> wide_pixels(wide ? static_cast<size_t>(shape.numel()) : 0);
  if (!wide) out.pixels = Tensor::empty(shape, DType::u8);
  auto* base = wide ? reinterpret_cast<uint8_t*>(wide_pixels.data()) : out.pixels.data<uint8_t>();
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  for (int64_t y = 0; y < height; ++y) rows[static_cast<size_t>(y)] = base + y * row_bytes;
  png_bytepp row_pointers = rows.data();
  const bool pixels_ok = guarded(png, [&] {
    png_read_image(png, row_pointers);
    png_read_end(png, info);  // an eXIf chunk may follow the pixels
  });
  if (!pixels_ok) bad_image(name, out.format, reader.message);
  if (wide) {
    out.pixels = Tensor::empty(shape, DType::i32);
    std::copy(wide_pixels.begin(), wide_pixels.end(), out.pixels.data<int32_t>());
  }
  png_colorp colors = nullptr;
  int count = 0;
  if (type == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(png, info, &colors, &count)) {
    for (int i = 0; i < count; ++i) out.palette.push_back({colors[i].red, colors[i].green, colors[i].blue});
  }
  if (type == PNG_COLOR_TYPE_PALETTE && use == Use::image) {
    png_bytep alpha = nullptr;
    int alpha_count = 0;
    png_get_tRNS(png, info, &alpha, &alpha_count, nullptr);
    const Bytes transparency(alpha, alpha ? static_cast<size_t>(alpha_count) : 0);
    out.pixels = expand_palette(out.pixels, out.palette, transparency, name, out.format);
  }
  png_bytep exif = nullptr;
  png_uint_32 exif_size = 0;
  if (png_get_eXIf_1(png, info, &exif_size, &exif)) out.orientation = tiff_orientation({exif, exif_size});
  return out;
}

}  // namespace atrous::data::codecs
