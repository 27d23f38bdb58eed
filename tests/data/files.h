// Files that the data tests write for themselves.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/dataset.h"
#include "data/image_io.h"
#include "tests/temporary_folder.h"

namespace atrous::data::test {

namespace fs = std::filesystem;

inline void write_bytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
}
inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}
inline std::vector<uint8_t> bytes_of(const std::string& path) {
  return read_file(path, 1 << 28);
}

inline Tensor pixels(const Shape& shape, std::initializer_list<int> values) {
  Tensor out = Tensor::empty(shape, DType::u8);
  int64_t i = 0;
  for (int v : values) out.data<uint8_t>()[i++] = static_cast<uint8_t>(v);
  REQUIRE(i == out.numel());
  return out;
}
inline Tensor ramp(const Shape& shape) {
  Tensor out = Tensor::empty(shape, DType::u8);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 + i / 11);
  return out;
}
template <class T = uint8_t>
std::vector<int> values_of(const Tensor& t) {
  return {t.data<T>(), t.data<T>() + t.numel()};
}
inline bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::equal(a.raw(), a.raw() + a.bytes(), b.raw());
}

// What a loader is told, apart from the set.
inline DataOptions options_with(int64_t workers, int64_t batch_size = 3, int64_t bins = 0) {
  DataOptions o;
  o.workers = workers;
  o.batch_size = batch_size;
  o.aspect_ratio_bins = bins;
  return o;
}

// The message of the Error(kind) that f throws.
template <class F>
std::string message_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.kind()) == static_cast<int>(kind));
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}
#define CHECK_SAYS(kind, statement, ...)                                                          \
  do {                                                                                            \
    const std::string text_ = ::atrous::data::test::message_of(kind, [&] { (void)(statement); }); \
    for (const char* part_ : {__VA_ARGS__}) CHECK_THAT(text_, Catch::Contains(part_));            \
  } while (false)

// A PNG of any kind, straight through libpng: rows hold the packed samples.
struct RawPng {
  uint32_t width = 1, height = 1;
  int bit_depth = 8, color_type = 0, interlace = 0;
  std::vector<Color> palette = {};
  std::vector<uint8_t> transparency = {};
  std::vector<std::vector<uint8_t>> rows = {};
  std::vector<uint8_t> exif = {};
};
void write_raw_png(const std::string& path, const RawPng& png);

// An EXIF block with this orientation alone, as SHORT or as LONG.
std::vector<uint8_t> tiff_with_orientation(int orientation, bool big_endian, bool is_long);

// A JPEG of any kind, straight through libjpeg: quality 100, no subsampling; channels 1, 3 or 4 (CMYK).
struct RawJpeg {
  int width = 1, height = 1, channels = 3;
  std::vector<uint8_t> samples = {};
  bool progressive = false, arithmetic = false, separate_scans = false;
};
std::vector<uint8_t> encode_jpeg(const RawJpeg& jpeg);

// A small JPEG of flat 8x8 blocks with an EXIF orientation (0: no EXIF block). Grey values one per block.
std::vector<uint8_t> jpeg_blocks(int columns, int rows, const std::vector<int>& greys, int channels,
                                 int orientation, bool big_endian = false);
// A JPEG of one colour in print form, each sample 255 for no ink.
std::vector<uint8_t> jpeg_cmyk(int side, const std::array<uint8_t, 4>& color);

}  // namespace atrous::data::test
