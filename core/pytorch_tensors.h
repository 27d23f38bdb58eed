// The tensors in the pickle of a PyTorch file: which part of which storage each is.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/pickle.h"
#include "core/stored_type.h"

namespace atrous {

// A block of elements in the file, which several tensors may share.
struct PyTorchStorage {
  std::string key;            // its name in the file
  uint64_t bytes = 0;         // as the pickle says; the container checks it
  uint64_t element_bits = 0;  // of its type
  uint64_t offset = 0;        // in the file, set by the container
  uint32_t crc = 0;           // 0: unknown
};

struct PyTorchTensor {
  const StoredType* type = nullptr;
  std::vector<uint64_t> shape, strides;  // strides and offset in elements
  uint64_t offset = 0;
  size_t storage = 0;
  std::string problem;  // why it is not read; then only type and shape mean something

  uint64_t numel() const;
  // Row-major without gaps.
  bool dense() const;
};

struct PyTorchTensors {
  std::map<PickleRef, PyTorchTensor> tensors;  // by the value that is the tensor
  std::vector<PyTorchStorage> storages;
};

// Interprets every storage and tensor of the tree. Error(checkpoint) for arguments that are none of a tensor,
// sizes and strides that overflow or leave their storage, a storage with two sizes. Sparse, quantised,
// complex and other tensors that are not read get a `problem`.
PyTorchTensors collect_tensors(const PickleTree& tree, const std::string& origin);

}  // namespace atrous
