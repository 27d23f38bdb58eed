#include <random>

#include "data/image_io.h"
#include "tests/data/mat_files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

// Columns (1, 2), (3, 4), (5, 6) of a matrix of two rows.
const mat::Blob columns = {1, 2, 3, 4, 5, 6};

LabelFile read(const TemporaryFolder& folder, const mat::Blob& bytes) {
  write_bytes(folder.file("a.mat"), bytes);
  return read_label_file(folder.file("a.mat"));
}

}  // namespace

TEST_CASE("MATLAB: the label maps of SBD, PASCAL-Context, CrackForest and COCO-Stuff 10k, row by row") {
  TemporaryFolder folder;
  const std::vector<int> rows = {1, 3, 5, 2, 4, 6};
  const LabelFile sbd = read(folder, mat::sbd(2, 3, columns));
  CHECK(sbd.values.shape() == Shape{2, 3});
  CHECK(values_of(sbd.values) == rows);
  CHECK(sbd.format == "MATLAB GTcls.Segmentation, 8 bit");
  const auto cfd = mat::structure("groundTruth", {{"Segmentation", mat::array_u8(2, 3, "", columns)}});
  CHECK(values_of(read(folder, mat::file(cfd)).values) == rows);
  const auto stuff = mat::array(mat::kind_f64, {2, 3}, "S",
                                mat::element(mat::f64, mat::bytes_of_values<double>({1, 2, 3, 4, 5, 6})));
  CHECK(values_of(read(folder, mat::file(stuff)).values) == rows);
  const auto wide = mat::array(mat::kind_u16, {1, 2}, "LabelMap",
                               mat::element(mat::uint16, mat::bytes_of_values<uint16_t>({459, 2})));
  const LabelFile context =
      read(folder, mat::file(mat::joined({mat::array_u8(1, 1, "other", {7}), mat::zipped(wide)})));
  CHECK(context.bit_depth == 16);
  CHECK(values_of<int32_t>(context.values) == std::vector<int>{459, 2});
  // Few values lie in the tag itself.
  CHECK(
      values_of(read(folder, mat::file(mat::array(mat::kind_u8, {1, 2}, "S", mat::small(mat::uint8, {8, 9}))))
                    .values) == std::vector<int>{8, 9});
}

TEST_CASE("MATLAB: what is no label map is refused with its reason") {
  TemporaryFolder folder;
  const auto rejects = [&](const mat::Blob& bytes, const char* reason) {
    INFO(reason);
    CHECK_SAYS(ErrorKind::data, read(folder, bytes), "a.mat", "MATLAB", reason);
  };
  const auto label = [](const std::vector<int32_t>& dims, const mat::Blob& contents,
                        uint8_t kind = mat::kind_u8, uint8_t flags = 0) {
    return mat::file(mat::array(kind, dims, "LabelMap", contents, flags));
  };
  const mat::Blob six = mat::element(mat::uint8, columns);
  rejects(mat::file(mat::structure("GTinst", {{"Segmentation", mat::array_u8(2, 3, "", columns)}})),
          "none of its variables is a label map");
  rejects(mat::file({}), "it has: none");
  rejects(mat::file(mat::structure("GTcls", {{"Boundaries", mat::array_u8(1, 1, "", {1})}})),
          "it has: GTcls");
  rejects(mat::file(mat::structure("GTcls", {{"Segmentation", mat::array_u8(2, 3, "", columns)}}, 2)),
          "array of structs");
  rejects(label({2, 3, 1}, six), "two dimensions");
  rejects(label({2, 3}, six, mat::kind_char), "not a real matrix");
  rejects(label({2, 3}, six, mat::kind_u8, 0x08), "not a real matrix");
  rejects(label({-2, 3}, six), "negative");
  rejects(label({0, 3}, six), "no pixels");
  rejects(label({1 << 30, 1 << 30}, six), "at most");
  rejects(label({200, 300}, six), "more than a file of this size can hold");
  rejects(label({1, 3}, six), "more values than pixels");
  rejects(label({2, 3}, mat::element(17, columns)), "numeric type");
  const auto numbers = [](const std::vector<double>& v) {
    return mat::element(mat::f64, mat::bytes_of_values(v));
  };
  rejects(label({1, 1}, numbers({0.5}), mat::kind_f64), "whole numbers");
  rejects(label({1, 1}, numbers({-1}), mat::kind_f64), "whole numbers");
  rejects(label({1, 1}, numbers({65536}), mat::kind_f64), "whole numbers");
  rejects(label({1, 1}, numbers({std::nan("")}), mat::kind_f64), "whole numbers");
  rejects(mat::file(mat::element(mat::uint8, {1})), "not an array");
  mat::Blob big_endian = mat::sbd(2, 3, columns);
  std::swap(big_endian[126], big_endian[127]);
  rejects(big_endian, "little-endian");
  mat::Blob damaged = mat::sbd(2, 3, columns);
  damaged[damaged.size() - 6] ^= 0x55;
  rejects(damaged, "damaged");
  mat::Blob newer = mat::text("MATLAB 7.3 MAT-file");
  newer.resize(600);
  rejects(newer, "-v7");
  CHECK_SAYS(ErrorKind::data,
             (write_bytes(folder.file("i.mat"), mat::sbd(2, 3, columns)), read_image(folder.file("i.mat"))),
             "labels, not as images");
}

TEST_CASE("MATLAB: a few bytes that unpack to gigabytes are refused early") {
  TemporaryFolder folder;
  // 257 MiB of zeros in a quarter of a MiB.
  const mat::Blob bomb = mat::zipped(mat::Blob(size_t{257} << 20));
  CHECK_SAYS(ErrorKind::data, read(folder, mat::file(bomb)), "it unpacks to more than");
}

TEST_CASE("MATLAB: cut or altered files are read or refused, never read out of bounds") {
  TemporaryFolder folder;
  const mat::Blob plain =
      mat::file(mat::structure("GTcls", {{"Segmentation", mat::array_u8(2, 3, "", columns)}}));
  const mat::Blob packed = mat::sbd(2, 3, columns);
  int refused = 0;
  const auto attempt = [&](const mat::Blob& bytes) {
    try {
      read(folder, bytes);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      ++refused;
    }
  };
  for (const mat::Blob* whole : {&plain, &packed}) {
    for (size_t cut = 0; cut < whole->size(); ++cut)
      attempt({whole->begin(), whole->begin() + static_cast<long>(cut)});
  }
  CHECK(refused > static_cast<int>(packed.size()));
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    mat::Blob altered = plain;
    for (int k = 0; k < 3; ++k)
      altered[128 + random() % (altered.size() - 128)] = static_cast<uint8_t>(random());
    attempt(altered);
  }
}
