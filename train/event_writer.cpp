#include "train/event_writer.h"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/error.h"
#include "train/crc32c.h"

namespace atrous::train {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<char>((value >> (8 * i)) & 0xff);
  return bytes;
}

// Protobuf's wire format. Wire types: 0 varint, 1 fixed 64 bits, 2 length-delimited, 5 fixed 32 bits.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  bytes += static_cast<char>(value);
  return bytes;
}
std::string key(int field, int wire_type) {
  return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
}
std::string field_varint(int field, int64_t value) {
  return key(field, 0) + varint(static_cast<uint64_t>(value));
}
std::string field_double(int field, double value) {
  return key(field, 1) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string field_float(int field, float value) {
  return key(field, 5) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string field_bytes(int field, const std::string& value) {
  return key(field, 2) + varint(value.size()) + value;
}

std::string masked_crc(const std::string& data) {
  const uint32_t crc = crc32c(data.data(), data.size());
  return little_endian(std::rotr(crc, 15) + 0xa282ead8u);
}

}  // namespace

EventWriter::EventWriter(const std::string& folder, int64_t first_step) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  path_ = fmt::format("{}/events.out.tfevents.{:.0f}.{}.{}", folder, wall_time(), host, ::getpid());
  file_ = std::fopen(path_.c_str(), "wbe");
  ATROUS_CHECK(file_, ErrorKind::io,
               "[tensorboard] the event file must be writable. Got \"{}\": {}. Choose another folder.", path_,
               std::strerror(errno));
  record(field_double(1, wall_time()) + field_bytes(3, "brain.Event:2"));
  constexpr int64_t status_start = 1;
  // TensorBoard drops the points of earlier files from this step on; that of first_step itself stays.
  if (first_step > 0) event(first_step + 1, 7, field_varint(1, status_start));
}

EventWriter::~EventWriter() {
  std::fclose(file_);
}

void EventWriter::scalar(const std::string& tag, int64_t step, double value) {
  const std::string entry = field_bytes(1, tag) + field_float(2, static_cast<float>(value));
  event(step, 5, field_bytes(1, entry));
}

void EventWriter::image(const std::string& tag, int64_t step, const std::string& png, int64_t height,
                        int64_t width) {
  constexpr int64_t rgb = 3;
  const std::string picture =
      field_varint(1, height) + field_varint(2, width) + field_varint(3, rgb) + field_bytes(4, png);
  event(step, 5, field_bytes(1, field_bytes(1, tag) + field_bytes(4, picture)));
}

void EventWriter::flush() {
  std::fflush(file_);
}

void EventWriter::event(int64_t step, int field, const std::string& message) {
  record(field_double(1, wall_time()) + field_varint(2, step) + field_bytes(field, message));
}

// A lost curve must not end a run: errors of later writes (disk full) are left to the checkpoint writer,
// which does report them.
void EventWriter::record(const std::string& data) {
  const std::string length = little_endian(static_cast<uint64_t>(data.size()));
  const std::string bytes = length + masked_crc(length) + data + masked_crc(data);
  std::fwrite(bytes.data(), 1, bytes.size(), file_);
}

}  // namespace atrous::train
