#include "tests/data/files.h"

#include <png.h>
#include <turbojpeg.h>

namespace atrous::data::test {

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
  std::vector<png_bytep> rows;
  for (const auto& row : raw.rows) rows.push_back(const_cast<png_bytep>(row.data()));
  png_write_info(png, info);
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
}

std::vector<uint8_t> jpeg_blocks(int columns, int rows, const std::vector<int>& greys, int channels,
                                 int orientation, bool big_endian) {
  const int width = columns * 8, height = rows * 8;
  std::vector<uint8_t> image(static_cast<size_t>(width * height * channels));
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < width * channels; ++i) {
      image[static_cast<size_t>(y * width * channels + i)] =
          static_cast<uint8_t>(greys[static_cast<size_t>(y / 8 * columns + i / channels / 8)]);
    }
  }
  unsigned char* out = nullptr;
  unsigned long size = 0;
  tjhandle handle = tjInitCompress();
  REQUIRE(tjCompress2(handle, image.data(), width, 0, height, channels == 3 ? TJPF_RGB : TJPF_GRAY, &out,
                      &size, channels == 3 ? TJSAMP_444 : TJSAMP_GRAY, 100, 0) == 0);
  std::vector<uint8_t> bytes(out, out + size);
  tjFree(out);
  tjDestroy(handle);
  if (orientation == 0) return bytes;
  const auto value = static_cast<uint8_t>(orientation);
  const std::vector<uint8_t> little = {'I', 'I', 42, 0, 8, 0,     0, 0, 1, 0, 0x12, 0x01, 3,
                                       0,   1,   0,  0, 0, value, 0, 0, 0, 0, 0,    0,    0};
  const std::vector<uint8_t> big = {'M', 'M', 0, 42, 0, 0, 0,     8, 0, 1, 0x01, 0x12, 0,
                                    3,   0,   0, 0,  1, 0, value, 0, 0, 0, 0,    0,    0};
  const std::vector<uint8_t>& tiff = big_endian ? big : little;
  std::vector<uint8_t> segment = {0xff, 0xe1, 0, static_cast<uint8_t>(2 + 6 + tiff.size()), 'E', 'x', 'i',
                                  'f',  0,    0};
  segment.insert(segment.end(), tiff.begin(), tiff.end());
  bytes.insert(bytes.begin() + 2, segment.begin(), segment.end());
  return bytes;
}

std::vector<uint8_t> jpeg_cmyk(int side, const std::array<uint8_t, 4>& color) {
  std::vector<uint8_t> image;
  for (int i = 0; i < side * side; ++i) image.insert(image.end(), color.begin(), color.end());
  unsigned char* out = nullptr;
  unsigned long size = 0;
  tjhandle handle = tjInitCompress();
  REQUIRE(tjCompress2(handle, image.data(), side, 0, side, TJPF_CMYK, &out, &size, TJSAMP_444, 100, 0) == 0);
  std::vector<uint8_t> bytes(out, out + size);
  tjFree(out);
  tjDestroy(handle);
  return bytes;
}

}  // namespace atrous::data::test
