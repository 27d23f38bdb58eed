#include "core/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/atomic_file.h"
#include "core/byte_source.h"

namespace atrous {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so is this reader");

constexpr uint64_t header_limit = 100'000'000;  // the reference implementation's
constexpr const char* metadata_key = "__metadata__";

template <class... Args>
[[noreturn]] void reject(const std::string& origin, fmt::format_string<Args...> rule, Args&&... args) {
  fail(ErrorKind::checkpoint, "[safetensors {}] {} The file is damaged or was not written as safetensors.",
       origin, fmt::format(rule, std::forward<Args>(args)...));
}

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Walks the header without building a document: duplicate keys are seen, depth is bounded by the states.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  Metadata metadata;
  std::string problem;  // why parsing stopped

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override {
    return stop(fmt::format("Sizes and offsets must not be negative. Got {} in \"{}\".", value, place()));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return stop(fmt::format("Sizes and offsets must be integers of at most 64 bits. Got {} in \"{}\".", text,
                            place()));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::shape) return append(entries.back().shape, value);
    if (state_ == State::offsets) return append(entries.back().offsets, value);
    return unexpected("a number");
  }
  bool string(string_t& value) override {
    if (state_ == State::metadata) {
      metadata[key_] = value;
      return true;
    }
    if (state_ != State::tensor || key_ != "dtype") return unexpected("a string");
    entries.back().dtype = value;
    return true;
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool start_object(std::size_t) override {
    if (state_ == State::start) return enter(State::root);
    if (state_ != State::root) return unexpected("an object");
    return enter(key_ == metadata_key ? State::metadata : State::tensor);
  }
  bool end_object() override {
    if (state_ == State::tensor) {
      const Entry& e = entries.back();
      if (!e.has_dtype || !e.has_shape || !e.has_offsets)
        return stop(fmt::format("A tensor needs dtype, shape and data_offsets. Tensor \"{}\" lacks {}.",
                                e.name,
                                !e.has_dtype   ? "dtype"
                                : !e.has_shape ? "shape"
                                               : "data_offsets"));
    }
    state_ = state_ == State::root ? State::end : State::root;
    return true;
  }
  bool start_array(std::size_t) override {
    if (state_ != State::tensor || (key_ != "shape" && key_ != "data_offsets")) return unexpected("an array");
    return enter(key_ == "shape" ? State::shape : State::offsets);
  }
  bool end_array() override { return enter(State::tensor); }
  bool key(string_t& value) override {
    key_ = value;
    switch (state_) {
      case State::root:
        if (!names_.insert(value).second)
          return stop(fmt::format("Names must be unique. Duplicate name \"{}\".", value));
        if (value != metadata_key)
          entries.push_back(Entry{.name = value, .dtype = {}, .shape = {}, .offsets = {}});
        return true;
      case State::metadata:
        return metadata.count(value) == 0 ||
               stop(fmt::format("Metadata keys must be unique. Duplicate key \"{}\".", value));
      default: break;
    }
    Entry& e = entries.back();
    bool* seen = value == "dtype"          ? &e.has_dtype
                 : value == "shape"        ? &e.has_shape
                 : value == "data_offsets" ? &e.has_offsets
                                           : nullptr;
    if (!seen)
      return stop(
          fmt::format("A tensor has dtype, shape and data_offsets only. \"{}\" has \"{}\".", e.name, value));
    if (*seen)
      return stop(fmt::format("Keys must be unique. \"{}\" has the duplicate key \"{}\".", e.name, value));
    *seen = true;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    return stop(fmt::format("The header must be JSON. Byte {}: {}.", position, e.what()));
  }

 private:
  enum class State { start, root, metadata, tensor, shape, offsets, end };

  std::string place() const { return entries.empty() ? key_ : entries.back().name; }
  bool enter(State state) {
    state_ = state;
    return true;
  }
  bool append(std::vector<uint64_t>& list, uint64_t value) {
    list.push_back(value);
    // One more than any shape may have is enough to report the error.
    return list.size() <= Shape::max_rank ||
           stop(fmt::format("A tensor has at most {} dimensions and 2 offsets here. \"{}\" has more.",
                            int{Shape::max_rank}, place()));
  }
  bool stop(std::string why) {
    problem = std::move(why);
    return false;
  }
  bool unexpected(const char* what) {
    if (state_ == State::metadata)
      return stop(fmt::format("{} must map strings to strings. \"{}\" is {}.", metadata_key, key_, what));
    return stop(fmt::format("The header maps names to tensors. Got {} at \"{}\".", what, key_));
  }

  State state_ = State::start;
  std::string key_;
  std::set<std::string> names_;
};

void read_exactly(std::istream& in, char* to, uint64_t bytes, const std::string& origin) {
  in.read(to, static_cast<std::streamsize>(bytes));
  ATROUS_CHECK(static_cast<uint64_t>(in.gcount()) == bytes, ErrorKind::io,
               "[safetensors {}] reading stopped early. Got {} of {} bytes. Check the disk, and that no "
               "other process writes the file.",
               origin, in.gcount(), bytes);
}

HeaderReader read_header(std::istream& in, uint64_t size, const std::string& origin, uint64_t& data_size) {
  if (size < 8) reject(origin, "A file begins with 8 bytes of header length. Got {} bytes.", size);
  uint64_t length = 0;
  read_exactly(in, reinterpret_cast<char*>(&length), 8, origin);
  // What torch.save writes: a ZIP archive, before 1.6 a pickle.
  const bool zip = (length & 0xffffffff) == 0x04034b50,
             pickle = (length & 0xff) == 0x80 && length > header_limit;
  if (zip || pickle)
    reject(origin,
           "A PyTorch .pth file is not a safetensors file; it is read where weights are (docs/weights.md).");
  if (length > header_limit)
    reject(origin, "The header may have at most {} bytes. Got {}.", header_limit, length);
  if (length > size - 8)
    reject(origin, "The header must lie in the file. Got {} bytes of header in {} bytes.", length, size);
  std::string text(length, '\0');
  read_exactly(in, text.data(), length, origin);
  if (text.empty() || text[0] != '{') reject(origin, "The header must begin with '{{'.");
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}') reject(origin, "The header must end with '}}' and spaces only.");
  HeaderReader header;
  if (!nlohmann::json::sax_parse(text, &header)) reject(origin, "{}", header.problem);
  data_size = size - 8 - length;
  return header;
}

struct Placed {
  std::string name;
  const StoredType* type;
  Shape shape;
  uint64_t begin, end;
};

Placed check_entry(const Entry& e, uint64_t data_size, const std::string& origin) {
  const StoredType* type = find_stored_type(&StoredType::safetensors, e.dtype);
  if (!type)
    reject(origin, "The dtype must be one of the format's. Tensor \"{}\" has \"{}\".", e.name, e.dtype);
  if (e.offsets.size() != 2)
    reject(origin, "data_offsets are two numbers. Tensor \"{}\" has {}.", e.name, e.offsets.size());
  uint64_t bits = type->bits;
  for (uint64_t extent : e.shape) {
    if (extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(bits, extent, &bits))
      reject(origin, "Shape times element size must fit 64 bits. Tensor \"{}\" has shape [{}].", e.name,
             fmt::join(e.shape, ", "));
  }
  const uint64_t begin = e.offsets[0], end = e.offsets[1];
  if (begin > end)
    reject(origin, "Offsets must be in order. Tensor \"{}\" has [{}, {}).", e.name, begin, end);
  if (end > data_size)
    reject(origin, "Data must lie in the file (is it truncated?). Tensor \"{}\" ends at {} of {} bytes.",
           e.name, end, data_size);
  if (bits % 8 != 0 || bits / 8 != end - begin)
    reject(origin, "The byte range must fit the shape. Tensor \"{}\" is {} [{}], {} bytes, but has [{}, {}).",
           e.name, e.dtype, fmt::join(e.shape, ", "), (bits + 7) / 8, begin, end);
  // A tensor with an extent of zero takes no bytes, so its other extents are not bounded by the file yet.
  std::vector<int64_t> dims;
  uint64_t product = 1;
  for (uint64_t extent : e.shape) {
    if (__builtin_mul_overflow(product, std::max<uint64_t>(extent, 1), &product) ||
        product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      reject(origin, "Shape times element size must fit 64 bits. Tensor \"{}\" has shape [{}].", e.name,
             fmt::join(e.shape, ", "));
    dims.push_back(static_cast<int64_t>(extent));
  }
  return {e.name, type, Shape(std::span<const int64_t>(dims)), begin, end};
}

std::vector<Placed> check_layout(const std::vector<Entry>& entries, uint64_t data_size,
                                 const std::string& origin) {
  std::vector<Placed> placed;
  for (const Entry& e : entries) placed.push_back(check_entry(e, data_size, origin));
  std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = 0;
  for (const Placed& p : placed) {
    if (p.begin < at)
      reject(origin, "Tensors must not overlap. \"{}\" begins at {}, inside the one before.", p.name,
             p.begin);
    if (p.begin > at)
      reject(origin, "There must be no holes. Bytes [{}, {}) before \"{}\" belong to no tensor.", at, p.begin,
             p.name);
    at = p.end;
  }
  if (at != data_size)
    reject(origin, "The last tensor must end where the file ends. Bytes [{}, {}) belong to no tensor.", at,
           data_size);
  return placed;
}

Tensor read_data(std::istream& in, const Placed& p, const std::string& origin) {
  Tensor t = Tensor::empty(p.shape, *p.type->read_as);
  if (p.type->bits == 8 * size_of(t.dtype())) {
    read_exactly(in, reinterpret_cast<char*>(t.raw()), p.end - p.begin, origin);
    return t;
  }
  std::vector<std::byte> stored(p.end - p.begin);
  read_exactly(in, reinterpret_cast<char*>(stored.data()), stored.size(), origin);
  convert_stored(*p.type, stored.data(), t);
  return t;
}

std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::usage, "[safetensors] names and metadata must be UTF-8. Got \"{}\".", text);
  }
}

}  // namespace

const Tensor* TensorFile::find(const std::string& name) const {
  for (const auto& [n, t] : tensors) {
    if (n == name) return &t;
  }
  return nullptr;
}

const Tensor& TensorFile::at(const std::string& name) const {
  if (const Tensor* t = find(name)) return *t;
  if (const auto it = unread.find(name); it != unread.end())
    fail(ErrorKind::data, "[safetensors {}] the tensor \"{}\" must be readable. It is {}. Convert it to F32.",
         origin, name, it->second);
  std::string names;
  for (const auto& [n, t] : tensors) {
    if (names.size() > 200) {
      names += ", ...";
      break;
    }
    names += (names.empty() ? "" : ", ") + n;
  }
  fail(ErrorKind::data, "[safetensors {}] a tensor named \"{}\" is needed. The file has: {}.", origin, name,
       names);
}

TensorFile read_safetensors(std::istream& in, uint64_t size, const std::string& origin) {
  uint64_t data_size = 0;
  HeaderReader header = read_header(in, size, origin, data_size);
  TensorFile file;
  file.origin = origin;
  file.metadata = std::move(header.metadata);
  for (const Placed& p : check_layout(header.entries, data_size, origin)) {
    if (p.type->read_as) {
      file.tensors.emplace_back(p.name, read_data(in, p, origin));
    } else {
      file.unread[p.name] = fmt::format("of type {}, which atrous does not have", p.type->name);
      in.ignore(static_cast<std::streamsize>(p.end - p.begin));
    }
  }
  return file;
}

TensorFile read_safetensors(const std::string& path) {
  uint64_t size = 0;
  std::ifstream in = open_regular_file(path, "safetensors", size);
  return read_safetensors(in, size, path);
}

Metadata read_safetensors_metadata(const std::string& path) {
  uint64_t size = 0, data_size = 0;
  std::ifstream in = open_regular_file(path, "safetensors", size);
  HeaderReader header = read_header(in, size, path, data_size);
  check_layout(header.entries, data_size, path);
  return std::move(header.metadata);
}

std::vector<StoredTensor> list_safetensors(std::istream& in, uint64_t size, const std::string& origin,
                                           Metadata& metadata) {
  uint64_t data_size = 0;
  HeaderReader header = read_header(in, size, origin, data_size);
  metadata = std::move(header.metadata);
  std::vector<StoredTensor> all;
  for (const Placed& p : check_layout(header.entries, data_size, origin)) {
    StoredTensor& t = all.emplace_back();
    t.name = p.name;
    t.dtype = p.type->name;
    t.shape.assign(p.shape.begin(), p.shape.end());
    t.bytes = p.end - p.begin;
    if (!p.type->read_as) t.problem = fmt::format("of type {}, which atrous does not have", p.type->name);
  }
  return all;
}

void write_safetensors(std::ostream& out, const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  std::set<std::string> names;
  for (const auto& item : tensors) {
    ATROUS_CHECK(item.first != metadata_key && names.insert(item.first).second, ErrorKind::usage,
                 "[safetensors] names must be unique and not \"{}\". Got \"{}\".", metadata_key, item.first);
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return size_of(a->second.dtype()) > size_of(b->second.dtype()); });
  std::string header = "{";
  if (!metadata.empty()) {
    std::string pairs;
    for (const auto& [key, value] : metadata)
      pairs += fmt::format("{}{}:{}", pairs.empty() ? "" : ",", quoted(key), quoted(value));
    header += fmt::format("\"{}\":{{{}}}", metadata_key, pairs);
  }
  uint64_t at = 0;
  for (const auto* item : order) {
    const Tensor& t = item->second;
    header +=
        fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                    header.size() > 1 ? "," : "", quoted(item->first), stored_type_of(t.dtype()).safetensors,
                    fmt::join(t.shape(), ","), at, at + t.bytes());
    at += t.bytes();
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  ATROUS_CHECK(
      header.size() <= header_limit, ErrorKind::usage,
      "[safetensors] the header may have at most {} bytes. Got {}. Save fewer tensors or less metadata.",
      header_limit, header.size());
  const uint64_t length = header.size();
  out.write(reinterpret_cast<const char*>(&length), 8);
  out.write(header.data(), static_cast<std::streamsize>(length));
  for (const auto* item : order) {
    const Tensor t = item->second.contiguous_copy_if_needed();
    out.write(reinterpret_cast<const char*>(t.raw()), static_cast<std::streamsize>(t.bytes()));
  }
  ATROUS_CHECK(
      out.good(), ErrorKind::io,
      "[safetensors] writing {} bytes of tensors failed (disk full?). Free space or choose another folder.",
      at);
}

void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
  write_file_atomically(path, [&](std::ostream& out) { write_safetensors(out, tensors, metadata); });
}

}  // namespace atrous
