// The orientation in an EXIF block, in a JPEG and in a PNG.
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>  // needs FILE

#include "data/image_io.h"
#include "pictures.h"

using namespace atrous;

namespace {

constexpr int height = 2, width = 3;
constexpr uint8_t pixels[] = {10, 60, 110, 160, 210, 250};

// Grey, of quality 100: its pixels differ by tens, so that all eight orientations differ.
const std::string& plain_jpeg() {
  static const std::string file = [] {
    jpeg_error_mgr errors;
    jpeg_compress_struct jpeg{};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned char* out = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&jpeg, &out, &size);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < height; ++y) {
      JSAMPROW row = const_cast<uint8_t*>(pixels) + y * width;
      jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    std::string bytes(reinterpret_cast<const char*>(out), size);
    std::free(out);
    return bytes;
  }();
  return file;
}

std::string jpeg_with(fuzz::Bytes exif) {
  const size_t length = 2 + 6 + exif.size();
  std::string file = plain_jpeg().substr(0, 2) + "\xff\xe1";
  file += static_cast<char>(length >> 8);
  file += static_cast<char>(length);
  return file + std::string("Exif\0\0", 6) + fuzz::text_of(exif) + plain_jpeg().substr(2);
}

std::string png_with(fuzz::Bytes exif) {
  const std::string plain = data::encode_png([] {
    Tensor t = Tensor::empty({height, width, 1}, DType::u8);
    std::memcpy(t.raw(), pixels, sizeof pixels);
    return t;
  }());
  constexpr size_t behind_header = 8 + 25;
  return plain.substr(0, behind_header) + fuzz::png_chunk("eXIf", exif) + plain.substr(behind_header);
}

Tensor decoded(const std::string& file, bool apply) {
  data::ImageReadOptions options;
  options.apply_exif = apply;
  return data::decode_image(fuzz::bytes_of(file), "x", options);
}

// Where the pixel at (y, x) of the picture as seen lies in the file (EXIF 2.3, section 4.6.4.A).
int64_t source_of(int orientation, int64_t y, int64_t x) {
  const int64_t rows[] = {y, y, height - 1 - y, height - 1 - y, x, height - 1 - x, height - 1 - x, x};
  const int64_t columns[] = {x, width - 1 - x, width - 1 - x, x, y, y, width - 1 - y, width - 1 - y};
  return rows[orientation - 1] * width + columns[orientation - 1];
}

// 1 to 8; 0 if the picture is turned in no such way.
int orientation_of(const Tensor& seen, const Tensor& stored) {
  for (int o = 1; o <= 8; ++o) {
    if (seen.dim(0) != (o >= 5 ? width : height) || seen.dim(1) != (o >= 5 ? height : width)) continue;
    bool equal = true;
    for (int64_t y = 0; y < seen.dim(0); ++y) {
      for (int64_t x = 0; x < seen.dim(1); ++x)
        equal &= seen.data<uint8_t>()[y * seen.dim(1) + x] == stored.data<uint8_t>()[source_of(o, y, x)];
    }
    if (equal) return o;
  }
  return 0;
}

}  // namespace

// A TIFF block.
FUZZ_HARNESS(exif, bytes) {
  const fuzz::Bytes block = bytes.first(std::min<size_t>(bytes.size(), 60000));
  const std::string jpeg = jpeg_with(block), png = png_with(block);
  const size_t cut_in_block = 2 + 4 + 6 + block.size() / 2;
  fuzz::require(!fuzz::accepts({ErrorKind::data}, [&] { decoded(jpeg.substr(0, cut_in_block), true); }),
                "a JPEG that ends in its EXIF block is refused");
  int orientation = 1;
  if (fuzz::accepts({ErrorKind::data},
                    [&] { orientation = orientation_of(decoded(jpeg, true), decoded(jpeg, false)); }))
    fuzz::require(orientation >= 1, "a picture is turned in one of the eight ways");
  fuzz::accepts({ErrorKind::data}, [&] {
    fuzz::require(orientation_of(decoded(png, true), decoded(png, false)) == orientation,
                  "the block means the same in a PNG and in a JPEG");
  });
}
