#include "data/image_io.h"

#include <png.h>

#include "data/codecs.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

TEST_CASE("PNG: what is written is read back, grey, RGB and palette") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  const Tensor grey = ramp({5, 7}), rgb = ramp({5, 7, 3});
  write_png(path, grey);
  CHECK(values_of(read_image(path)) == values_of(grey));
  CHECK(read_image(path).shape() == Shape{5, 7, 1});
  write_png(path, rgb);
  CHECK(same(read_image(path), rgb));
  const std::vector<Color> palette = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
  const Tensor index = pixels({2, 2}, {0, 2, 1, 2});
  write_png(path, index, palette);
  CHECK(values_of(read_image(path)) == std::vector<int>{1, 2, 3, 7, 8, 9, 4, 5, 6, 7, 8, 9});
  const LabelFile label = read_label_file(path);
  CHECK(same(label.values, index));  // indices, never colours
  CHECK_FALSE(label.is_rgb);
  CHECK(label.palette == palette);
  CHECK(label.format == "PNG palette, 8 bit");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) ==
        1);  // no temporary file is left
}

TEST_CASE("PNG: grey of 1, 2 and 4 bits is scaled in images, kept in labels") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_raw_png(path, {.width = 3, .height = 1, .bit_depth = 2, .rows = {{0b00'01'11'00}}});
  CHECK(values_of(read_image(path)) == std::vector<int>{0, 85, 255});
  CHECK(values_of(read_label_file(path).values) == std::vector<int>{0, 1, 3});
  write_raw_png(path, {.width = 3, .height = 1, .bit_depth = 1, .rows = {{0b01000000}}});
  CHECK(values_of(read_label_file(path).values) == std::vector<int>{0, 1, 0});
  write_raw_png(path, {.width = 3,
                       .height = 1,
                       .bit_depth = 4,
                       .color_type = PNG_COLOR_TYPE_PALETTE,
                       .palette = {{9, 9, 9}, {1, 2, 3}},
                       .rows = {{0x10, 0x10}}});
  CHECK(values_of(read_label_file(path).values) == std::vector<int>{1, 0, 1});
}

TEST_CASE("PNG: palette labels with transparency still give indices") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_raw_png(path, {.width = 2,
                       .height = 1,
                       .color_type = PNG_COLOR_TYPE_PALETTE,
                       .palette = {{9, 9, 9}, {1, 2, 3}},
                       .transparency = {0},
                       .rows = {{1, 0}}});
  CHECK(values_of(read_label_file(path).values) == std::vector<int>{1, 0});
  CHECK_SAYS(ErrorKind::data, read_image(path), "alpha", "data.alpha=drop");
}

TEST_CASE("PNG: an index without a colour is an error in an image, and a value in a label") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  for (const int depth : {8, 4}) {
    const uint8_t two = depth == 8 ? 2 : 0x20;  // the third colour of two
    write_raw_png(path, {.width = 1,
                         .height = 1,
                         .bit_depth = depth,
                         .color_type = PNG_COLOR_TYPE_PALETTE,
                         .palette = {{9, 9, 9}, {1, 2, 3}},
                         .rows = {{two}}});
    CHECK_SAYS(ErrorKind::data, read_image(path), "a.png", "index 2", "2 colours");
    CHECK(values_of(read_label_file(path).values) == std::vector<int>{2});
  }
  write_raw_png(path, {.width = 2,
                       .height = 1,
                       .color_type = PNG_COLOR_TYPE_PALETTE,
                       .palette = {{9, 9, 9}, {1, 2, 3}},
                       .transparency = {7},
                       .rows = {{1, 0}}});
  CHECK(values_of(read_image(path, {.alpha = AlphaPolicy::keep})) ==
        std::vector<int>{1, 2, 3, 255, 9, 9, 9, 7});
}

TEST_CASE("images of other channels than the model's: the advice fits") {
  const auto says = [](int64_t have, int64_t wanted) {
    return message_of(ErrorKind::data, [&] { with_channels(ramp({2, 2, have}), wanted, "a.png"); });
  };
  CHECK_THAT(says(4, 3),
             Catch::Contains("data.alpha=drop") && Catch::Contains("train with model.in_channels=4"));
  CHECK_THAT(says(2, 1), Catch::Contains("data.alpha=drop"));
  CHECK_THAT(says(3, 4), Catch::Contains("to 4 channels, or train with model.in_channels=3"));
  CHECK_THAT(says(3, 1), Catch::Contains("Convert the images to grey"));
  CHECK_THAT(says(4, 1), Catch::Contains("Convert the images to grey"));
}

TEST_CASE("PNG: interlaced files") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  const Tensor image = ramp({9, 10});
  RawPng raw{.width = 10, .height = 9, .interlace = PNG_INTERLACE_ADAM7};
  for (int64_t y = 0; y < 9; ++y)
    raw.rows.emplace_back(image.data<uint8_t>() + y * 10, image.data<uint8_t>() + y * 10 + 10);
  write_raw_png(path, raw);
  CHECK(values_of(read_image(path)) == values_of(image));
}

TEST_CASE("PNG: 16 bits only if asked") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_raw_png(path, {.width = 2, .height = 1, .bit_depth = 16, .rows = {{0x12, 0x34, 0xff, 0xfe}}});
  CHECK_SAYS(ErrorKind::data, read_image(path), "a.png", "16 bit", "data.sixteen_bit=reduce");
  CHECK(values_of(read_image(path, {.sixteen_bit = DepthPolicy::reduce})) == std::vector<int>{0x12, 0xff});
  const Tensor all = read_image(path, {.sixteen_bit = DepthPolicy::keep});
  CHECK(values_of<int32_t>(all) == std::vector<int>{0x1234, 0xfffe});
  const LabelFile label = read_label_file(path);
  CHECK(label.bit_depth == 16);
  CHECK(values_of<int32_t>(label.values) == std::vector<int>{0x1234, 0xfffe});
}

TEST_CASE("PNG: alpha only if asked") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_raw_png(path,
                {.width = 1, .height = 1, .color_type = PNG_COLOR_TYPE_RGB_ALPHA, .rows = {{1, 2, 3, 4}}});
  CHECK_SAYS(ErrorKind::data, read_image(path), "a.png", "no alpha channel", "data.alpha=drop");
  CHECK_SAYS(ErrorKind::data, read_label_file(path), "labels must have no alpha channel");
  CHECK(values_of(read_image(path, {.alpha = AlphaPolicy::drop})) == std::vector<int>{1, 2, 3});
  CHECK(values_of(read_image(path, {.alpha = AlphaPolicy::keep})) == std::vector<int>{1, 2, 3, 4});
  write_raw_png(path, {.width = 1, .height = 1, .color_type = PNG_COLOR_TYPE_GRAY_ALPHA, .rows = {{7, 8}}});
  CHECK(values_of(read_image(path, {.alpha = AlphaPolicy::drop})) == std::vector<int>{7});
}

TEST_CASE("PNG: every truncation is an error, never a picture") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_png(path, ramp({12, 12, 3}));
  const std::vector<uint8_t> whole = bytes_of(path);
  for (size_t n = 0; n < whole.size(); ++n) {
    CHECK_THROWS_AS(decode_image(std::span(whole).first(n), "cut.png"), Error);
  }
  const auto half = std::span(whole).first(whole.size() / 2);
  CHECK_SAYS(ErrorKind::data, decode_image(half, "cut.png"), "cut.png", "PNG RGB, 8 bit",
             "the file ends early");
}

TEST_CASE("PNG: every flipped byte is caught by a checksum or by the format") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_png(path, ramp({12, 12, 3}));
  std::vector<uint8_t> bytes = bytes_of(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 0x55;
    INFO("byte " << i);
    CHECK_THROWS_AS(decode_image(bytes, "bad.png"), Error);
    bytes[i] ^= 0x55;
  }
  bytes[bytes.size() - 14] ^= 1;  // the checksum of the pixels
  CHECK_SAYS(ErrorKind::data, decode_image(bytes, "bad.png"), "bad.png", "CRC");
}

namespace {

// Sets width and height in the header, with the right checksum.
std::vector<uint8_t> png_claiming(std::vector<uint8_t> png, uint32_t width, uint32_t height) {
  for (size_t i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<uint8_t>(width >> (24 - 8 * i));
    png[20 + i] = static_cast<uint8_t>(height >> (24 - 8 * i));
  }
  uint32_t crc = 0xffffffffu;
  for (size_t i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  crc = ~crc;
  for (size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
  return png;
}

}  // namespace

TEST_CASE("decode bombs: a header cannot make the reader allocate") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_png(path, ramp({4, 4}));
  const std::vector<uint8_t> png = bytes_of(path);
  const int64_t before = allocator_stats().allocations;
  CHECK_SAYS(ErrorKind::data, decode_image(png_claiming(png, 60000, 60000), "b.png"), "b.png", "at most",
             "60000 x 60000");
  CHECK_SAYS(ErrorKind::data, decode_image(png_claiming(png, 16000, 16000), "b.png"),
             "more than a file of this size can hold");
  CHECK_SAYS(ErrorKind::data, decode_image(png_claiming(png, 0x7fffffff, 1), "b.png"), "b.png");
  CHECK_THROWS_AS(decode_image(png_claiming(png, 0, 4), "b.png"), Error);
  CHECK_THROWS_AS(decode_image(png_claiming(png, 0xffffffff, 4), "b.png"), Error);

  std::vector<uint8_t> jpeg = jpeg_blocks(2, 2, {0, 50, 100, 150}, 3, 0);
  for (size_t i = 2; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] != 0xff || jpeg[i + 1] != 0xc0) continue;
    for (size_t k = 5; k < 9; ++k) jpeg[i + k] = 0xfe;  // 65278 x 65278
    break;
  }
  CHECK_SAYS(ErrorKind::data, decode_image(jpeg, "b.jpg"), "b.jpg", "65278 x 65278");

  std::string bmp(54, '\0');
  bmp.replace(0, 2, "BM");
  bmp[10] = 54, bmp[14] = 40, bmp[19] = 64, bmp[23] = 64, bmp[26] = 1, bmp[28] = 24;  // 16384 x 16384
  const std::string pgm = "P5 16000 16000 255\n1234", tga("\0\0\2\0\0\0\0\0\0\0\0\0\0\x40\0\x40\x18\0", 18);
  for (const std::string& text : {bmp, pgm, tga}) {
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    CHECK_SAYS(ErrorKind::data, decode_image(bytes, "b.img"), "the file ends early");
  }
  CHECK(allocator_stats().allocations == before);
}

TEST_CASE("limits of the caller: bytes and pixels") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_png(path, ramp({10, 10}));
  CHECK_SAYS(ErrorKind::data, read_image(path, {.limits = {.max_pixels = 99}}), "at most 99 pixels",
             "10 x 10");
  CHECK_SAYS(ErrorKind::data, read_image(path, {.limits = {.max_file_bytes = 50}}),
             "more than the limit of 50");
  CHECK_NOTHROW(read_image(path, {.limits = {.max_pixels = 100}}));
}

TEST_CASE("JPEG: grey and RGB; the content decides, not the name") {
  TemporaryFolder folder;
  const std::string path = folder.file("a.png");
  write_bytes(path, jpeg_blocks(2, 1, {40, 200}, 1, 0));
  const Tensor grey = read_image(path);
  CHECK(grey.shape() == Shape{8, 16, 1});
  CHECK(std::abs(grey.data<uint8_t>()[0] - 40) <= 1);
  CHECK(std::abs(grey.data<uint8_t>()[15] - 200) <= 1);
  write_bytes(path, jpeg_blocks(2, 1, {40, 200}, 3, 0));
  CHECK(read_image(path).shape() == Shape{8, 16, 3});
  CHECK_SAYS(ErrorKind::data, read_label_file(path), "labels must be stored without loss", "JPEG", "PNG");
}

TEST_CASE("JPEG: EXIF orientation, all eight, both byte orders") {
  // Stored blocks:  10 60      What each orientation shows upright, as a grid of blocks.
  //                110 160
  //                210 250
  const std::vector<int> stored = {10, 60, 110, 160, 210, 250};
  const std::vector<std::pair<int, std::vector<int>>> upright = {
      {2, {10, 60, 110, 160, 210, 250}},  // 1
      {2, {60, 10, 160, 110, 250, 210}},  // 2: mirrored
      {2, {250, 210, 160, 110, 60, 10}},  // 3: half a turn
      {2, {210, 250, 110, 160, 10, 60}},  // 4: upside down
      {3, {10, 110, 210, 60, 160, 250}},  // 5: transposed
      {3, {210, 110, 10, 250, 160, 60}},  // 6: a quarter turn clockwise
      {3, {250, 160, 60, 210, 110, 10}},  // 7: transposed the other way
      {3, {60, 160, 250, 10, 110, 210}},  // 8: a quarter turn back
  };
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool big_endian : {false, true}) {
      const auto bytes = jpeg_blocks(2, 3, stored, 3, orientation, big_endian);
      const auto& [columns, expected] = upright[static_cast<size_t>(orientation - 1)];
      const Tensor image = decode_image(bytes, "a.jpg");
      REQUIRE(image.dim(1) == columns * 8);
      for (size_t i = 0; i < expected.size(); ++i) {
        const auto y = static_cast<int64_t>(i) / columns * 8 + 4,
                   x = static_cast<int64_t>(i) % columns * 8 + 4;
        INFO("orientation " << orientation << ", block " << i);
        CHECK(std::abs(image.data<uint8_t>()[(y * image.dim(1) + x) * 3] - expected[i]) <= 2);
      }
      CHECK(decode_image(bytes, "a.jpg", {.apply_exif = false}).shape() == Shape{24, 16, 3});
    }
  }
}

TEST_CASE("JPEG: malformed EXIF is no orientation, and never read past its end") {
  const std::vector<uint8_t> good = jpeg_blocks(1, 1, {9}, 1, 6);
  CHECK(codecs::exif_orientation(good) == 6);
  for (size_t n = 0; n < good.size(); ++n) CHECK(codecs::exif_orientation(std::span(good).first(n)) <= 6);
  for (size_t i = 4; i < 40; ++i) {
    for (const int value : {0, 9, 0x7f, 0xff}) {
      std::vector<uint8_t> bad = good;
      bad[i] = static_cast<uint8_t>(value);
      const int orientation = codecs::exif_orientation(bad);
      CHECK((orientation >= 1 && orientation <= 8));
    }
  }
}

TEST_CASE("JPEG: truncated and damaged files are errors") {
  const std::vector<uint8_t> whole = jpeg_blocks(6, 6, std::vector<int>(36, 77), 3, 0);
  for (size_t n = 0; n + 2 < whole.size(); ++n) {
    INFO("cut at " << n << " of " << whole.size());
    CHECK_THROWS_AS(decode_image(std::span(whole).first(n), "cut.jpg"), Error);
  }
  CHECK_SAYS(ErrorKind::data, decode_image(std::span(whole).first(whole.size() - 20), "cut.jpg"), "cut.jpg",
             "JPEG");
}

TEST_CASE("PGM, PPM, BMP and TGA") {
  const std::string pgm = "P5 3 1 255\n\x01\x02\x03", ppm = "P6 1 1 255\n\x05\x06\x07";
  CHECK(values_of(decode_image(std::vector<uint8_t>(pgm.begin(), pgm.end()), "a.pgm")) ==
        std::vector<int>{1, 2, 3});
  CHECK(values_of(decode_image(std::vector<uint8_t>(ppm.begin(), ppm.end()), "a.ppm")) ==
        std::vector<int>{5, 6, 7});
  std::string bmp(58, '\0');
  bmp.replace(0, 2, "BM");
  bmp[2] = 58, bmp[10] = 54, bmp[14] = 40, bmp[18] = 1, bmp[22] = 1, bmp[26] = 1, bmp[28] = 24;
  bmp[54] = 3, bmp[55] = 2, bmp[56] = 1;
  CHECK(values_of(decode_image(std::vector<uint8_t>(bmp.begin(), bmp.end()), "a.bmp")) ==
        std::vector<int>{1, 2, 3});
  const std::string tga("\0\0\2\0\0\0\0\0\0\0\0\0\1\0\1\0\x18\0\3\2\1", 21);
  CHECK(values_of(decode_image(std::vector<uint8_t>(tga.begin(), tga.end()), "a.tga")) ==
        std::vector<int>{1, 2, 3});
  TemporaryFolder folder;
  write_text(folder.file("a.pgm"), pgm);
  CHECK(values_of(read_label_file(folder.file("a.pgm")).values) == std::vector<int>{1, 2, 3});
  write_text(folder.file("a.tga"), tga);
  CHECK_SAYS(ErrorKind::data, read_label_file(folder.file("a.tga")), "labels must be PNG, PGM, PPM or BMP");
}

TEST_CASE("files that are no images say what they are") {
  TemporaryFolder folder;
  const std::string path = folder.file("x.png");
  write_text(path, "");
  CHECK_SAYS(ErrorKind::data, read_image(path), "x.png", "empty");
  write_text(path, "hello, this is text");
  CHECK_SAYS(ErrorKind::data, read_image(path), "x.png", "unknown format");
  write_text(path, "GIF89a.......");
  CHECK_SAYS(ErrorKind::data, read_image(path), "GIF", "Convert it to PNG");
  CHECK_SAYS(ErrorKind::data, read_image(folder.file("none.png")), "none.png", "does not exist");
  CHECK_SAYS(ErrorKind::data, read_image(folder.path()), "not a file");
}

TEST_CASE("a lack of memory in a library is no fault of the file") {
  for (const char* text :
       {"IDAT: insufficient memory to read chunk", "Insufficient memory (case 4)", "out of memory"})
    CHECK_SAYS(ErrorKind::memory, codecs::bad_image({"image", "a.png"}, "PNG", text), "a.png", text);
  CHECK_SAYS(ErrorKind::data, codecs::bad_image({"image", "a.png"}, "PNG", "IDAT: CRC error"), "a.png",
             "CRC error");
}

TEST_CASE("unwritable output is an I/O error that names the file") {
  CHECK_SAYS(ErrorKind::io, write_png("/nonexistent/folder/a.png", ramp({2, 2})), "/nonexistent/folder/a.png",
             "No such file");
  if (fs::exists("/dev/full")) {
    // The temporary name lies beside the target: a folder in the way of the rename shows that nothing is left
    // behind.
    TemporaryFolder folder;
    fs::create_directories(folder.file("a.png") + "/in_the_way");
    CHECK_SAYS(ErrorKind::io, write_png(folder.file("a.png"), ramp({2, 2})), "a.png", "Is a directory");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
  }
  const std::vector<Color> two(2);
  CHECK_SAYS(ErrorKind::usage, write_png("never.png", pixels({1, 1}, {2}), two), "index 2 has no colour");
}

TEST_CASE("PNG: indices of 16 bits are written and read back") {
  TemporaryFolder folder;
  const Tensor values = Tensor::empty({2, 2}, DType::i32);
  const int numbers[] = {0, 255, 256, 65535};
  std::copy_n(numbers, 4, values.data<int32_t>());
  write_png_16(folder.file("a.png"), values);
  const LabelFile label = read_label_file(folder.file("a.png"));
  CHECK(label.bit_depth == 16);
  CHECK(values_of<int32_t>(label.values) == std::vector<int>{0, 255, 256, 65535});
  values.data<int32_t>()[3] = 65536;
  CHECK_SAYS(ErrorKind::usage, write_png_16(folder.file("a.png"), values), "65536");
}

TEST_CASE("a picture encoded in memory is the file that would be written") {
  for (const Shape& shape : {Shape{3, 5, 3}, Shape{4, 2, 1}}) {
    const Tensor image = ramp(shape);
    const std::string bytes = encode_png(image);
    const Tensor back =
        decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "memory");
    REQUIRE(back.shape() == shape);
    CHECK(std::equal(image.data<uint8_t>(), image.data<uint8_t>() + image.numel(), back.data<uint8_t>()));
  }
  CHECK_THROWS_WITH(encode_png(Tensor::zeros({2, 2, 3})), Catch::Contains("u8"));
}
