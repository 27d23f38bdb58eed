// MATLAB version 5 files as the tests need them, right or wrong. Layout: see data/codec_mat.cpp.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/data/files.h"

namespace atrous::data::test::mat {

using Blob = std::vector<uint8_t>;

// Types of elements, kinds of arrays.
enum : uint32_t {
  int8 = 1,
  uint8 = 2,
  uint16 = 4,
  int32 = 5,
  uint32 = 6,
  f64 = 9,
  matrix = 14,
  compressed = 15
};
enum : uint8_t { kind_cell = 1, kind_struct = 2, kind_char = 4, kind_f64 = 6, kind_u8 = 9, kind_u16 = 11 };

template <class T>
Blob bytes_of_values(const std::vector<T>& values) {
  Blob out(values.size() * sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}
Blob joined(const std::vector<Blob>& parts);
Blob text(const std::string& s);

Blob element(uint32_t type, const Blob& data);
// Up to four bytes, held in the tag.
Blob small(uint16_t type, const Blob& data);
Blob array(uint8_t kind, const std::vector<int32_t>& dims, const std::string& name, const Blob& contents,
           uint8_t flags = 0);
// `values` column by column, as MATLAB stores them.
Blob array_u8(int32_t rows, int32_t columns, const std::string& name, const Blob& values);
Blob structure(const std::string& name, const std::vector<std::pair<std::string, Blob>>& fields,
               int32_t count = 1);
Blob zipped(const Blob& data);

Blob file(const Blob& variables);
// cls/ID.mat of SBD.
Blob sbd(int32_t rows, int32_t columns, const Blob& values);

}  // namespace atrous::data::test::mat
