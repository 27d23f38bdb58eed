// The formats that have readers of our own: BMP, PNM, TGA.
#include "data/check.h"
#include "data/codecs.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes bytes_in(const std::string& text) {
  return {text.begin(), text.end()};
}

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

void put(Bytes& to, size_t at, uint32_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) to[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

struct Bmp {
  int width = 1, height = 1, bits = 24;  // a negative height: from the top down
  std::vector<Bytes> rows = {};          // in the order of the file, padded here
  std::vector<Color> palette = {};
  uint32_t compression = 0;
  std::vector<uint32_t> masks = {};
  uint32_t info_size = 40;
};

Bytes bmp(const Bmp& b) {
  Bytes out(14 + b.info_size);
  if (b.info_size == 40) out.resize(out.size() + 4 * b.masks.size());
  for (size_t k = 0; k < b.masks.size(); ++k) put(out, 54 + 4 * k, b.masks[k], 4);
  for (const Color& c : b.palette) append(out, {c[2], c[1], c[0], 0});
  out[0] = 'B', out[1] = 'M';
  put(out, 10, static_cast<uint32_t>(out.size()), 4);
  put(out, 14, b.info_size, 4);
  put(out, 18, static_cast<uint32_t>(b.width), 4);
  put(out, 22, static_cast<uint32_t>(b.height), 4);
  put(out, 26, 1, 2);
  put(out, 28, static_cast<uint32_t>(b.bits), 2);
  put(out, 30, b.compression, 4);
  put(out, 46, static_cast<uint32_t>(b.palette.size()), 4);
  const int row_bytes = (b.width * b.bits + 31) / 32 * 4;
  for (Bytes row : b.rows) {
    row.resize(static_cast<size_t>(row_bytes));
    append(out, row);
  }
  put(out, 2, static_cast<uint32_t>(out.size()), 4);
  return out;
}

struct Tga {
  int kind = 2, width = 1, height = 1, bits = 24, descriptor = 0;
  Bytes data = {};
  int palette_first = 0, palette_bits = 0;
  std::vector<Bytes> palette = {};
};

Bytes tga(const Tga& t) {
  Bytes out(18);
  out[1] = t.palette.empty() ? 0 : 1;
  out[2] = static_cast<uint8_t>(t.kind);
  put(out, 3, static_cast<uint32_t>(t.palette_first), 2);
  put(out, 5, static_cast<uint32_t>(t.palette.size()), 2);
  out[7] = static_cast<uint8_t>(t.palette_bits);
  put(out, 12, static_cast<uint32_t>(t.width), 2);
  put(out, 14, static_cast<uint32_t>(t.height), 2);
  out[16] = static_cast<uint8_t>(t.bits);
  out[17] = static_cast<uint8_t>(t.descriptor);
  for (const Bytes& entry : t.palette) append(out, entry);
  append(out, t.data);
  return out;
}

std::vector<int> values_in(const Bytes& file, const ImageReadOptions& options = {}) {
  return values_of(decode_image(file, "a.img", options));
}

LabelFile label_in(const Bytes& file) {
  TemporaryFolder folder;
  write_bytes(folder.file("a.img"), file);
  return read_label_file(folder.file("a.img"));
}

const ImageReadOptions all_bits{.sixteen_bit = DepthPolicy::keep};

}  // namespace

TEST_CASE("PNM: samples of images are scaled by the largest one, those of labels are not") {
  const Bytes fifteen = bytes_in("P5 3 1 15\n" + std::string("\0\7\17", 3));
  CHECK(values_in(fifteen) == std::vector<int>{0, 119, 255});
  CHECK(values_of(label_in(fifteen).values) == std::vector<int>{0, 7, 15});
  CHECK(values_in(bytes_in("P6 1 1 100\n\x64\x32\x19")) == std::vector<int>{255, 128, 64});
  const Bytes wide = bytes_in("P5 3 1 4095\n" + std::string("\0\0\x08\0\x0f\xff", 6));
  CHECK_SAYS(ErrorKind::data, values_in(wide), "PGM, 16 bit", "data.sixteen_bit=reduce");
  CHECK(values_of<int32_t>(decode_image(wide, "a.pgm", all_bits)) == std::vector<int>{0, 32776, 65535});
  CHECK(values_in(wide, {.sixteen_bit = DepthPolicy::reduce}) == std::vector<int>{0, 128, 255});
  CHECK(values_of<int32_t>(label_in(wide).values) == std::vector<int>{0, 2048, 4095});
  const Bytes full = bytes_in("P5 2 1 65535\n\x12\x34\xff\xff");
  CHECK(values_of<int32_t>(decode_image(full, "a.pgm", all_bits)) == std::vector<int>{0x1234, 0xffff});
  CHECK(values_in(bytes_in("P5 2 1 255\n\x12\xff")) == std::vector<int>{0x12, 0xff});
}

TEST_CASE("PNM: blanks and comments in the header, and what it must not say") {
  CHECK(values_in(bytes_in("P5\n# made by\n 2 # wide\n1\t255\n\1\2")) == std::vector<int>{1, 2});
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 4294967297 1 9\n\1")), "width", "too large");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 1 99999999999999999999 9\n\1")), "height", "too large");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 1 1 4294967551\n\1")), "largest sample", "too large");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 1 1 0\n\1")), "1 to 65535", "says 0");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 1 1 70000\n\1\1\1")), "1 to 65535");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 -1 1 9\n\1")), "width", "not a number");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 0 1 9\n\1")), "no pixels");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 1 1 9x\1")), "white space");
  CHECK_SAYS(ErrorKind::data, values_in(bytes_in("P5 2 1 15\n\1\20")), "a sample is 16", "15");
  for (const char* text : {"P1 1 1\n1", "P2 1 1 9\n1", "P3 1 1 9\n1 1 1", "P4 1 1\n1", "P7\nWIDTH 1\n"})
    CHECK_SAYS(ErrorKind::data, values_in(bytes_in(text)), "P5, P6", "Convert it to PNG");
}

TEST_CASE("BMP: every depth, from the bottom up and from the top down") {
  const std::vector<Color> colors = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {1, 2, 3}};
  struct Case {
    int bits;
    Bytes top, bottom;
    std::vector<Color> palette;
    std::vector<int> expected;
  };
  const std::vector<int> indexed = {40, 50, 60, 10, 20, 30, 10, 20, 30, 40, 50, 60};
  const std::vector<Case> cases = {
      {1, {0b10000000}, {0b01000000}, {colors[0], colors[1]}, indexed},
      {2, {0b01'00'0000}, {0b00'01'0000}, colors, indexed},
      {4, {0x10}, {0x01}, colors, indexed},
      {8, {1, 0}, {0, 1}, colors, indexed},
      // 5 bits each; 24 of 31 is 198 of 255.
      {16,
       {0x1f, 0x00, 0xe0, 0x03},
       {0x00, 0x7c, 0x00, 0x60},
       {},
       {0, 0, 255, 0, 255, 0, 255, 0, 0, 198, 0, 0}},
      {24, {3, 2, 1, 6, 5, 4}, {9, 8, 7, 12, 11, 10}, {}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
      {32,
       {3, 2, 1, 0, 6, 5, 4, 0},
       {9, 8, 7, 0, 12, 11, 10, 0},
       {},
       {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
  };
  for (const Case& c : cases) {
    INFO(c.bits << " bits");
    const Bytes up =
        bmp({.width = 2, .height = 2, .bits = c.bits, .rows = {c.bottom, c.top}, .palette = c.palette});
    const Bytes down =
        bmp({.width = 2, .height = -2, .bits = c.bits, .rows = {c.top, c.bottom}, .palette = c.palette});
    CHECK(decode_image(up, "a.bmp").shape() == Shape{2, 2, 3});
    CHECK(values_in(up) == c.expected);
    CHECK(values_in(down) == c.expected);
  }
}

TEST_CASE("BMP: the fourth byte of 32 bits is transparency only where it can be") {
  const auto with = [](uint8_t a, uint8_t b, uint32_t compression, std::vector<uint32_t> masks,
                       uint32_t info_size = 40) {
    return bmp({.width = 2,
                .height = 1,
                .bits = 32,
                .rows = {{3, 2, 1, a, 6, 5, 4, b}},
                .compression = compression,
                .masks = std::move(masks),
                .info_size = info_size});
  };
  const std::vector<int> colors = {1, 2, 3, 4, 5, 6};
  const std::vector<uint32_t> rgb = {0xff0000, 0xff00, 0xff}, rgba = {0xff0000, 0xff00, 0xff, 0xff000000};
  CHECK(values_in(with(0, 0, 0, {})) == colors);
  CHECK(values_in(with(255, 255, 0, {})) == colors);
  CHECK(values_in(with(9, 7, 3, rgb)) == colors);  // no mask takes it
  CHECK(values_in(with(0, 0, 3, rgba, 108)) == colors);
  CHECK_SAYS(ErrorKind::data, values_in(with(9, 7, 0, {})), "alpha", "data.alpha=drop");
  CHECK(values_in(with(9, 7, 0, {}), {.alpha = AlphaPolicy::drop}) == colors);
  CHECK(values_in(with(9, 7, 3, rgba, 108), {.alpha = AlphaPolicy::keep}) ==
        std::vector<int>{1, 2, 3, 9, 4, 5, 6, 7});
  CHECK(values_in(with(255, 255, 3, rgba, 108), {.alpha = AlphaPolicy::keep}).size() ==
        8);  // the file says so
  const Bytes five_six_five = bmp({.width = 1,
                                   .height = 1,
                                   .bits = 16,
                                   .rows = {{0xe0, 0x07}},
                                   .compression = 3,
                                   .masks = {0xf800, 0x7e0, 0x1f}});
  CHECK(values_in(five_six_five) == std::vector<int>{0, 255, 0});
}

TEST_CASE("BMP: labels are indices, and colours as stored") {
  const std::vector<Color> palette = {{9, 9, 9}, {1, 2, 3}};
  const LabelFile label =
      label_in(bmp({.width = 3, .height = 1, .bits = 8, .rows = {{1, 0, 7}}, .palette = palette}));
  CHECK(values_of(label.values) ==
        std::vector<int>{1, 0, 7});  // the label map judges values, not the palette
  CHECK(label.palette == palette);
  CHECK(label.format == "BMP palette, 8 bit");
  CHECK(label_in(bmp({.rows = {{3, 2, 1}}})).is_rgb);
  CHECK_SAYS(ErrorKind::data,
             values_in(bmp({.width = 1, .height = 1, .bits = 8, .rows = {{7}}, .palette = palette})),
             "index 7", "2 colours");
}

TEST_CASE("BMP: what is not read is named") {
  for (const uint32_t compression : {1u, 2u, 4u, 5u})
    CHECK_SAYS(ErrorKind::data, values_in(bmp({.bits = 8, .rows = {{0}}, .compression = compression})),
               "compressed BMP", "Convert it to PNG");
  CHECK_SAYS(ErrorKind::data, values_in(bmp({.bits = 12, .rows = {{0}}})), "12 bits");
  CHECK_SAYS(
      ErrorKind::data,
      values_in(bmp({.bits = 32, .rows = {{0}}, .compression = 3, .masks = {0x3ff00000, 0xffc00, 0x3ff}})),
      "masks");
  CHECK_SAYS(ErrorKind::data, values_in(bmp({.width = 0, .height = 1})), "no pixels");
  CHECK_SAYS(ErrorKind::data, values_in(bmp({.width = -1, .height = 1})), "no pixels");
  Bytes strange = bmp({.rows = {{3, 2, 1}}});
  put(strange, 14, 20, 4);
  CHECK_SAYS(ErrorKind::data, values_in(strange), "20 bytes");
}

TEST_CASE("TGA: colour, grey, palette, runs, and where the first pixel lies") {
  const Bytes two = {3, 2, 1, 6, 5, 4};
  CHECK(values_in(tga({.width = 2, .data = two})) == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(values_in(tga({.width = 2, .descriptor = 0x10, .data = two})) == std::vector<int>{4, 5, 6, 1, 2, 3});
  CHECK(values_in(tga({.height = 2, .data = two})) == std::vector<int>{4, 5, 6, 1, 2, 3});
  CHECK(values_in(tga({.height = 2, .descriptor = 0x20, .data = two})) == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(values_in(tga({.kind = 3, .width = 2, .bits = 8, .data = {7, 9}})) == std::vector<int>{7, 9});
  CHECK(values_in(tga({.bits = 16, .data = {0x00, 0x7c}})) == std::vector<int>{255, 0, 0});
  // A run of three, then two pixels as they are.
  CHECK(values_in(tga({.kind = 11, .width = 5, .bits = 8, .data = {0x82, 4, 1, 5, 6}})) ==
        std::vector<int>{4, 4, 4, 5, 6});
  const std::vector<Bytes> palette = {{3, 2, 1}, {6, 5, 4}};
  const auto indexed = [&](uint8_t index) {
    return tga({.kind = 1,
                .width = 1,
                .bits = 8,
                .data = {index},
                .palette_first = 4,
                .palette_bits = 24,
                .palette = palette});
  };
  CHECK(values_in(indexed(5)) == std::vector<int>{4, 5, 6});
  CHECK_SAYS(ErrorKind::data, values_in(indexed(6)), "index 6", "4 to 5");
  CHECK_SAYS(ErrorKind::data, values_in(tga({.kind = 11, .width = 2, .bits = 8, .data = {0x82, 4}})),
             "past the last pixel");
  CHECK_SAYS(ErrorKind::data, values_in(tga({.descriptor = 0x40, .data = {1, 2, 3}})), "interleaved");
  CHECK_SAYS(ErrorKind::data, label_in(tga({.kind = 3, .bits = 8, .data = {1}})), "Got TGA", "PNG");
}

TEST_CASE("TGA: 32 bits have transparency where the header counts it") {
  const auto with = [](int declared, uint8_t a) {
    return tga({.bits = 32, .descriptor = declared, .data = {3, 2, 1, a}});
  };
  CHECK(values_in(with(0, 0)) == std::vector<int>{1, 2, 3});
  CHECK(values_in(with(0, 255)) == std::vector<int>{1, 2, 3});
  CHECK(values_in(with(8, 0)) == std::vector<int>{1, 2, 3});
  CHECK_SAYS(ErrorKind::data, values_in(with(8, 255)), "alpha");
  CHECK_SAYS(ErrorKind::data, values_in(with(0, 100)), "alpha");
}

TEST_CASE("BMP, PNM, TGA: one missing byte is an error, in images and in labels") {
  const std::vector<Color> palette = {{9, 9, 9}, {1, 2, 3}};
  Bytes row(18, 5);
  const std::vector<std::pair<std::string, Bytes>> files = {
      {"PGM", bytes_in("P5 6 2 255\n" + std::string(12, '\5'))},
      {"PGM 16", bytes_in("P5 6 2 4095\n" + std::string(24, '\5'))},
      {"PPM", bytes_in("P6 3 2 15\n" + std::string(18, '\5'))},
      {"BMP 1", bmp({.width = 6, .height = 2, .bits = 1, .rows = {{0x40}, {0x40}}, .palette = palette})},
      {"BMP 8",
       bmp({.width = 6, .height = 2, .bits = 8, .rows = {Bytes(6, 1), Bytes(6, 1)}, .palette = palette})},
      {"BMP 24", bmp({.width = 6, .height = 2, .rows = {row, row}})},
      {"BMP 32", bmp({.width = 2, .height = -2, .bits = 32, .rows = {Bytes(8, 0), Bytes(8, 0)}})},
      {"BMP masks", bmp({.width = 2,
                         .height = 1,
                         .bits = 16,
                         .rows = {Bytes(4, 9)},
                         .compression = 3,
                         .masks = {0xf800, 0x7e0, 0x1f}})},
      {"TGA", tga({.width = 3, .height = 2, .data = row})},
      {"TGA grey", tga({.kind = 3, .width = 9, .height = 2, .bits = 8, .data = row})},
      {"TGA runs", tga({.kind = 10, .width = 5, .height = 1, .data = {0x82, 1, 2, 3, 1, 4, 5, 6, 7, 8, 9}})},
      {"TGA palette", tga({.kind = 1,
                           .width = 2,
                           .bits = 8,
                           .data = {0, 1},
                           .palette_bits = 24,
                           .palette = {{1, 1, 1}, {2, 2, 2}}})},
  };
  for (const auto& [what, whole] : files) {
    CHECK_NOTHROW(decode_image(whole, what, all_bits));
    const bool is_label = what.rfind("TGA", 0) != 0;
    if (is_label) CHECK_NOTHROW(label_in(whole));
    for (size_t n = 0; n < whole.size(); ++n) {
      INFO(what << " cut at " << n << " of " << whole.size());
      const Bytes cut(whole.begin(), whole.begin() + static_cast<int64_t>(n));
      CHECK_SAYS(ErrorKind::data, decode_image(cut, "cut.img", all_bits), "cut.img");
      if (is_label) CHECK_SAYS(ErrorKind::data, label_in(cut), "a.img");
    }
    const Bytes last(whole.begin(), whole.end() - 1);
    CHECK_SAYS(ErrorKind::data, decode_image(last, "cut.img", all_bits), "ends early");
  }
}

TEST_CASE("data check: a cut label and a cut image are errors of their own") {
  TemporaryFolder folder;
  write_png(folder.file("a.png"), ramp({4, 4, 3}));
  write_text(folder.file("whole.pgm"), "P5 4 4 255\n" + std::string(16, '\1'));
  write_text(folder.file("cut.pgm"), "P5 4 4 255\n" + std::string(15, '\1'));
  write_bytes(folder.file("cut.bmp"), bmp({.width = 4, .height = 4, .rows = {Bytes(12, 7)}}));
  write_text(folder.file("train.txt"), "a.png cut.pgm\ncut.bmp whole.pgm\n");
  DataOptions options;
  options.root = folder.path();
  const CheckReport report = check_data(options, 2, 3, {"train"});
  CHECK(report.errors() == 2);
  CHECK_THAT(report.table(),
             Catch::Contains("cut.pgm] PGM, 8 bit could not be read: the file ends early") &&
                 Catch::Contains("cut.bmp] BMP RGB, 24 bit could not be read: the file ends early"));
}
