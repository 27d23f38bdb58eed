// PyTorch files made by a test, byte by byte: pickles, zip archives, the legacy stream. Hostile ones too, so
// nothing here checks anything.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "core/zip.h"

namespace atrous::test {

template <class T>
std::string bytes_of(T value) {
  std::string s(sizeof value, '\0');
  std::memcpy(s.data(), &value, sizeof value);
  return s;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string s;
  for (const T v : values) s += bytes_of(v);
  return s;
}

// -- pickles of protocol 2

inline std::string text(const std::string& s) {
  return "X" + bytes_of(static_cast<uint32_t>(s.size())) + s;
}
inline std::string integer(int64_t n) {
  return "\x8a\x08" + bytes_of(n);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string s = "(";
  for (const std::string& item : items) s += item;
  return s + "t";
}
inline std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string s = "}(";
  for (const auto& [key, value] : items) s += text(key) + value;
  return s + "u";
}
inline std::string pickle(const std::string& value) {
  return "\x80\x02" + value + ".";
}
inline std::string list_of_ints(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t v : values) items.push_back(integer(v));
  return tuple(items);
}

inline std::string storage(const std::string& key, int64_t elements, const std::string& type = "FloatStorage",
                           const std::string& module = "torch") {
  return tuple({text("storage"), global(module, type), text(key), text("cpu"), integer(elements)}) + "Q";
}
inline std::string rebuild(const std::string& of, int64_t offset, const std::vector<int64_t>& shape,
                           const std::vector<int64_t>& strides, const std::string& more = "") {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + of + integer(offset) + list_of_ints(shape) +
         list_of_ints(strides) + "\x89" + call(global("collections", "OrderedDict"), {}) + more + "tR";
}
// Contiguous, the whole of its storage.
inline std::string tensor(const std::string& key, const std::vector<int64_t>& shape,
                          const std::string& type = "FloatStorage") {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t n = 1;
  for (size_t i = shape.size(); i-- > 0; n *= shape[i]) strides[i] = n;
  return rebuild(storage(key, n, type), 0, shape, strides);
}

// -- zip archives

struct Member {
  std::string name, data;
  // What a directory may lie about.
  uint32_t crc = 0;  // 0: the right one
  uint16_t flags = 0, method = 0;
  int64_t size = -1;    // in the directory; -1: the right one
  int64_t header = -1;  // position of the local header; -1: the right one
  std::string extra = {};
  std::string local_name = {};  // empty: the same
};

inline std::string end_record(uint64_t entries, uint64_t size, uint64_t offset) {
  return bytes_of(uint32_t{0x06054b50}) + std::string(4, '\0') + bytes_of(static_cast<uint16_t>(entries)) +
         bytes_of(static_cast<uint16_t>(entries)) + bytes_of(static_cast<uint32_t>(size)) +
         bytes_of(static_cast<uint32_t>(offset)) + std::string(2, '\0');
}

struct Archive {
  std::string local, directory;
  uint64_t entries = 0;
  std::string whole() const {
    return local + directory + end_record(entries, directory.size(), local.size());
  }
};

inline Archive archive(const std::vector<Member>& members) {
  Archive a;
  for (const Member& m : members) {
    const uint32_t crc = m.crc ? m.crc : zip_crc(m.data.data(), m.data.size());
    const auto size = static_cast<uint32_t>(m.size < 0 ? static_cast<int64_t>(m.data.size()) : m.size);
    const auto at = static_cast<uint32_t>(m.header < 0 ? static_cast<int64_t>(a.local.size()) : m.header);
    const std::string& local_name = m.local_name.empty() ? m.name : m.local_name;
    const std::string common = bytes_of(m.flags) + bytes_of(m.method) + std::string(4, '\0') + bytes_of(crc);
    a.local +=
        bytes_of(uint32_t{0x04034b50}) + bytes_of(uint16_t{20}) + common +
        bytes_of(static_cast<uint32_t>(m.data.size())) + bytes_of(static_cast<uint32_t>(m.data.size())) +
        bytes_of(static_cast<uint16_t>(local_name.size())) + bytes_of(uint16_t{0}) + local_name + m.data;
    a.directory += bytes_of(uint32_t{0x02014b50}) + bytes_of(uint32_t{20}) + common + bytes_of(size) +
                   bytes_of(size) + bytes_of(static_cast<uint16_t>(m.name.size())) +
                   bytes_of(static_cast<uint16_t>(m.extra.size())) + std::string(10, '\0') + bytes_of(at) +
                   m.name + m.extra;
    ++a.entries;
  }
  return a;
}

struct Storage {
  std::string key, data;
};

inline std::vector<Member> members_of(const std::string& value, const std::vector<Storage>& storages) {
  std::vector<Member> all = {{.name = "a/data.pkl", .data = pickle(value)}};
  for (const Storage& s : storages) all.push_back({.name = "a/data/" + s.key, .data = s.data});
  all.push_back({.name = "a/version", .data = "3\n"});
  return all;
}

inline std::string zip_file(const std::string& value, const std::vector<Storage>& storages = {}) {
  return archive(members_of(value, storages)).whole();
}

// -- the form before PyTorch 1.6

inline std::string legacy_prelude(const std::string& little_endian = "\x88") {
  return pickle(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12)) + pickle(integer(1001)) +
         pickle(dict({{"protocol_version", integer(1001)}, {"little_endian", little_endian}}));
}

// `element`: bytes of an element of each storage.
inline std::string legacy_file(const std::string& value, const std::vector<Storage>& storages,
                               uint64_t element) {
  std::string keys = "](", data;
  for (const Storage& s : storages) {
    keys += text(s.key);
    data += bytes_of(static_cast<uint64_t>(s.data.size()) / element) + s.data;
  }
  return legacy_prelude() + pickle(value) + pickle(keys + "e") + data;
}

}  // namespace atrous::test
