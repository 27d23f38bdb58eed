// Reading and writing safetensors files: named tensors, nothing that runs.
//
// Format (https://github.com/huggingface/safetensors): u64 little-endian header length N; N bytes of UTF-8
// JSON that begin with '{' and may end in spaces; then the data. The JSON maps each name to {"dtype",
// "shape", "data_offsets": [begin, end)}, offsets relative to the data; "__metadata__" maps strings to
// strings. Row-major, little-endian.
//
// A file is untrusted input, so every rule is enforced: header of at most 100,000,000 bytes that fits
// the file; no duplicate names; known dtypes; shape times element size equal to the byte range, without
// overflow; ranges that neither overlap nor leave holes and that end where the file ends. Nothing is
// allocated before it is known to be in the file. This file handles names and bytes only; layers/state_dict.h
// converts layouts of filters.
#pragma once

#include <iosfwd>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/stored_type.h"
#include "core/tensor.h"

namespace atrous {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

struct TensorFile {
  Metadata metadata;
  NamedTensors tensors;  // in the order of their data in the file

  // nullptr if there is no tensor of that name.
  const Tensor* find(const std::string& name) const;
  // Error(data) that lists the tensors of the file if it has no tensor of that name.
  const Tensor& at(const std::string& name) const;
  std::string origin;  // the path, for messages

  // Tensors that the file holds and that cannot be read, with the reason: an error where one is needed.
  std::map<std::string, std::string> unread = {};
  std::vector<std::string> notes = {};  // for people: what a reader chose or left out
};

// Types that atrous lacks become others or stay in `unread`, as core/stored_type.h says. Error(io) if the
// file cannot be opened or read, Error(checkpoint) if it breaks a rule.
TensorFile read_safetensors(const std::string& path);
// The same from a stream that holds `size` bytes; `origin` names it in messages.
TensorFile read_safetensors(std::istream& in, uint64_t size, const std::string& origin);

// Only the metadata (a label list, a config) without reading the data.
Metadata read_safetensors_metadata(const std::string& path);
// What it holds, without reading the data.
std::vector<StoredTensor> list_safetensors(std::istream& in, uint64_t size, const std::string& origin,
                                           Metadata& metadata);

// The bytes depend on nothing but the arguments. Wider elements come first, so that all data is aligned;
// within a width the order stays. Error(usage) for a name that is used twice or is "__metadata__"; Error(io)
// if the stream fails.
void write_safetensors(std::ostream& out, const NamedTensors& tensors, const Metadata& metadata = {});
// The file appears whole or not at all (core/atomic_file.h).
void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata = {});

}  // namespace atrous
