// MATLAB version 5 files, as far as label maps need them: one numeric matrix, by itself or a field of a
// struct. Layout: "MAT-File Format", The MathWorks, chapter 1. Everything that a tag claims is checked
// against the bytes that are there.
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "data/codecs.h"

namespace atrous::data::codecs {
namespace {

static_assert(std::endian::native == std::endian::little, "values of .mat files are copied as they are");

// Names of the labels in the sets' files: SBD, PASCAL-Context, CrackForest, COCO-Stuff 10k.
constexpr std::string_view label_variables[] = {"GTcls.Segmentation", "LabelMap", "groundTruth.Segmentation",
                                                "S"};

// Types of data elements, and of arrays.
enum : uint32_t { mi_int8 = 1, mi_uint32 = 6, mi_int32 = 5, mi_matrix = 14, mi_compressed = 15 };
enum : uint32_t { mx_struct = 2, mx_double = 6, mx_uint32 = 13 };

constexpr size_t header_bytes = 128;
// Far above any label map; a few bytes of zlib can claim a thousand times their size.
constexpr size_t max_inflated = size_t{256} << 20;

struct Element {
  uint32_t type = 0;
  Bytes data;
};

// Walks over a row of data elements.
class Elements {
 public:
  Elements(Bytes bytes, const FileName& name) : bytes_(bytes), name_(&name) {}
  bool done() const { return at_ >= bytes_.size(); }

  Element next() {
    if (bytes_.size() - at_ < 8) fail("the file ends early");
    uint32_t type = word(at_), size = word(at_ + 4);
    if (type >> 16) {  // up to four bytes lie in the tag itself
      size = type >> 16;
      type &= 0xffff;
      if (size > 4) fail("a small element claims more than four bytes");
      const Element small{type, bytes_.subspan(at_ + 4, size)};
      at_ += 8;
      return small;
    }
    at_ += 8;
    if (size > bytes_.size() - at_) fail("an element is longer than the file");
    const Element element{type, bytes_.subspan(at_, size)};
    // Elements start at multiples of eight, except after a compressed one.
    const size_t padded = type == mi_compressed ? size : (size_t{size} + 7) / 8 * 8;
    at_ += std::min(padded, bytes_.size() - at_);
    return element;
  }
  Element next(uint32_t type, const char* what) {
    const Element element = next();
    if (element.type != type) fail(fmt::format("its {} have the wrong type", what));
    return element;
  }
  [[noreturn]] void fail(const std::string& reason) const { bad_image(*name_, "MATLAB file", reason); }

 private:
  uint32_t word(size_t at) const {
    uint32_t value = 0;
    std::memcpy(&value, bytes_.data() + at, 4);
    return value;
  }
  Bytes bytes_;
  const FileName* name_;
  size_t at_ = 0;
};

// A matrix up to its contents, over which `rest` iterates.
struct Matrix {
  Elements rest;
  uint32_t kind = 0;  // mx_...; 0: empty
  bool is_complex = false;
  std::vector<int64_t> dims = {};
  std::string name = {};
};

std::string text_of(Bytes bytes) {
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), uint8_t{0})};
}

Matrix open_matrix(Bytes bytes, const FileName& file) {
  Matrix m{.rest = Elements(bytes, file)};
  if (bytes.empty()) return m;
  const Element flags = m.rest.next(mi_uint32, "array flags");
  if (flags.data.size() != 8) m.rest.fail("its array flags have the wrong length");
  m.kind = flags.data[0];
  m.is_complex = flags.data[1] & 0x08;
  const Element dims = m.rest.next(mi_int32, "dimensions");
  if (dims.data.size() < 8 || dims.data.size() % 4) m.rest.fail("its dimensions have the wrong length");
  for (size_t i = 0; i < dims.data.size(); i += 4) {
    int32_t d = 0;
    std::memcpy(&d, dims.data.data() + i, 4);
    if (d < 0) m.rest.fail("a dimension is negative");
    m.dims.push_back(d);
  }
  m.name = text_of(m.rest.next(mi_int8, "name").data);
  return m;
}

// The field of a struct; none if it has no such field.
std::optional<Matrix> field_of(Matrix m, std::string_view field, const FileName& file) {
  if (m.kind != mx_struct) return std::nullopt;
  if (m.dims != std::vector<int64_t>{1, 1}) m.rest.fail("an array of structs is not a label map");
  const Element length = m.rest.next(mi_int32, "field names");
  if (length.data.size() != 4) m.rest.fail("its field names have the wrong length");
  uint32_t stride = 0;
  std::memcpy(&stride, length.data.data(), 4);
  const Element names = m.rest.next(mi_int8, "field names");
  if (stride == 0 || names.data.size() % stride) m.rest.fail("its field names have the wrong length");
  for (size_t i = 0; i < names.data.size(); i += stride) {
    const Element value = m.rest.next(mi_matrix, "fields");
    if (text_of(names.data.subspan(i, stride)) == field) return open_matrix(value.data, file);
  }
  return std::nullopt;
}

// Column by column in the file, row by row here.
template <class T>
void copy_transposed(Bytes bytes, Tensor& out, const Elements& where) {
  const int64_t height = out.dim(0), width = out.dim(1);
  for (int64_t i = 0; i < out.numel(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    const auto number = static_cast<double>(value);
    if (!(number >= 0 && number <= 65535) || number != std::floor(number)) {
      where.fail(fmt::format("label values are whole numbers from 0 to 65535, and it holds {}", number));
    }
    out.data<int32_t>()[i % height * width + i / height] = static_cast<int32_t>(number);
  }
}

Tensor values_of(Matrix& m, const FileName& name, const ImageLimits& limits) {
  if (m.kind < mx_double || m.kind > mx_uint32 || m.is_complex || m.dims.size() != 2) {
    m.rest.fail("its label map is not a real matrix of two dimensions");
  }
  const Element real = m.rest.next();
  static constexpr size_t sizes[] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8};  // by type of the element
  const size_t size = real.type < std::size(sizes) ? sizes[real.type] : 0;
  if (size == 0) m.rest.fail("its label map does not have a numeric type");
  check_size(name, "MATLAB", m.dims[1], m.dims[0], limits, static_cast<int64_t>(real.data.size() / size));
  if (static_cast<size_t>(m.dims[0] * m.dims[1]) * size != real.data.size()) {
    m.rest.fail("its label map has more values than pixels");
  }
  Tensor out = Tensor::empty({m.dims[0], m.dims[1]}, DType::i32);
  switch (real.type) {
    case 1: copy_transposed<int8_t>(real.data, out, m.rest); break;
    case 2: copy_transposed<uint8_t>(real.data, out, m.rest); break;
    case 3: copy_transposed<int16_t>(real.data, out, m.rest); break;
    case 4: copy_transposed<uint16_t>(real.data, out, m.rest); break;
    case 5: copy_transposed<int32_t>(real.data, out, m.rest); break;
    case 6: copy_transposed<uint32_t>(real.data, out, m.rest); break;
    case 7: copy_transposed<float>(real.data, out, m.rest); break;
    default: copy_transposed<double>(real.data, out, m.rest); break;
  }
  return out;
}

std::vector<uint8_t> inflated(Bytes compressed, const Elements& where) {
  std::vector<uint8_t> out;
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) where.fail("zlib could not start");
  stream.next_in = const_cast<Bytef*>(compressed.data());
  stream.avail_in = static_cast<uInt>(compressed.size());
  int status = Z_OK;
  while (status == Z_OK && out.size() < max_inflated) {
    const size_t have = out.size();
    out.resize(have + std::max<size_t>(have, 1 << 16));
    stream.next_out = out.data() + have;
    stream.avail_out = static_cast<uInt>(out.size() - have);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status == Z_OK) where.fail(fmt::format("it unpacks to more than {} bytes", max_inflated));
  if (status != Z_STREAM_END) where.fail("its compressed data are damaged");
  return out;
}

// The label map, if this variable of the file is one.
std::optional<Decoded> labels_of(const Matrix& variable, const FileName& file, const ImageLimits& limits) {
  for (const std::string_view path : label_variables) {
    const size_t dot = path.find('.');
    if (variable.name != path.substr(0, dot)) continue;
    std::optional<Matrix> found = variable;
    if (dot != std::string_view::npos) found = field_of(variable, path.substr(dot + 1), file);
    if (!found) continue;
    const Tensor matrix = values_of(*found, file, limits);
    const int32_t* values = matrix.data<int32_t>();
    const bool wide = std::any_of(values, values + matrix.numel(), [](int32_t v) { return v > 255; });
    Decoded out;
    out.bit_depth = wide ? 16 : 8;
    out.pixels = (wide ? matrix : matrix.to(DType::u8)).reshape({matrix.dim(0), matrix.dim(1), 1});
    out.format = fmt::format("MATLAB {}, {} bit", path, out.bit_depth);
    return out;
  }
  return std::nullopt;
}

}  // namespace

Decoded decode_mat(Bytes bytes, const FileName& name, const ImageLimits& limits) {
  const Elements file(bytes, name);
  if (bytes.size() < header_bytes) file.fail("the file ends early");
  if (bytes[126] != 'I' || bytes[127] != 'M') file.fail("it is not a little-endian version 5 file");
  Elements variables(bytes.subspan(header_bytes), name);
  std::string found;
  while (!variables.done()) {
    Element element = variables.next();
    std::vector<uint8_t> unpacked;
    if (element.type == mi_compressed) {
      unpacked = inflated(element.data, variables);
      element = Elements(unpacked, name).next();
    }
    if (element.type != mi_matrix) file.fail("a variable is not an array");
    const Matrix variable = open_matrix(element.data, name);
    if (std::optional<Decoded> labels = labels_of(variable, name, limits)) return *std::move(labels);
    found += (found.empty() ? "" : ", ") + variable.name;
  }
  file.fail(
      fmt::format("none of its variables is a label map (GTcls.Segmentation, LabelMap, "
                  "groundTruth.Segmentation or S); it has: {}",
                  found.empty() ? "none" : found));
}

}  // namespace atrous::data::codecs
