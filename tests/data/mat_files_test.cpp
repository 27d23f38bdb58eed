#include "tests/data/mat_files.h"

#include <zlib.h>

namespace atrous::data::test::mat {

Blob joined(const std::vector<Blob>& parts) {
  Blob out;
  for (const Blob& p : parts) {
    for (const uint8_t byte : p) out.push_back(byte);
  }
  return out;
}

Blob text(const std::string& s) {
  return bytes_of_values(std::vector<char>(s.begin(), s.end()));
}

Blob element(uint32_t type, const Blob& data) {
  Blob out = joined({bytes_of_values<uint32_t>({type, static_cast<uint32_t>(data.size())}), data});
  while (type != compressed && out.size() % 8) out.push_back(0);
  return out;
}

Blob small(uint16_t type, const Blob& data) {
  Blob out = joined({bytes_of_values<uint16_t>({type, static_cast<uint16_t>(data.size())}), data});
  while (out.size() < 8) out.push_back(0);
  return out;
}

Blob array(uint8_t kind, const std::vector<int32_t>& dims, const std::string& name, const Blob& contents,
           uint8_t flags) {
  return element(
      matrix, joined({element(uint32, {kind, flags, 0, 0, 0, 0, 0, 0}), element(int32, bytes_of_values(dims)),
                      name.size() <= 4 ? small(int8, text(name)) : element(int8, text(name)), contents}));
}

Blob array_u8(int32_t rows, int32_t columns, const std::string& name, const Blob& values) {
  return array(kind_u8, {rows, columns}, name, element(uint8, values));
}

Blob structure(const std::string& name, const std::vector<std::pair<std::string, Blob>>& fields,
               int32_t count) {
  constexpr int32_t name_length = 32;
  std::string names;
  std::vector<Blob> values;
  for (const auto& [field, value] : fields) {
    names += field + std::string(name_length - field.size(), '\0');
    values.push_back(value);
  }
  return array(kind_struct, {1, count}, name,
               joined({small(int32, bytes_of_values<int32_t>({name_length})), element(int8, text(names)),
                       joined(values)}));
}

Blob zipped(const Blob& data) {
  uLongf size = compressBound(data.size());
  Blob out(size);
  REQUIRE(compress(out.data(), &size, data.data(), data.size()) == Z_OK);
  out.resize(size);
  return element(compressed, out);
}

Blob file(const Blob& variables) {
  std::string header = "MATLAB 5.0 MAT-file, made by a test";
  header.resize(124, ' ');
  return joined({text(header), {0, 1, 'I', 'M'}, variables});
}

Blob sbd(int32_t rows, int32_t columns, const Blob& values) {
  return file(zipped(structure("GTcls", {{"Boundaries", array(kind_cell, {1, 1}, "", element(matrix, {}))},
                                         {"Segmentation", array_u8(rows, columns, "", values)},
                                         {"CategoriesPresent", array_u8(1, 1, "", {1})}})));
}

}  // namespace atrous::data::test::mat
