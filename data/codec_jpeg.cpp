// libjpeg (libjpeg-turbo). It reports errors by longjmp, which must not jump over destructors: every call
// into it that may fail runs inside `guarded`, as a lambda that holds no objects with destructors.
//
// Its warnings are of two kinds. Some remark on fields of the header that change no pixel, or that have one
// sensible reading: the file is read, and a note says so. All others mean damaged data: an error.
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs FILE and size_t before it.
#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <string>

#include "data/codecs.h"
#include "data/notes.h"

namespace atrous::data::codecs {
namespace {

// A progressive file may hold thousands of scans over the whole image.
constexpr int max_scans = 500;

struct Reader {
  jpeg_error_mgr errors{};  // first: libjpeg hands back its address
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct info{};
  std::jmp_buf jump{};
  char message[JMSG_LENGTH_MAX] = "out of memory";
  // Warnings that are no damage.
  bool scan_parameters = false, jfif_revision = false, no_end = false;
  int adobe_transform = -1;

  Reader() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    progress.progress_monitor = on_progress;
    info.client_data = this;
  }
  ~Reader() { jpeg_destroy_decompress(&info); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  static Reader& of(j_common_ptr p) { return *static_cast<Reader*>(p->client_data); }

  static void on_error(j_common_ptr p) {
    Reader& self = of(p);
    (*p->err->format_message)(p, self.message);
    std::longjmp(self.jump, 1);
  }

  static void on_message(j_common_ptr p, int level) {
    if (level >= 0) return;  // traces
    Reader& self = of(p);
    switch (p->err->msg_code) {
      case JWRN_NOT_SEQUENTIAL: self.scan_parameters = true; return;
      case JWRN_JFIF_MAJOR: self.jfif_revision = true; return;
      case JWRN_ADOBE_XFORM: self.adobe_transform = p->err->msg_parm.i[0]; return;
      case JWRN_JPEG_EOF: self.no_end = true; return;  // missing data is checked when all is read
      default: on_error(p);
    }
  }

  static void on_progress(j_common_ptr p) {
    Reader& self = of(p);
    if (self.info.input_scan_number <= max_scans) return;
    std::snprintf(self.message, sizeof self.message, "more than %d scans", max_scans);
    std::longjmp(self.jump, 1);
  }
};

template <class F>
bool guarded(Reader& reader, F&& f) {
  if (setjmp(reader.jump)) return false;
  f();
  return true;
}

// Whether every component has had a scan.
bool has_all_components(const jpeg_decompress_struct& info) {
  return std::all_of(info.comp_info, info.comp_info + info.num_components,
                     [](const jpeg_component_info& c) { return c.quant_table != nullptr; });
}

// Whether no scan can be missing at the end. Huffman-coded data that ends too early is a separate error;
// arithmetic codes continue with zeros.
bool needs_no_end(const jpeg_decompress_struct& info) {
  if (info.arith_code) return false;
  if (!info.progressive_mode) return true;
  for (int c = 0; c < info.num_components; ++c) {
    if (std::any_of(info.coef_bits[c], info.coef_bits[c] + DCTSIZE2, [](int bits) { return bits != 0; }))
      return false;
  }
  return true;
}

void tell(const Reader& reader, const FileName& name) {
  if (reader.scan_parameters)
    note("JPEG: scan parameters that mean nothing in a sequential file are ignored", name.path);
  if (reader.jfif_revision) note("JPEG: an unknown revision of JFIF, read as 1.x", name.path);
  if (reader.adobe_transform >= 0)
    note(fmt::format("JPEG: unknown Adobe colour transform {}, read as YCbCr (YCCK with four components)",
                     reader.adobe_transform),
         name.path);
  if (reader.no_end) note("JPEG: the end marker (EOI) is missing; all pixels are there", name.path);
}

// Print colours as a screen shows them without a colour profile. Files hold 255 for no ink, as Adobe writes
// them; other writers of CMYK follow it.
Tensor rgb_of_cmyk(const Tensor& cmyk) {
  Tensor out = Tensor::empty(cmyk.shape().with(2, 3), DType::u8);
  const uint8_t* source = cmyk.data<uint8_t>();
  uint8_t* target = out.data<uint8_t>();
  for (int64_t p = 0; p < cmyk.pixels(); ++p, source += 4, target += 3) {
    for (int c = 0; c < 3; ++c) target[c] = static_cast<uint8_t>((source[c] * source[3] + 127) / 255);
  }
  return out;
}

}  // namespace

Decoded decode_jpeg(Bytes bytes, const FileName& name, const ImageLimits& limits) {
  Reader reader;
  jpeg_decompress_struct& info = reader.info;
  const bool header_ok = guarded(reader, [&] {
    jpeg_create_decompress(&info);
    info.progress = &reader.progress;
    jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
  });
  if (!header_ok) bad_image(name, "JPEG", reader.message);
  const int64_t width = info.image_width, height = info.image_height;
  // A Huffman-coded block of 8x8 pixels takes at least one bit.
  check_size(name, "JPEG", width, height, limits, static_cast<int64_t>(bytes.size()) * 8 * 64);
  const bool is_grey = info.jpeg_color_space == JCS_GRAYSCALE;
  const bool is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  if (!is_grey && !is_cmyk && info.num_components != 3)
    bad_image(name, "JPEG", fmt::format("{} components are none of the known colours", info.num_components));
  const int channels = is_grey ? 1 : is_cmyk ? 4 : 3;
  Decoded out;
  out.format = is_grey ? "JPEG grey" : is_cmyk ? "JPEG CMYK" : "JPEG RGB";
  out.pixels = Tensor::empty({height, width, channels}, DType::u8);
  uint8_t* const pixels = out.pixels.data<uint8_t>();
  const int64_t row_bytes = width * channels;
  bool all_components = false, whole_without_end = false;
  const bool pixels_ok = guarded(reader, [&] {
    info.out_color_space = is_grey ? JCS_GRAYSCALE : is_cmyk ? JCS_CMYK : JCS_RGB;
    info.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels + static_cast<int64_t>(info.output_scanline) * row_bytes;
      jpeg_read_scanlines(&info, &row, 1);
    }
    all_components = has_all_components(info);
    whole_without_end = needs_no_end(info);
    jpeg_finish_decompress(&info);
  });
  if (!pixels_ok) bad_image(name, out.format, reader.message);
  if (!all_components || (reader.no_end && !whole_without_end))
    bad_image(name, out.format, "the file ends early");
  tell(reader, name);
  if (is_cmyk) out.pixels = rgb_of_cmyk(out.pixels);
  out.orientation = exif_orientation(bytes);
  return out;
}

}  // namespace atrous::data::codecs
