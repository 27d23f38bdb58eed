#include "tests/data/files.h"

#include <png.h>

#include <cstdio>
// jpeglib.h needs FILE and size_t before it.
#include <jpeglib.h>

#include <algorithm>
#include <cstdlib>

namespace atrous::data::test {
namespace {

void put_exif(png_structp png, png_infop info, const std::vector<uint8_t>& exif) {
  if (exif.empty()) return;
  std::vector<uint8_t> copy = exif;
  png_set_eXIf_1(png, info, static_cast<png_uint_32>(copy.size()), copy.data());
}

}  // namespace

void write_raw_png(const std::string& path, const RawPng& raw) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, raw.width, raw.height, raw.bit_depth, raw.color_type, raw.interlace,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> colors;
  for (const Color& c : raw.palette) colors.push_back({c[0], c[1], c[2]});
  if (!colors.empty()) png_set_PLTE(png, info, colors.data(), static_cast<int>(colors.size()));
  if (!raw.transparency.empty()) {
    png_set_tRNS(png, info, raw.transparency.data(), static_cast<int>(raw.transparency.size()), nullptr);
  }
  put_exif(png, info, raw.exif);
  std::vector<png_bytep> rows;
  for (const auto& row : raw.rows) rows.push_back(const_cast<png_bytep>(row.data()));
  png_write_info(png, info);
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
}

std::vector<uint8_t> tiff_with_orientation(int orientation, bool big_endian, bool is_long) {
  const auto value = static_cast<uint8_t>(orientation);
  const auto type = static_cast<uint8_t>(is_long ? 4 : 3);
  std::vector<uint8_t> little = {'I', 'I', 42, 0, 8, 0,     0, 0, 1, 0, 0x12, 0x01, type,
                                 0,   1,   0,  0, 0, value, 0, 0, 0, 0, 0,    0,    0};
  std::vector<uint8_t> big = {'M',  'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0,
                              type, 0,   0, 0,  1, 0, 0, 0, 0, 0, 0,    0,    0};
  big[is_long ? 21 : 19] = value;
  return big_endian ? big : little;
}

std::vector<uint8_t> encode_jpeg(const RawJpeg& raw) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &out, &size);
  info.image_width = static_cast<JDIMENSION>(raw.width);
  info.image_height = static_cast<JDIMENSION>(raw.height);
  info.input_components = raw.channels;
  info.in_color_space = raw.channels == 1 ? JCS_GRAYSCALE : raw.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  for (int c = 0; c < info.num_components; ++c)
    info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
  info.arith_code = raw.arithmetic ? TRUE : FALSE;
  if (raw.progressive) jpeg_simple_progression(&info);
  // One scan per component.
  jpeg_scan_info scans[3] = {};
  for (int c = 0; c < 3; ++c) scans[c] = {1, {c, 0, 0, 0}, 0, 63, 0, 0};
  if (raw.separate_scans) {
    info.scan_info = scans;
    info.num_scans = 3;
  }
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < raw.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(raw.samples.data() + y * raw.width * raw.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::vector<uint8_t> bytes(out, out + size);
  std::free(out);
  return bytes;
}

std::vector<uint8_t> jpeg_blocks(int columns, int rows, const std::vector<int>& greys, int channels,
                                 int orientation, bool big_endian) {
  const int width = columns * 8, height = rows * 8;
  std::vector<uint8_t> image(static_cast<size_t>(width * height * channels));
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < width * channels; ++i) {
      const int at = y * width * channels + i, block = y / 8 * columns + i / channels / 8;
      image[static_cast<size_t>(at)] = static_cast<uint8_t>(greys[static_cast<size_t>(block)]);
    }
  }
  std::vector<uint8_t> bytes =
      encode_jpeg({.width = width, .height = height, .channels = channels, .samples = image});
  if (orientation == 0) return bytes;
  const std::vector<uint8_t> tiff = tiff_with_orientation(orientation, big_endian, false);
  std::vector<uint8_t> segment = {0xff, 0xe1, 0, static_cast<uint8_t>(2 + 6 + tiff.size()), 'E', 'x', 'i',
                                  'f',  0,    0};
  segment.insert(segment.end(), tiff.begin(), tiff.end());
  bytes.insert(bytes.begin() + 2, segment.begin(), segment.end());
  return bytes;
}

std::vector<uint8_t> jpeg_cmyk(int side, const std::array<uint8_t, 4>& color) {
  std::vector<uint8_t> image;
  for (int i = 0; i < side * side; ++i) image.insert(image.end(), color.begin(), color.end());
  return encode_jpeg({.width = side, .height = side, .channels = 4, .samples = image});
}

}  // namespace atrous::data::test
