// The globals that a file of torch.save may name, and what each means. Any other is refused by name: to load
// the file with Python would import and run it.
#pragma once

#include <string>

#include "core/pickle.h"
#include "core/stored_type.h"

namespace atrous {

enum class PyTorchRole : uint8_t {
  other,         // plain data beside the weights: kept as a name, never read
  tensor,        // _rebuild_tensor and _v2: (storage, offset, size, strides, ...)
  typed_tensor,  // _v3: the same, with the dtype in seventh place
  parameter,     // a tensor in first place
  subclass,      // _rebuild_from_type_v2: (one of the above, class, its arguments, state)
  tensor_class,  // torch.Tensor and Parameter, for `subclass`
  quantised,
  sparse,
  nested,
  without_data,  // of the device "meta": (dtype, size, strides, ...)
  storage,       // torch.FloatStorage
  dtype          // torch.float32
};

// For parse_pickle. Error(checkpoint) "this file would run code: os.system".
PickleGlobal pytorch_global(const std::string& origin, const std::string& module, const std::string& name);

// Of a global, or of the result of one. `other` for all other values.
PyTorchRole role_of(const PickleValue& value);
// Of a storage or dtype; u8 for torch.UntypedStorage, which is bytes.
const StoredType& stored_type_of(const PickleValue& value);

}  // namespace atrous
