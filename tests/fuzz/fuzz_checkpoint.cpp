// Checkpoints: the texts in the metadata of a file whose checksum fits, and files whose checksum does not.
#include <sstream>

#include "core/safetensors.h"
#include "harness.h"
#include "train/checkpoint.h"
#include "train/crc32c.h"

using namespace atrous;

namespace {

// The rule of train/checkpoint.h: keys and values, then names, shapes and bytes, each text with a final zero.
std::string checksum_of(const NamedTensors& sorted, const Metadata& metadata) {
  uint32_t crc = 0;
  const auto add = [&crc](const std::string& text) {
    crc = train::crc32c(text.c_str(), text.size() + 1, crc);
  };
  for (const auto& [key, value] : metadata) {
    add(key);
    add(value);
  }
  for (const auto& [name, tensor] : sorted) {
    add(name);
    add(tensor.shape().str());
    crc = train::crc32c(tensor.raw(), tensor.bytes(), crc);
  }
  return fmt::format("{:08x}", crc);
}

}  // namespace

// A byte of choices, then config, classes and state with zero bytes between them.
FUZZ_HARNESS(checkpoint, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  const bool damaged = choice & 1;
  NamedTensors tensors;
  tensors.emplace_back("weight", Tensor::full({2, 3}, 0.5f));
  Metadata metadata{{"atrous.format", "1"}};
  for (const char* key : {"atrous.config", "atrous.classes", "atrous.state"})
    metadata[key] = input.take_text();
  if (choice & 2) metadata.erase("atrous.state");
  metadata["atrous.checksum"] = checksum_of(tensors, metadata);
  if (damaged) tensors[0].second = Tensor::full({2, 3}, 0.25f);
  std::ostringstream out;
  if (!fuzz::accepts({ErrorKind::usage}, [&] { write_safetensors(out, tensors, metadata); }))
    return;  // no UTF-8
  const std::string& path = fuzz::file_with(fuzz::bytes_of(out.str()));
  fuzz::accepts({ErrorKind::checkpoint}, [&] {
    const train::StoredCheckpoint stored = train::read_checkpoint(path);
    fuzz::require(!damaged, "a changed tensor is seen");
    const train::Config config = train::parse_config(metadata.at("atrous.config"), "x", {});
    fuzz::require(train::to_json(stored.config) == train::to_json(config), "the config is that of the file");
    fuzz::require(stored.file.tensors.size() == 1 && stored.file.metadata == metadata,
                  "the content is that of the file");
  });
}
