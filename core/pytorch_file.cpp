#include "core/pytorch_file.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include "core/pytorch_error.h"
#include "core/pytorch_globals.h"
#include "core/zip.h"

namespace atrous {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t pickle_limit = uint64_t{64} << 20;  // bytes; values besides tensors are no weights
constexpr uint64_t repeat_limit = 16;                  // bytes of tensors for each byte of the file
constexpr uint64_t always_allowed = 1 << 20;
constexpr std::string_view magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t legacy_protocol = 1001;

PickleTree parse(std::string_view& bytes, const ByteSource& file) {
  return parse_pickle(bytes, file.origin(), [&](const std::string& module, const std::string& name) {
    return pytorch_global(file.origin(), module, name);
  });
}

std::string read_checked(const ByteSource& file, const ZipEntry& entry) {
  std::string bytes = file.text(entry.offset, entry.size);
  if (entry.crc != 0 && zip_crc(bytes.data(), bytes.size()) != entry.crc)
    reject_pytorch(file.origin(), "An entry must have its checksum. \"{}\" has another.", shown(entry.name));
  return bytes;
}

// PREFIX of the one entry PREFIX/data.pkl.
std::string prefix_of(const ByteSource& file, const std::vector<ZipEntry>& entries) {
  std::vector<std::string> prefixes;
  bool script = false;
  for (const ZipEntry& e : entries) {
    const size_t slash = e.name.find('/');
    if (slash == std::string::npos) continue;
    const std::string inside = e.name.substr(slash + 1);
    if (inside == "data.pkl") prefixes.push_back(e.name.substr(0, slash + 1));
    script |= inside == "constants.pkl" || inside.starts_with("code/");
  }
  ATROUS_CHECK(!script, ErrorKind::checkpoint,
               "[pytorch {0}] a file of weights holds tensors. Got a TorchScript archive, which holds code. "
               "Save its weights: python3 -c \"import torch; torch.save(torch.jit.load('{0}', "
               "map_location='cpu').state_dict(), 'OUT.pth')\".",
               file.origin());
  if (prefixes.size() != 1)
    reject_pytorch(file.origin(), "An archive of torch.save has one entry data.pkl. Got {} in {} entries.",
                   prefixes.size(), entries.size());
  return prefixes[0];
}

PyTorchFile open_zip(const ByteSource& file) {
  const std::vector<ZipEntry> entries = read_zip_directory(file);
  const std::string prefix = prefix_of(file, entries);
  std::map<std::string, const ZipEntry*> by_name;
  for (const ZipEntry& e : entries) by_name[e.name] = &e;
  if (const auto order = by_name.find(prefix + "byteorder"); order != by_name.end()) {
    const std::string is = order->second->size <= 16 ? read_checked(file, *order->second) : "?";
    ATROUS_CHECK(
        is == "little", ErrorKind::checkpoint,
        "[pytorch {}] numbers must be little-endian. Got \"{}\". Load and save the file with torch on "
        "a little-endian machine.",
        file.origin(), shown(is));
  }
  const ZipEntry& pickle = *by_name.at(prefix + "data.pkl");
  if (pickle.size > pickle_limit)
    reject_pytorch(file.origin(), "data.pkl has at most {} bytes. Got {}.", pickle_limit, pickle.size);
  const std::string text = read_checked(file, pickle);
  std::string_view left = text;
  PyTorchFile opened{"PyTorch (zip)", parse(left, file), {}};
  if (!left.empty())
    reject_pytorch(file.origin(), "data.pkl holds one pickle. Got {} bytes after it.", left.size());
  opened.found = collect_tensors(opened.tree, file.origin());
  for (PyTorchStorage& s : opened.found.storages) {
    const auto entry = by_name.find(prefix + "data/" + s.key);
    if (entry == by_name.end())
      reject_pytorch(file.origin(), "Every storage has an entry. Got none for \"{}\".", shown(s.key));
    if (entry->second->size != s.bytes)
      reject_pytorch(file.origin(),
                     "A storage has the size of its entry. Storage \"{}\" has {} and {} bytes.", shown(s.key),
                     s.bytes, entry->second->size);
    s.offset = entry->second->offset;
    s.crc = entry->second->crc;
  }
  return opened;
}

void check_machine(const PickleTree& facts, const ByteSource& file) {
  const PickleValue* version = facts.find(facts.root, "protocol_version");
  const PickleValue* little = facts.find(facts.root, "little_endian");
  if (!version || version->integer != legacy_protocol || !little || little->kind != Kind::boolean)
    reject_pytorch(file.origin(), "A legacy file says its version, {}, and byte order.", legacy_protocol);
  ATROUS_CHECK(
      little->integer, ErrorKind::checkpoint,
      "[pytorch {}] numbers must be little-endian. Got a big-endian file. Load and save it with torch "
      "on a little-endian machine.",
      file.origin());
}

// The storages follow the pickles in the order of their keys, each after its number of elements.
void place_storages(const ByteSource& file, const PickleTree& keys, uint64_t at, PyTorchTensors& found) {
  std::map<std::string, PyTorchStorage*> unplaced;
  for (PyTorchStorage& s : found.storages) unplaced[s.key] = &s;
  const PickleValue& list = keys[keys.root];
  if (list.kind != Kind::list)
    reject_pytorch(file.origin(), "The keys of storages are a list. Got {}.", name_of(list.kind));
  for (const PickleRef ref : list.items) {
    const auto it = unplaced.find(keys[ref].text);
    if (keys[ref].kind != Kind::text || it == unplaced.end())
      reject_pytorch(file.origin(), "Every key is that of one storage. Got \"{}\".", shown(keys[ref].text));
    PyTorchStorage& s = *it->second;
    unplaced.erase(it);
    uint64_t elements = 0, bytes = 0;
    if (file.size() - at < 8)
      reject_pytorch(file.origin(),
                     "Data must lie in the file (is it truncated?). Storage \"{}\" is not there.",
                     shown(s.key));
    file.read(at, &elements, 8);
    at += 8;
    if (__builtin_mul_overflow(elements, s.element_bits / 8, &bytes) || bytes != s.bytes)
      reject_pytorch(file.origin(), "A storage has one size. Storage \"{}\" has {} bytes and {} elements.",
                     shown(s.key), s.bytes, elements);
    if (bytes > file.size() - at)
      reject_pytorch(file.origin(),
                     "Data must lie in the file (is it truncated?). \"{}\" has {} bytes at {} of {}.",
                     shown(s.key), bytes, at, file.size());
    s.offset = at;
    at += bytes;
  }
  if (!unplaced.empty())
    reject_pytorch(file.origin(), "Every storage has data. Got none for \"{}\".",
                   shown(unplaced.begin()->first));
  if (at != file.size())
    reject_pytorch(file.origin(), "The last storage ends the file. Got {} bytes after it.", file.size() - at);
}

PyTorchFile open_legacy(const ByteSource& file) {
  const std::string text = file.text(0, std::min(file.size(), pickle_limit));
  std::string_view left = text;
  const bool has_magic = left.substr(0, 32).find(magic) != std::string_view::npos;
  PickleTree first;
  if (has_magic || text.size() == file.size()) first = parse(left, file);  // names the code that it would run
  ATROUS_CHECK(
      has_magic && first[first.root].kind == Kind::long_integer && first[first.root].text == magic,
      ErrorKind::checkpoint,
      "[pytorch {}] a pickle must be one of torch.save. Got one without its magic number. Load it in "
      "Python, if you trust its source, and save a dict of tensors with torch.save.",
      file.origin());
  const PickleTree version = parse(left, file);
  if (version[version.root].kind != Kind::integer || version[version.root].integer != legacy_protocol)
    reject_pytorch(file.origin(), "A legacy file has version {}.", legacy_protocol);
  check_machine(parse(left, file), file);
  PyTorchFile opened{"PyTorch (legacy)", parse(left, file), {}};
  opened.found = collect_tensors(opened.tree, file.origin());
  const PickleTree keys = parse(left, file);
  place_storages(file, keys, text.size() - left.size(), opened.found);
  return opened;
}

// -- data

using Identity =
    std::tuple<size_t, const StoredType*, uint64_t, std::vector<uint64_t>, std::vector<uint64_t>>;

Identity identity_of(const PyTorchTensor& t) {
  return {t.storage, t.type, t.offset, t.shape, t.strides};
}

// The elements of a view, row-major.
std::vector<std::byte> gather(const PyTorchTensor& t, const std::vector<std::byte>& storage) {
  const size_t size = t.type->bits / 8;
  std::vector<std::byte> out(t.numel() * size);
  if (out.empty()) return out;
  const uint64_t row = t.shape.empty() ? 1 : t.shape.back(), step = t.strides.empty() ? 1 : t.strides.back();
  std::vector<uint64_t> index(t.shape.size(), 0);
  std::byte* to = out.data();
  for (uint64_t rows = t.numel() / row; rows > 0; --rows) {
    uint64_t at = t.offset;
    for (size_t i = 0; i + 1 < index.size(); ++i) at += index[i] * t.strides[i];
    for (uint64_t i = 0; i < row; ++i, to += size, at += step)
      std::memcpy(to, storage.data() + at * size, size);
    for (size_t i = !index.empty() ? index.size() - 1 : 0; i-- > 0;) {
      if (++index[i] < t.shape[i]) break;
      index[i] = 0;
    }
  }
  return out;
}

Tensor empty_for(const PyTorchTensor& t) {
  const std::vector<int64_t> shape(t.shape.begin(), t.shape.end());
  return Tensor::empty(Shape(std::span<const int64_t>(shape)), *t.type->read_as);
}

void check_crc(const ByteSource& file, const PyTorchStorage& s, const void* data) {
  if (s.crc != 0 && zip_crc(data, s.bytes) != s.crc)
    reject_pytorch(file.origin(), "A storage must have its checksum. \"{}\" has another.", shown(s.key));
}

// Reads a storage once and makes all tensors of it.
void read_storage(const ByteSource& file, const PyTorchStorage& s,
                  const std::vector<const PyTorchTensor*>& views, std::map<Identity, Tensor>& made) {
  const PyTorchTensor& one = *views[0];
  const bool kept = one.type->bits == 8 * size_of(*one.type->read_as);
  if (views.size() == 1 && kept && one.dense() && one.numel() * one.type->bits / 8 == s.bytes) {
    const Tensor t = empty_for(one);
    file.read(s.offset, t.raw(), s.bytes);
    check_crc(file, s, t.raw());
    made.emplace(identity_of(one), t);
    return;
  }
  std::vector<std::byte> bytes(s.bytes);
  file.read(s.offset, bytes.data(), s.bytes);
  check_crc(file, s, bytes.data());
  for (const PyTorchTensor* view : views) {
    const Tensor t = empty_for(*view);
    if (view->dense()) {
      convert_stored(*view->type, bytes.data() + view->offset * (view->type->bits / 8), t);
    } else {
      convert_stored(*view->type, gather(*view, bytes).data(), t);
    }
    made.emplace(identity_of(*view), t);
  }
}

}  // namespace

bool is_pytorch(const ByteSource& file) {
  const std::string head = file.text(0, std::min<uint64_t>(file.size(), 512));
  if (head.starts_with("PK\3\4") || head.starts_with("PK\5\6")) return true;
  // A pickle begins with its protocol. The length of a safetensors header may look like that; its '{' does
  // not.
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
    return head.size() < 9 || head[8] != '{';
  ATROUS_CHECK(head.size() < 262 || head.substr(257, 5) != "ustar", ErrorKind::checkpoint,
               "[pytorch {}] the tar files of PyTorch 0.1 are not read. Got one. Load and save it with a "
               "current PyTorch, if you trust its source.",
               file.origin());
  return false;
}

PyTorchFile open_pytorch(const ByteSource& file) {
  const std::string head = file.text(0, std::min<uint64_t>(file.size(), 2));
  return head == "PK" ? open_zip(file) : open_legacy(file);
}

TensorFile read_pytorch(const ByteSource& file, const PyTorchFile& opened, const StateDict& dict) {
  TensorFile result;
  result.origin = file.origin();
  result.notes = dict.notes;
  uint64_t limit = 0, total = 0;
  if (__builtin_mul_overflow(file.size(), repeat_limit, &limit)) limit = ~uint64_t{0} - always_allowed;
  limit += always_allowed;
  std::vector<std::vector<const PyTorchTensor*>> views(opened.found.storages.size());
  std::set<Identity> distinct;
  for (const auto& [name, ref] : dict.tensors) {
    const PyTorchTensor& t = opened.found.tensors.at(ref);
    if (!t.problem.empty()) {
      result.unread[name] = t.problem;
      continue;
    }
    if (!distinct.insert(identity_of(t)).second) continue;
    const uint64_t bytes = t.numel() * size_of(*t.type->read_as);
    if (bytes > limit - total)
      reject_pytorch(
          file.origin(),
          "All tensors have at most {} bytes for each byte of the file. \"{}\" of shape [{}] exceeds "
          "that.",
          repeat_limit, shown(name), fmt::join(t.shape, ", "));
    total += bytes;
    views[t.storage].push_back(&t);
  }
  std::vector<size_t> order;  // of the file
  for (size_t i = 0; i < views.size(); ++i) {
    if (!views[i].empty()) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return opened.found.storages[a].offset < opened.found.storages[b].offset;
  });
  std::map<Identity, Tensor> made;
  for (const size_t i : order) read_storage(file, opened.found.storages[i], views[i], made);
  for (const auto& [name, ref] : dict.tensors) {
    if (!result.unread.contains(name))
      result.tensors.emplace_back(name, made.at(identity_of(opened.found.tensors.at(ref))));
  }
  return result;
}

}  // namespace atrous
