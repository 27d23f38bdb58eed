// PyTorch files: zip archives and the legacy stream. The first byte says what the others are: a whole file,
// or a pickle with storages around which the harness puts an archive whose checksums fit.
#include <algorithm>
#include <sstream>

#include "core/byte_source.h"
#include "core/pytorch_file.h"
#include "core/zip.h"
#include "pictures.h"

using namespace atrous;

namespace {

template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// An archive of stored entries.
std::string archive(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string local, directory;
  for (const auto& [name, data] : entries) {
    const auto size = static_cast<uint32_t>(data.size());
    std::string common = std::string(8, '\0');
    common += bytes_of(zip_crc(data.data(), data.size()));
    common += bytes_of(size);
    common += bytes_of(size);
    common += bytes_of(static_cast<uint16_t>(name.size()));
    common += bytes_of(uint16_t{0});
    directory += bytes_of(uint32_t{0x02014b50});
    directory += bytes_of(uint16_t{0});
    directory += bytes_of(uint16_t{0});
    directory += common;
    directory += std::string(10, '\0');
    directory += bytes_of(static_cast<uint32_t>(local.size()));
    directory += name;
    local += bytes_of(uint32_t{0x04034b50});
    local += bytes_of(uint16_t{0});
    local += common;
    local += name;
    local += data;
  }
  const auto count = static_cast<uint16_t>(entries.size());
  std::string end = bytes_of(uint32_t{0x06054b50});
  end += std::string(4, '\0');
  end += bytes_of(count);
  end += bytes_of(count);
  end += bytes_of(static_cast<uint32_t>(directory.size()));
  end += bytes_of(static_cast<uint32_t>(local.size()));
  end += std::string(2, '\0');
  return local + directory + end;
}

void check(const std::string& bytes) {
  std::istringstream in(bytes);
  const ByteSource source(in, bytes.size(), "x");
  fuzz::accepts({ErrorKind::checkpoint}, [&] {
    if (!is_pytorch(source)) fail(ErrorKind::checkpoint, "no PyTorch file");
    const PyTorchFile opened = open_pytorch(source);
    const StateDict dict = choose_state_dict(opened.tree, opened.found, "", "x");
    const TensorFile file = read_pytorch(source, opened, dict);
    fuzz::require(file.tensors.size() + file.unread.size() == dict.tensors.size(),
                  "every tensor is read or not");
    uint64_t size = 0;
    std::vector<const void*> seen;
    for (const auto& [name, tensor] : file.tensors) {
      if (std::find(seen.begin(), seen.end(), tensor.raw()) != seen.end()) continue;
      seen.push_back(tensor.raw());
      size += tensor.bytes();
    }
    fuzz::require(size <= 16 * bytes.size() + (1 << 20), "no more tensors than the limit");
    // Every byte of a tensor comes from the file.
    const fuzz::Stain stain(0x5a);
    const TensorFile again = read_pytorch(source, opened, dict);
    for (size_t i = 0; i < file.tensors.size(); ++i)
      fuzz::require(fuzz::same(again.tensors[i].second, file.tensors[i].second), "read twice it is the same");
    std::ostringstream out;
    write_safetensors(out, file.tensors);
    fuzz::require(!out.str().empty(), "what is read can be written as safetensors");
  });
}

}  // namespace

// A byte of choices; then a whole file, or a pickle's length (16 bits), the pickle, and the storage "0".
FUZZ_HARNESS(pytorch, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  if (choice & 1) {
    const size_t length = std::min<size_t>(input.take<uint16_t>(), input.left.size());
    const std::string pickle = fuzz::text_of(input.left.first(length));
    const std::string storage = fuzz::text_of(input.left.subspan(length));
    return check(archive({{"a/data.pkl", pickle}, {"a/data/0", storage}, {"a/data/1", storage}}));
  }
  check(fuzz::text_of(input.left));
}
