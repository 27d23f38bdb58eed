#include "core/safetensors.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

// A file with this header and `data` zero bytes after it.
std::string file_with(const std::string& header, size_t data = 0) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}

std::string file_of(const std::string& entries, size_t data = 0) {
  return file_with(fmt::format("{{{}}}", entries), data);
}

TensorFile parse(const std::string& bytes) {
  std::istringstream in(bytes);
  return read_safetensors(in, bytes.size(), "test");
}

void check_rejected(const std::string& bytes, const std::string& message) {
  try {
    parse(bytes);
    FAIL("accepted; expected: " << message);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::checkpoint);
    CHECK_THAT(e.what(), Contains(message));
  }
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& range) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{}]}})", name, dtype, shape, range);
}

std::string serialised(const NamedTensors& tensors, const Metadata& metadata = {}) {
  std::ostringstream out;
  write_safetensors(out, tensors, metadata);
  return out.str();
}

}  // namespace

TEST_CASE("safetensors: what is written is read again, with the same bits") {
  const Tensor f = Tensor::from<float>({2, 3}, {1, -2, 0.5f, NAN, INFINITY, -0.0f});
  const NamedTensors tensors{{"bytes", Tensor::from<uint8_t>({3}, {1, 2, 255})},
                             {"f", f},
                             {"d", Tensor::from<double>({1}, {0.1})},
                             {"count", Tensor::full({}, 7, DType::i64)},
                             {"i", Tensor::from<int32_t>({2}, {-1, 5})},
                             {"half", f.to(DType::bf16)},
                             {"nothing", Tensor::empty({0, 4})}};
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  write_safetensors(path, tensors, {{"names", "[\"sky\", \"\\u00e9\"]"}, {"empty", ""}});
  const TensorFile file = read_safetensors(path);
  CHECK(file.metadata == Metadata{{"names", "[\"sky\", \"\\u00e9\"]"}, {"empty", ""}});
  CHECK(read_safetensors_metadata(path) == file.metadata);
  REQUIRE(file.tensors.size() == tensors.size());
  for (const auto& [name, t] : tensors) {
    INFO(name);
    const Tensor& read = file.at(name);
    CHECK(read.shape() == t.shape());
    CHECK(read.dtype() == t.dtype());
    CHECK(std::memcmp(read.raw(), t.raw(), t.bytes()) == 0);
  }
}

TEST_CASE("safetensors: bytes depend only on the content, data is aligned") {
  const Tensor wide = Tensor::full({2, 2, 8}, 3);
  const NamedTensors tensors{{"u", Tensor::full({3}, 1, DType::u8)}, {"slice", wide.narrow_channels(2, 3)}};
  const std::string bytes = serialised(tensors);
  CHECK(bytes == serialised({{"u", tensors[0].second.clone()}, {"slice", tensors[1].second.clone()}}));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(bytes.size() == 8 + length + 3 + 48);
  CHECK(parse(bytes).tensors[0].first == "slice");  // wider elements first
}

TEST_CASE("safetensors: F16 becomes f32, BOOL becomes u8") {
  std::string bytes = file_of(tensor("h", "F16", "6", "0,12") + "," + tensor("b", "BOOL", "2", "12,14"));
  const uint16_t half[] = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0x8000};
  bytes.append(reinterpret_cast<const char*>(half), 12);
  bytes.append("\1\0", 2);
  const TensorFile file = parse(bytes);
  const float* h = file.at("h").data<float>();
  CHECK(h[0] == 1.0f);
  CHECK(h[1] == -2.0f);
  CHECK(h[2] == std::ldexp(1.0f, -24));
  CHECK(h[3] == 65504.0f);
  CHECK(std::isinf(h[4]));
  CHECK((h[5] == 0.0f && std::signbit(h[5])));
  CHECK(file.at("b").data<uint8_t>()[0] == 1);
}

TEST_CASE("safetensors: padding, empty files and rank 0 are valid") {
  CHECK(parse(file_with("{}")).tensors.empty());
  CHECK(parse(file_with("{}      ")).tensors.empty());
  CHECK(parse(file_of(tensor("s", "F32", "", "0,4"), 4)).at("s").rank() == 0);
  CHECK(parse(file_of(tensor("e", "F32", "0,3", "0,0") + "," + tensor("s", "U8", "1", "0,1"), 1))
            .tensors.size() == 2);
}

TEST_CASE("safetensors: rule: a file has a header length") {
  check_rejected("1234567", "8 bytes of header length");
}

TEST_CASE("safetensors: rule: the header has at most 100,000,000 bytes") {
  std::string bytes = file_with("{}");
  const uint64_t length = 100'000'001;
  std::memcpy(bytes.data(), &length, 8);
  check_rejected(bytes, "at most 100000000 bytes");
  std::memset(bytes.data(), 0xff, 8);
  check_rejected(bytes, "at most 100000000 bytes");
}

TEST_CASE("safetensors: rule: the header lies in the file") {
  std::string bytes = file_with("{}");
  bytes[0] = 3;
  check_rejected(bytes, "must lie in the file");
}

TEST_CASE("safetensors: rule: the header begins with a brace") {
  check_rejected(file_with(" {}"), "must begin with '{'");
  check_rejected(file_with(""), "must begin with '{'");
  check_rejected(file_with("[]"), "must begin with '{'");
}

TEST_CASE("safetensors: rule: padding is spaces") {
  check_rejected(file_with("{}\n"), "spaces only");
  check_rejected(file_with(std::string("{}\0", 3)), "spaces only");
  check_rejected(file_with("{} {}"), "must be JSON");
}

TEST_CASE("safetensors: rule: the header is JSON of names and tensors") {
  check_rejected(file_with("{\"a\":}"), "must be JSON");
  check_rejected(file_with("{\"a\xff\":1}"), "must be JSON");
  check_rejected(file_with("{\"a\":1}"), "maps names to tensors");
  check_rejected(file_with("{\"a\":{\"dtype\":{}}}"), "maps names to tensors");
  check_rejected(file_with("{\"a\":{\"shape\":[[1]]}}"), "maps names to tensors");
  check_rejected(file_with("{\"a\":{\"shape\":" + std::string(100000, '[') + "}}"), "maps names to tensors");
  check_rejected(file_with("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}"), "lacks data_offsets");
  check_rejected(file_with("{\"a\":{\"dtype\":\"F32\",\"stride\":[]}}"), "\"a\" has \"stride\"");
}

TEST_CASE("safetensors: rule: no duplicate keys") {
  const std::string a = tensor("a", "U8", "1", "0,1");
  check_rejected(file_of(a + "," + a, 1), "Duplicate name \"a\"");
  check_rejected(file_with("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"), "duplicate key \"dtype\"");
  check_rejected(file_with("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), "Duplicate key \"k\"");
  check_rejected(file_with("{\"__metadata__\":{},\"__metadata__\":{}}"), "Duplicate name \"__metadata__\"");
}

TEST_CASE("safetensors: rule: metadata maps strings to strings") {
  check_rejected(file_with("{\"__metadata__\":{\"k\":1}}"), "must map strings to strings");
  check_rejected(file_with("{\"__metadata__\":{\"k\":{}}}"), "must map strings to strings");
  check_rejected(file_with("{\"__metadata__\":\"k\"}"), "maps names to tensors");
}

TEST_CASE("safetensors: rule: dtypes are known") {
  check_rejected(file_of(tensor("a", "F33", "1", "0,4"), 4), "has \"F33\"");
}

TEST_CASE("safetensors: types that atrous lacks are widened without loss, or left unread") {
  std::string bytes =
      file_of(tensor("i8", "I8", "1", "0,1") + "," + tensor("c", "C64", "2", "1,17") + "," +
              tensor("e", "F8_E4M3", "1", "17,18") + "," + tensor("u32", "U32", "1", "18,22") + "," +
              tensor("after", "F32", "1", "22,26"));
  const float after = 2.5f;
  bytes += "\x80" + std::string(16, 'c') + "\x38" + std::string(4, '\xff');
  bytes.append(reinterpret_cast<const char*>(&after), 4);
  const TensorFile file = parse(bytes);
  CHECK(file.at("i8").data<int32_t>()[0] == -128);
  CHECK(file.at("e").data<float>()[0] == 1);
  CHECK(file.at("u32").data<int64_t>()[0] == 4294967295);
  CHECK(file.at("after").data<float>()[0] == 2.5f);
  CHECK(file.find("c") == nullptr);
  CHECK(file.unread.at("c") == "of type c64, which atrous does not have");
  CHECK_THROWS_WITH(file.at("c"), Contains("must be readable") && Contains("c64"));
}

TEST_CASE("safetensors: rule: sizes are non-negative integers") {
  check_rejected(file_of(tensor("a", "U8", "-1", "0,1"), 1), "must not be negative");
  check_rejected(file_of(tensor("a", "U8", "1.0", "0,1"), 1), "must be integers");
  check_rejected(file_of(tensor("a", "U8", "99999999999999999999", "0,1"), 1), "must be integers");
}

TEST_CASE("safetensors: rule: shape times element size does not overflow") {
  check_rejected(file_of(tensor("a", "F32", "4294967296,4294967296", "0,0")), "must fit 64 bits");
  check_rejected(file_of(tensor("a", "F32", "9223372036854775808", "0,0")), "must fit 64 bits");
  check_rejected(file_of(tensor("a", "F32", "0,4294967296,4294967296", "0,0")), "must fit 64 bits");
}

TEST_CASE("safetensors: rule: rank is limited") {
  check_rejected(file_of(tensor("a", "U8", "1,1,1,1,1,1,1", "0,1"), 1), "at most 6 dimensions");
}

TEST_CASE("safetensors: rule: offsets are two numbers in order and in the file") {
  check_rejected(file_of(tensor("a", "U8", "1", "0"), 1), "two numbers");
  check_rejected(file_of(tensor("a", "U8", "1", "0,1,1"), 1), "two numbers");
  check_rejected(file_of(tensor("a", "U8", "1", "1,0"), 1), "must be in order");
  check_rejected(file_of(tensor("a", "U8", "2", "0,2"), 1), "truncated");
  check_rejected(file_of(tensor("a", "U8", "2", "18446744073709551613,18446744073709551615"), 1),
                 "truncated");
}

TEST_CASE("safetensors: rule: the byte range fits the shape") {
  check_rejected(file_of(tensor("a", "F32", "2", "0,4"), 4), "must fit the shape");
}

TEST_CASE("safetensors: rule: tensors do not overlap") {
  check_rejected(file_of(tensor("a", "U8", "2", "0,2") + "," + tensor("b", "U8", "2", "1,3"), 3),
                 "must not overlap");
  check_rejected(file_of(tensor("a", "U8", "2", "0,2") + "," + tensor("b", "U8", "2", "0,2"), 2),
                 "must not overlap");
}

TEST_CASE("safetensors: rule: no holes, and the buffer is covered to its end") {
  check_rejected(file_of(tensor("a", "U8", "1", "1,2"), 2), "no holes");
  check_rejected(file_of(tensor("a", "U8", "1", "0,1") + "," + tensor("b", "U8", "1", "2,3"), 3), "no holes");
  check_rejected(file_of(tensor("a", "U8", "1", "0,1"), 2), "must end where the file ends");
  check_rejected(file_with("{}", 1), "must end where the file ends");
}

TEST_CASE("safetensors: every truncation of a file is rejected, none allocates what it claims") {
  const std::string bytes =
      serialised({{"a", Tensor::zeros({1000})}, {"b", Tensor::zeros({3}, DType::u8)}}, {{"k", "v"}});
  for (size_t n = 0; n < bytes.size(); n += n < 200 ? 1 : 97)
    CHECK_THROWS_AS(parse(bytes.substr(0, n)), Error);
  const int64_t before = allocator_stats().allocations;
  check_rejected(file_of(tensor("a", "F32", "1000000000000", "0,4000000000000"), 4), "truncated");
  CHECK(allocator_stats().allocations == before);
}

TEST_CASE("safetensors: errors of the file system are io errors that name the path") {
  TemporaryFolder folder;
  auto kind_of = [](auto&& f) {
    try {
      f();
    } catch (const Error& e) {
      CHECK_THAT(e.what(), Contains("atrous_"));
      return e.kind();
    }
    return ErrorKind::internal;
  };
  CHECK(kind_of([&] { read_safetensors(folder / "none"); }) == ErrorKind::io);
  CHECK(kind_of([&] { read_safetensors(folder.path()); }) == ErrorKind::io);
  CHECK(kind_of([&] { write_safetensors(folder / "no/a", {}); }) == ErrorKind::io);
}

TEST_CASE("safetensors: a full disk is an io error") {
  if (!std::filesystem::exists("/dev/full")) return;
  const NamedTensors big{{"a", Tensor::zeros({100000})}};
  CHECK_THROWS_WITH(write_safetensors("/dev/full", big), Contains("No space left on device"));
}

TEST_CASE("safetensors: a write that fails keeps the old file and leaves nothing else") {
  TemporaryFolder folder;
  const std::string path = folder / "a";
  const Tensor t = Tensor::zeros({1});
  write_safetensors(path, {{"old", t}});
  CHECK_THROWS_WITH(write_safetensors(path, {{"a", t}, {"a", t}}), Contains("unique"));
  CHECK(read_safetensors(path).find("old"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("safetensors: names are unique when writing") {
  const Tensor t = Tensor::zeros({1});
  CHECK_THROWS_WITH(serialised({{"a", t}, {"a", t}}), Contains("unique"));
  CHECK_THROWS_WITH(serialised({{"__metadata__", t}}), Contains("unique"));
}

TEST_CASE("safetensors: a missing tensor is named together with those present") {
  CHECK_THROWS_WITH(parse(file_of(tensor("a", "U8", "1", "0,1"), 1)).at("input"),
                    Contains("\"input\"") && Contains("has: a"));
}
