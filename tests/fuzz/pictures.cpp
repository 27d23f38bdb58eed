#include "pictures.h"

#include <zlib.h>

#include <cstdlib>

namespace fuzz {
namespace {

struct Cursor {
  Bytes bytes;
  size_t at = 0;

  uint64_t number(size_t where, size_t count, bool big_endian) const {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t byte = where + i < bytes.size() ? bytes[where + i] : 0;
      value |= byte << 8 * (big_endian ? count - 1 - i : i);
    }
    return value;
  }
  int64_t little(size_t where, size_t count) const {
    return static_cast<int64_t>(number(where, count, false));
  }
  int64_t big(size_t where, size_t count) const { return static_cast<int64_t>(number(where, count, true)); }
  // The next number of a PNM header, past blanks and comments; -1 if there is none.
  int64_t pnm_number() {
    bool comment = false;
    for (; at < bytes.size(); ++at) {
      const uint8_t c = bytes[at];
      if (c == '\n' || c == '\r') comment = false;
      if (c == '#') comment = true;
      if (!comment && c >= '0' && c <= '9') break;
      if (!comment && !std::isspace(c)) return -1;
    }
    int64_t value = at < bytes.size() ? 0 : -1;
    for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at) {
      if (value > INT32_MAX) return -1;
      value = value * 10 + bytes[at] - '0';
    }
    return value;
  }
};

PictureHeader pnm_header(Bytes file) {
  Cursor text{file, 2};
  PictureHeader h{.kind = PictureKind::pnm, .channels = file[1] == '6' ? 3 : 1};
  h.width = text.pnm_number();
  h.height = text.pnm_number();
  h.maxval = text.pnm_number();
  h.samples_at = text.at + 1;
  return h;
}

// The first frame header.
PictureHeader jpeg_header(const Cursor& c) {
  PictureHeader h{.kind = PictureKind::jpeg};
  for (size_t at = 2; at + 9 < c.bytes.size();) {
    if (c.bytes[at] != 0xff) {  // libjpeg skips to the next marker
      ++at;
      continue;
    }
    const uint8_t marker = c.bytes[at + 1];
    const bool alone = marker == 0 || marker == 0xff || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (alone) {
      at += marker == 0xff ? 1 : 2;
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
      h.height = c.big(at + 5, 2);
      h.width = c.big(at + 7, 2);
      return h;
    }
    at += 2 + static_cast<size_t>(c.big(at + 2, 2));
  }
  return h;
}

bool begins(Bytes file, const char* magic, size_t size) {
  return file.size() >= size && std::memcmp(file.data(), magic, size) == 0;
}

void append_big_endian(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

}  // namespace

std::optional<PictureHeader> header_of(Bytes file) {
  const Cursor c{file};
  PictureHeader h;
  if (begins(file, "\x89PNG", 4)) {
    h = {.kind = PictureKind::png, .width = c.big(16, 4), .height = c.big(20, 4)};
  } else if (begins(file, "\xff\xd8\xff", 3)) {
    h = jpeg_header(c);
  } else if (begins(file, "BM", 2)) {
    h.kind = PictureKind::bmp;
    const bool old = c.little(14, 4) == 12;
    h.width = old ? c.little(18, 2) : static_cast<int32_t>(c.little(18, 4));
    h.height = old ? c.little(20, 2) : std::abs(int64_t{static_cast<int32_t>(c.little(22, 4))});
  } else if (begins(file, "P5", 2) || begins(file, "P6", 2)) {
    h = pnm_header(file);
  } else {
    h = {.kind = PictureKind::tga, .width = c.little(12, 2), .height = c.little(14, 2)};
  }
  if (h.width < 1 || h.height < 1) return std::nullopt;
  return h;
}

std::string png_chunk(const char* type, Bytes body) {
  std::string content = type + text_of(body);
  std::string chunk;
  append_big_endian(chunk, static_cast<uint32_t>(body.size()));
  chunk += content;
  append_big_endian(chunk, static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(content.data()),
                                                         static_cast<uInt>(content.size()))));
  return chunk;
}

std::string assembled_png(Input& input) {
  std::string header;
  append_big_endian(header, input.take<uint8_t>());
  append_big_endian(header, input.take<uint8_t>());
  for (int i = 0; i < 5; ++i) header += static_cast<char>(input.take<uint8_t>());
  const auto chunks = input.take<uint8_t>();
  std::string file = "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", bytes_of(header));
  for (int i = 0; i < 4; ++i) {
    static constexpr const char* types[] = {"PLTE", "tRNS", "gAMA", "eXIf"};
    if (!(chunks >> i & 1)) continue;
    const size_t wanted = input.take<uint8_t>() * size_t{3};
    const size_t size = std::min(wanted, input.left.size());
    file += png_chunk(types[i], input.left.first(size));
    input.left = input.left.subspan(size);
  }
  uLongf size = ::compressBound(static_cast<uLong>(input.left.size()));
  std::string rows(size, '\0');
  const int status = ::compress(reinterpret_cast<Bytef*>(rows.data()), &size, input.left.data(),
                                static_cast<uLong>(input.left.size()));
  require(status == Z_OK, "the harness cannot compress");
  rows.resize(size);
  return file + png_chunk("IDAT", bytes_of(rows)) + png_chunk("IEND", {});
}

bool same(const atrous::Tensor& a, const atrous::Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace fuzz
