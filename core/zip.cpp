#include "core/zip.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "core/byte_source.h"
#include "core/pytorch_error.h"

namespace atrous {
namespace {

constexpr uint64_t directory_limit = 100'000'000;  // bytes, as of a safetensors header
constexpr uint64_t entry_limit = 1'000'000;
constexpr uint64_t end_size = 22, end64_size = 56, locator_size = 20, central_size = 46, local_size = 30;
constexpr uint32_t end_mark = 0x06054b50, end64_mark = 0x06064b50, locator_mark = 0x07064b50,
                   central_mark = 0x02014b50, local_mark = 0x04034b50;
constexpr uint64_t unknown16 = 0xffff, unknown32 = 0xffffffff;  // the value is in a zip64 field

uint64_t number(std::string_view bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

// The position of the end record, which ends the file with its comment.
uint64_t find_end(const ByteSource& file) {
  const uint64_t length = std::min<uint64_t>(file.size(), end_size + 0xffff);
  const std::string tail = file.text(file.size() - length, length);
  for (uint64_t at = length < end_size ? 0 : length - end_size + 1; at-- > 0;) {
    if (number(tail, at, 4) == end_mark && at + end_size + number(tail, at + 20, 2) == length)
      return file.size() - length + at;
  }
  reject_pytorch(file.origin(), "A zip archive ends with its directory (is the file truncated?).");
}

// The zip64 record before the end record, if there is one; `before` becomes its position.
std::optional<Directory> read_end64(const ByteSource& file, uint64_t& before) {
  if (before < locator_size) return std::nullopt;
  const std::string locator = file.text(before - locator_size, locator_size);
  if (number(locator, 0, 4) != locator_mark) return std::nullopt;
  const uint64_t at = number(locator, 8, 8), limit = before - locator_size;
  if (at > limit || limit - at != end64_size || number(locator, 4, 4) != 0 || number(locator, 16, 4) > 1)
    reject_pytorch(file.origin(), "The zip64 record must lie before its locator. Got offset {} in {} bytes.",
                   at, file.size());
  const std::string record = file.text(at, end64_size);
  if (number(record, 0, 4) != end64_mark || number(record, 4, 8) != end64_size - 12 ||
      number(record, 16, 8) != 0 || number(record, 24, 8) != number(record, 32, 8))
    reject_pytorch(file.origin(), "The zip64 record must be one of a single archive.");
  before = at;
  return Directory{number(record, 48, 8), number(record, 40, 8), number(record, 32, 8)};
}

Directory find_directory(const ByteSource& file) {
  uint64_t before = find_end(file);
  const std::string end = file.text(before, end_size);
  const uint64_t entries = number(end, 10, 2), size = number(end, 12, 4), offset = number(end, 16, 4);
  if (number(end, 4, 4) != 0 || number(end, 8, 2) != entries)
    reject_pytorch(file.origin(), "An archive of several parts is not read.");
  Directory found{offset, size, entries};
  if (const auto wide = read_end64(file, before)) {
    const auto agree = [](uint64_t narrow, uint64_t unknown, uint64_t value) {
      return narrow == unknown || narrow == value;
    };
    if (!agree(entries, unknown16, wide->entries) || !agree(size, unknown32, wide->size) ||
        !agree(offset, unknown32, wide->offset))
      reject_pytorch(file.origin(), "The zip64 record and the end record must agree. Got {} and {} entries.",
                     wide->entries, entries);
    found = *wide;
  }
  if (found.size > directory_limit || found.entries > entry_limit)
    reject_pytorch(file.origin(), "A directory has at most {} bytes and {} entries. Got {} and {}.",
                   directory_limit, entry_limit, found.size, found.entries);
  if (found.offset > before || before - found.offset != found.size)
    reject_pytorch(
        file.origin(),
        "The directory must end where the end record begins. Got {} bytes at {}, the record at {}.",
        found.size, found.offset, before);
  return found;
}

struct Central {
  ZipEntry entry;
  uint64_t header = 0;  // position of the local header
  uint64_t flags = 0, method = 0;
};

// Replaces the values that are in the zip64 field of an entry, in the order of the format.
void read_wide_fields(const std::string& origin, const std::string& name, std::string_view extra,
                      std::array<uint64_t*, 3> values) {
  for (size_t at = 0; at + 4 <= extra.size();) {
    const uint64_t id = number(extra, at, 2), size = number(extra, at + 2, 2);
    at += 4;
    if (size > extra.size() - at) break;
    if (id == 1) {
      std::string_view field = extra.substr(at, size);
      for (uint64_t* value : values) {
        if (*value != unknown32) continue;
        if (field.size() < 8)
          reject_pytorch(origin, "A zip64 field holds all that it stands for. That of \"{}\" is too short.",
                         shown(name));
        *value = number(field, 0, 8);
        field.remove_prefix(8);
      }
      return;
    }
    at += size;
  }
  for (const uint64_t* value : values) {
    if (*value == unknown32)
      reject_pytorch(origin, "An entry of 4 GiB or more has a zip64 field. Entry \"{}\" lacks it.",
                     shown(name));
  }
}

Central read_central(const std::string& origin, std::string_view& left) {
  if (left.size() < central_size || number(left, 0, 4) != central_mark)
    reject_pytorch(origin, "The directory must hold as many entries as it says.");
  const uint64_t name = number(left, 28, 2), extra = number(left, 30, 2), comment = number(left, 32, 2);
  if (left.size() - central_size < name + extra + comment)
    reject_pytorch(origin, "An entry of the directory must lie in it.");
  Central c;
  c.flags = number(left, 8, 2);
  c.method = number(left, 10, 2);
  c.entry.crc = static_cast<uint32_t>(number(left, 16, 4));
  c.entry.name = left.substr(central_size, name);
  c.entry.size = number(left, 24, 4);
  c.header = number(left, 42, 4);
  uint64_t packed = number(left, 20, 4);
  // Size, packed size, offset: the order of the field.
  read_wide_fields(origin, c.entry.name, left.substr(central_size + name, extra),
                   {&c.entry.size, &packed, &c.header});
  if (c.flags & 1) reject_pytorch(origin, "Entries are not encrypted. Got \"{}\".", shown(c.entry.name));
  ATROUS_CHECK(c.method == 0, ErrorKind::checkpoint,
               "[pytorch {}] entries are stored, not compressed, as torch.save writes them. Got \"{}\" with "
               "method {}. Unpack the archive and pack it with `zip -0 -r`.",
               origin, shown(c.entry.name), c.method == 8 ? "8 (deflate)" : std::to_string(c.method));
  if (packed != c.entry.size)
    reject_pytorch(origin, "A stored entry has one size. Entry \"{}\" has {} and {} bytes.",
                   shown(c.entry.name), packed, c.entry.size);
  left.remove_prefix(central_size + name + extra + comment);
  return c;
}

// Finds the data of an entry by its local header, which must say the same.
void read_local(const ByteSource& file, const Directory& directory, Central& c) {
  const std::string& origin = file.origin();
  const std::string name = shown(c.entry.name);
  if (c.header > directory.offset || directory.offset - c.header < local_size + c.entry.name.size())
    reject_pytorch(origin, "Entries lie before the directory. \"{}\" begins at {}.", name, c.header);
  const std::string header = file.text(c.header, local_size + c.entry.name.size());
  if (number(header, 0, 4) != local_mark || number(header, 26, 2) != c.entry.name.size() ||
      header.substr(local_size) != c.entry.name || number(header, 8, 2) != c.method)
    reject_pytorch(origin, "An entry and its local header must agree. Entry \"{}\" differs.", name);
  const uint64_t flags = number(header, 6, 2), size = number(header, 22, 4);
  if (flags & 1) reject_pytorch(origin, "Entries are not encrypted. Got \"{}\".", name);
  // With flag 3 the size follows the data, for writers that do not know it before.
  if (!(flags & 8) && size != c.entry.size && size != unknown32)
    reject_pytorch(origin, "An entry and its local header must agree. Entry \"{}\" has {} and {} bytes.",
                   name, c.entry.size, size);
  c.entry.offset = c.header + local_size + c.entry.name.size() + number(header, 28, 2);
  if (c.entry.offset > directory.offset || c.entry.size > directory.offset - c.entry.offset)
    reject_pytorch(origin, "Data must lie in the file (is it truncated?). \"{}\" has {} bytes at {} of {}.",
                   name, c.entry.size, c.entry.offset, file.size());
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const ByteSource& file) {
  const Directory directory = find_directory(file);
  const std::string bytes = file.text(directory.offset, directory.size);
  std::string_view left = bytes;
  std::vector<Central> all;
  std::set<std::string> names;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    all.push_back(read_central(file.origin(), left));
    if (!names.insert(all.back().entry.name).second)
      reject_pytorch(file.origin(), "Names of entries must be unique. Duplicate \"{}\".",
                     shown(all.back().entry.name));
  }
  if (!left.empty()) reject_pytorch(file.origin(), "The directory must hold as many entries as it says.");
  std::sort(all.begin(), all.end(), [](const Central& a, const Central& b) { return a.header < b.header; });
  std::vector<ZipEntry> entries;
  uint64_t end = 0;
  for (Central& c : all) {
    read_local(file, directory, c);
    if (c.header < end)
      reject_pytorch(file.origin(), "Entries must not overlap. \"{}\" begins at {}, inside the one before.",
                     shown(c.entry.name), c.header);
    end = c.entry.offset + c.entry.size;
    entries.push_back(std::move(c.entry));
  }
  return entries;
}

uint32_t zip_crc(const void* data, size_t bytes, uint32_t crc) {
  // tables[k][b]: the byte b followed by k zero bytes.
  static const auto tables = [] {
    std::array<std::array<uint32_t, 256>, 8> t{};
    for (uint32_t b = 0; b < 256; ++b) {
      uint32_t c = b;
      for (int i = 0; i < 8; ++i) c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
      t[0][b] = c;
    }
    for (size_t k = 1; k < 8; ++k) {
      for (size_t b = 0; b < 256; ++b) t[k][b] = t[0][t[k - 1][b] & 255] ^ (t[k - 1][b] >> 8);
    }
    return t;
  }();
  const auto* p = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; bytes >= 8; p += 8, bytes -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(word >> (8 * i)) & 255];
  }
  for (; bytes > 0; ++p, --bytes) crc = tables[0][(crc ^ *p) & 255] ^ (crc >> 8);
  return ~crc;
}

}  // namespace atrous
