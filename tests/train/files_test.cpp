// Files that are there whole or not at all; checksums; TensorBoard records.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/temporary_folder.h"
#include "train/crc32c.h"
#include "train/event_writer.h"

using namespace atrous;
using namespace atrous::train;
using Catch::Matchers::Contains;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int64_t files_in(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

uint64_t little_endian(const std::string& bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes.at(at + i))) << (8 * i);
  return value;
}

uint64_t unmasked(uint64_t crc) {
  const auto c = static_cast<uint32_t>(crc - 0xa282ead8u);
  return (c << 15) | (c >> 17);
}

}  // namespace

TEST_CASE("crc32c: the vectors of RFC 3720 B.4 and the check value") {
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  CHECK(crc32c(zeros.data(), 32) == 0x8a9136aau);
  CHECK(crc32c(ones.data(), 32) == 0x62a8ab43u);
  CHECK(crc32c(rising.data(), 32) == 0x46dd794eu);
  CHECK(crc32c("123456789", 9) == 0xe3069283u);
  for (size_t cut = 0; cut <= 32; ++cut)
    CHECK(crc32c(rising.data() + cut, 32 - cut, crc32c(rising.data(), cut)) == 0x46dd794eu);
}

TEST_CASE("an atomic write replaces, keeps the old file on request, and cleans up") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  write_file_atomically(path, "first");
  write_file_atomically(
      path, [](std::ostream& out) { out << "second"; }, 6, folder / "old");
  CHECK(content_of(path) == "second");
  CHECK(content_of(folder / "old") == "first");
  // As a crash between the two renames leaves them: both names are of one file.
  std::filesystem::remove(folder / "old");
  std::filesystem::create_hard_link(path, folder / "old");
  write_file_atomically(
      path, [](std::ostream& out) { out << "third"; }, 5, folder / "old");
  CHECK(content_of(path) == "third");
  CHECK(content_of(folder / "old") == "second");
  CHECK_THROWS_AS(write_file_atomically(path, [](std::ostream&) { fail(ErrorKind::usage, "stop"); }), Error);
  CHECK(content_of(path) == "third");
  CHECK(files_in(folder.path()) == 2);
  CHECK_THROWS_WITH(write_file_atomically(
                        path, [](std::ostream&) {}, uint64_t{1} << 62),
                    Contains("must have room") && Contains("bytes free"));
  CHECK_THROWS_WITH(write_file_atomically(folder / "no/such/file", "x"),
                    Contains("No such file or directory"));
}

TEST_CASE("a full disk leaves the old file and says why") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  write_file_atomically(path, "old");
  // A limit on file sizes fails writes midway, as a full disk does.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{3 << 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  ErrorKind kind = ErrorKind::internal;
  try {
    write_file_atomically(path, std::string(8 << 20, 'x'));
  } catch (const Error& e) {
    message = e.what();
    kind = e.kind();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(kind == ErrorKind::io);
  CHECK_THAT(message, Contains(path) && Contains("File too large") && Contains("unchanged"));
  CHECK(content_of(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("kill -9 at any point of a write leaves an old or a new file, whole") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  const std::string previous = folder / "previous";
  int generation = 0;
  write_file_atomically(path, std::string(1 << 20, 'a'));
  for (int delay_us = 0; delay_us < 4000; delay_us += 100) {
    const pid_t child = fork();
    if (child == 0) {
      for (int g = generation + 1;; ++g) {
        const std::string text(1 << 20, static_cast<char>('a' + g % 26));
        write_file_atomically(
            path, [&](std::ostream& out) { out.write(text.data(), 1 << 20); }, 0, previous);
      }
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (const std::string& name : {path, previous}) {
      if (name == previous && !std::filesystem::exists(name)) continue;  // before the first rotation
      const std::string text = content_of(name);
      REQUIRE(text.size() == 1 << 20);
      REQUIRE(text == std::string(1 << 20, text[0]));
    }
    ++generation;
  }
}

TEST_CASE("TensorBoard records decode to what was written") {
  const TemporaryFolder folder;
  std::string path;
  {
    EventWriter writer(folder.path(), 3);
    writer.scalar("loss", 300, 1.5);
    writer.image("sample", 301, "PNGBYTES", 4, 5);
    path = writer.path();
  }
  const std::string bytes = content_of(path);
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t length = little_endian(bytes, at, 8);
    CHECK(unmasked(little_endian(bytes, at + 8, 4)) == crc32c(bytes.data() + at, 8));
    records.push_back(bytes.substr(at + 12, length));
    CHECK(unmasked(little_endian(bytes, at + 12 + length, 4)) == crc32c(records.back().data(), length));
    at += 16 + length;
  }
  REQUIRE(records.size() == 4);
  // Each begins with wall_time: field 1, fixed 64 bits, nine bytes in all.
  for (const std::string& r : records) CHECK(r.at(0) == 0x09);
  CHECK(records[0].substr(9) == std::string("\x1a\x0d") + "brain.Event:2");
  CHECK(records[1].substr(9) == std::string("\x10\x04\x3a\x02\x08\x01", 6));
  // step 300 = varint ac 02; summary { value { tag "loss", simple_value 1.5f = 0x3fc00000 } }
  CHECK(records[2].substr(9) ==
        std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f", 18));
  CHECK(
      records[3].substr(9) ==
      std::string(
          "\x10\xad\x02\x2a\x1c\x0a\x1a\x0a\x06sample\x22\x10\x08\x04\x10\x05\x18\x03\x22\x08PNGBYTES", 33));
}
