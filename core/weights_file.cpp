#include "core/weights_file.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <tuple>

#include "core/byte_source.h"
#include "core/pytorch_file.h"

namespace atrous {
namespace {

void check_no_name(const WeightsPath& path) {
  ATROUS_CHECK(
      path.name.empty(), ErrorKind::checkpoint,
      "[weights {}] # names a dictionary of a PyTorch file. Got \"{}\" for a safetensors file, which "
      "has one. Leave it out.",
      path.file, path.name);
}

StoredTensor listed(const std::string& name, const PyTorchTensor& t) {
  StoredTensor s;
  s.name = name;
  s.dtype = t.type->name;
  s.shape = t.shape;
  s.bytes = t.problem.empty() ? t.numel() * (t.type->bits / 8) : 0;
  s.problem = t.problem;
  return s;
}

void list_pytorch(const ByteSource& file, const std::string& wanted, WeightsList& list) {
  const PyTorchFile opened = open_pytorch(file);
  const StateDict dict = choose_state_dict(opened.tree, opened.found, wanted, file.origin());
  list.container = opened.container;
  list.name = dict.name;
  list.names = dict.names;
  list.notes = dict.notes;
  std::map<std::tuple<size_t, uint64_t, std::vector<uint64_t>, std::vector<uint64_t>>, std::string> first;
  for (const auto& [name, ref] : dict.tensors) {
    const PyTorchTensor& t = opened.found.tensors.at(ref);
    StoredTensor& s = list.tensors.emplace_back(listed(name, t));
    if (!t.problem.empty() || t.numel() == 0) continue;
    const auto [it, fresh] = first.emplace(std::tuple(t.storage, t.offset, t.shape, t.strides), name);
    if (!fresh) s.same_as = it->second;
  }
}

}  // namespace

WeightsPath split_weights_path(const std::string& path) {
  std::error_code ignored;
  const size_t hash = path.rfind('#');
  if (hash == std::string::npos || std::filesystem::exists(path, ignored)) return {path, ""};
  return {path.substr(0, hash), path.substr(hash + 1)};
}

TensorFile read_weights(const std::string& path) {
  const WeightsPath parts = split_weights_path(path);
  uint64_t size = 0;
  std::ifstream in = open_regular_file(parts.file, "weights", size);
  const ByteSource file(in, size, parts.file);
  if (is_pytorch(file)) {
    const PyTorchFile opened = open_pytorch(file);
    return read_pytorch(file, opened, choose_state_dict(opened.tree, opened.found, parts.name, parts.file));
  }
  check_no_name(parts);
  in.clear();
  in.seekg(0);
  return read_safetensors(in, size, parts.file);
}

WeightsList list_weights(const std::string& path) {
  const WeightsPath parts = split_weights_path(path);
  WeightsList list;
  list.path = parts.file;
  std::ifstream in = open_regular_file(parts.file, "weights", list.bytes);
  const ByteSource file(in, list.bytes, parts.file);
  if (is_pytorch(file)) {
    list_pytorch(file, parts.name, list);
    return list;
  }
  check_no_name(parts);
  in.clear();
  in.seekg(0);
  list.container = "safetensors";
  list.tensors = list_safetensors(in, list.bytes, parts.file, list.metadata);
  return list;
}

}  // namespace atrous
