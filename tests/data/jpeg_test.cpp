// What libjpeg remarks on: header fields that change nothing are read and said, damaged data is an error.
#include <png.h>

#include <algorithm>

#include "data/check.h"
#include "data/codecs.h"
#include "data/notes.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Bytes = std::vector<uint8_t>;

// Colours that vary from block to block.
RawJpeg picture(int channels = 3) {
  RawJpeg raw{.width = 24, .height = 16, .channels = channels};
  for (int i = 0; i < raw.width * raw.height * channels; ++i)
    raw.samples.push_back(static_cast<uint8_t>(i * 7 + i / 50));
  return raw;
}

// Where the marker 0xff `code` stands, the `number`-th of its kind.
size_t find_marker(const Bytes& jpeg, uint8_t code, int number = 0) {
  for (size_t i = 0; i + 1 < jpeg.size(); ++i) {
    if (jpeg[i] == 0xff && jpeg[i + 1] == code && number-- == 0) return i;
  }
  FAIL("the marker is not there");
  return 0;
}

int count_markers(const Bytes& jpeg, uint8_t code) {
  int count = 0;
  for (size_t i = 0; i + 1 < jpeg.size(); ++i) count += jpeg[i] == 0xff && jpeg[i + 1] == code;
  return count;
}

Bytes first(const Bytes& bytes, size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<int64_t>(count)};
}

Bytes with_end(Bytes bytes) {
  bytes.push_back(0xff);
  bytes.push_back(0xd9);
  return bytes;
}

// Reads it as a file of this name; gives the remarks.
std::vector<std::string> remarks_on(const Bytes& jpeg, const std::string& name, const Tensor& expected) {
  print_note_counts();  // forgets those of other tests
  CHECK(same(decode_image(jpeg, name), expected));
  std::vector<std::string> out;
  for (const Note& n : notes()) {
    CHECK(n.first_file == name);
    out.push_back(n.what);
  }
  return out;
}

}  // namespace

TEST_CASE("JPEG: remarks on the header change no pixel, and are said") {
  const Bytes good = encode_jpeg(picture());
  const Tensor expected = decode_image(good, "good.jpg");
  CHECK(remarks_on(good, "good.jpg", expected).empty());

  Bytes scan = good;
  const size_t sos = find_marker(scan, 0xda);
  std::fill_n(scan.begin() + static_cast<int64_t>(sos) + 5 + 2 * 3, 3, uint8_t{0});  // Ss, Se, Ah and Al
  CHECK_THAT(remarks_on(scan, "samsung.jpg", expected).at(0), Catch::Contains("scan parameters"));

  Bytes jfif = good;
  jfif[find_marker(jfif, 0xe0) + 9] = 2;
  CHECK_THAT(remarks_on(jfif, "new.jpg", expected).at(0), Catch::Contains("revision of JFIF"));

  // Adobe's marker in place of JFIF's.
  Bytes adobe = good;
  const auto app0 = adobe.begin() + static_cast<int64_t>(find_marker(adobe, 0xe0));
  const Bytes app14 = {0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 7};
  adobe.insert(adobe.erase(app0, app0 + 18), app14.begin(), app14.end());
  CHECK_THAT(remarks_on(adobe, "adobe.jpg", expected).at(0), Catch::Contains("Adobe colour transform 7"));
}

TEST_CASE("JPEG: without its end marker a file is read if all pixels are there") {
  for (const bool progressive : {false, true}) {
    RawJpeg raw = picture();
    raw.progressive = progressive;
    const Bytes good = encode_jpeg(raw);
    const Tensor expected = decode_image(good, "good.jpg");
    for (const size_t missing : {1u, 2u}) {
      INFO((progressive ? "progressive, " : "sequential, ") << missing << " bytes missing");
      const auto said = remarks_on(first(good, good.size() - missing), "cut.jpg", expected);
      REQUIRE(said.size() == 1);
      CHECK_THAT(said[0], Catch::Contains("EOI"));
    }
    for (size_t n = 2; n + 2 < good.size(); ++n) {
      INFO((progressive ? "progressive, " : "sequential, ") << "cut at " << n << " of " << good.size());
      CHECK_THROWS_AS(decode_image(first(good, n), "cut.jpg"), Error);
    }
  }
}

TEST_CASE("JPEG: a missing scan is an error, with and without an end marker") {
  RawJpeg raw = picture();
  raw.separate_scans = true;
  const Bytes good = encode_jpeg(raw);
  REQUIRE(count_markers(good, 0xda) == 3);
  for (const int kept : {1, 2}) {
    const Bytes cut = first(good, find_marker(good, 0xda, kept));
    CHECK_SAYS(ErrorKind::data, decode_image(cut, "cut.jpg"), "ends early");
    CHECK_SAYS(ErrorKind::data, decode_image(with_end(cut), "cut.jpg"), "ends early");
  }
  CHECK(remarks_on(first(good, good.size() - 2), "end.jpg", decode_image(good, "good.jpg")).size() == 1);
}

TEST_CASE("JPEG: damaged data stays an error") {
  const Bytes good = encode_jpeg(picture());
  Bytes extra = good;  // garbage between the pixels and the end
  extra.insert(extra.end() - 2, {1, 2, 3});
  CHECK_SAYS(ErrorKind::data, decode_image(extra, "bad.jpg"), "bad.jpg", "Corrupt JPEG data");
  RawJpeg arithmetic = picture();
  arithmetic.arithmetic = true;
  const Bytes codes = encode_jpeg(arithmetic);
  CHECK(decode_image(codes, "good.jpg").shape() == Shape{16, 24, 3});
  // A decoder of arithmetic codes reads zeros where the data ends.
  CHECK_SAYS(ErrorKind::data, decode_image(first(codes, codes.size() - 2), "cut.jpg"), "ends early");
}

TEST_CASE("data check: remarks on files stand in its report") {
  print_note_counts();
  const TemporaryFolder folder;
  const Bytes good = encode_jpeg(picture());
  const Bytes open_end = first(good, good.size() - 2);
  Tensor label = Tensor::empty({16, 24}, DType::u8);
  label.fill(0);
  write_bytes(folder.file("a.jpg"), open_end);
  write_bytes(folder.file("b.jpg"), good);
  for (const char* name : {"a.png", "b.png"}) write_png(folder.file(name), label);
  write_text(folder.file("train.txt"), "a.jpg a.png\n");
  write_text(folder.file("val.txt"), "b.jpg b.png\n");
  DataOptions options;
  options.root = folder.path();
  const CheckReport report = check_data(options, 1, 3);
  CHECK_THAT(report.table(), Catch::Contains("a.jpg: ") && Catch::Contains("EOI"));
  CHECK_THAT(report.json(), Catch::Contains("EOI"));
  print_note_counts();
}

TEST_CASE("notes: each kind is said once, each file counted once") {
  print_note_counts();
  for (const char* file : {"a", "b", "a", "a"}) note("odd", file);
  note("even", "c");
  const std::vector<Note> all = notes();
  REQUIRE(all.size() == 2);
  CHECK((all[0].what == "odd" && all[0].first_file == "a" && all[0].files == 2));
  CHECK((all[1].what == "even" && all[1].files == 1));
  CHECK(all[0].line() == "note: a and 1 more: odd");
  CHECK(all[1].line() == "note: c: even");
  print_note_counts();
  CHECK(notes().empty());
}

TEST_CASE("EXIF orientation: SHORT and LONG, both byte orders, in JPEG and PNG") {
  TemporaryFolder folder;
  const std::string png = folder.file("a.png");
  for (const bool big_endian : {false, true}) {
    for (const bool is_long : {false, true}) {
      INFO((big_endian ? "big" : "little") << " endian, " << (is_long ? "LONG" : "SHORT"));
      const Bytes tiff = tiff_with_orientation(6, big_endian, is_long);
      CHECK(codecs::tiff_orientation(tiff) == 6);
      Bytes jpeg = jpeg_blocks(2, 1, {40, 200}, 1, 0);
      Bytes segment = {0xff, 0xe1, 0, static_cast<uint8_t>(8 + tiff.size()), 'E', 'x', 'i', 'f', 0, 0};
      segment.insert(segment.end(), tiff.begin(), tiff.end());
      jpeg.insert(jpeg.begin() + 2, segment.begin(), segment.end());
      CHECK(decode_image(jpeg, "a.jpg").shape() == Shape{16, 8, 1});
      CHECK(decode_image(jpeg, "a.jpg", {.apply_exif = false}).shape() == Shape{8, 16, 1});

      write_raw_png(png, {.width = 3, .height = 2, .rows = {{0, 37, 74}, {111, 148, 185}}, .exif = tiff});
      REQUIRE(values_of(read_image(png, {.apply_exif = false})) ==
              std::vector<int>{0, 37, 74, 111, 148, 185});
      CHECK(read_image(png).shape() == Shape{3, 2, 1});
      CHECK(values_of(read_image(png)) ==
            std::vector<int>{111, 0, 148, 37, 185, 74});  // a quarter turn clockwise
      CHECK_SAYS(ErrorKind::data, read_label_file(png), "EXIF orientation 6", "data.exif=ignore");
      CHECK(values_of(read_label_file(png, {}, false).values) == std::vector<int>{0, 37, 74, 111, 148, 185});
    }
  }
  // Samples of 16 bits are turned whole.
  write_raw_png(png, {.width = 2,
                      .height = 1,
                      .bit_depth = 16,
                      .rows = {{1, 2, 3, 4}},
                      .exif = tiff_with_orientation(3, true, true)});
  CHECK(values_of<int32_t>(read_image(png, {.sixteen_bit = DepthPolicy::keep})) ==
        std::vector<int>{0x304, 0x102});
}
