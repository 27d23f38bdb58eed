// Element types as weights files name them, and what atrous reads them as: one rule for all formats.
//
// A type that atrous has is kept (f64, f32, bf16, i64, i32, u8). Another is read as the smallest type of
// atrous that holds all of its values: f16 and the 8-bit floats e4m3fn and e5m2 as f32, i8, i16 and u16 as
// i32, u32 as i64, bool as u8. Types without such a one (u64, complex, quantised, floats of 4 and 6 bits) are
// not read: a tensor of them is an error where it is needed, and ignored elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace atrous {

class Tensor;

struct StoredType {
  const char* name;         // "f16", in messages and listings
  const char* safetensors;  // "F16"; "" where the format has no such type
  const char* torch;        // "float16", of torch.float16
  const char* storage;      // "HalfStorage", of torch.HalfStorage
  uint64_t bits;
  std::optional<DType> read_as;
};

// The row with this text in a column (&StoredType::safetensors), or nullptr.
const StoredType* find_stored_type(const char* StoredType::*column, std::string_view text);
const StoredType& stored_type_of(DType dtype);
// Rows by number, for tables that refer to them.
int64_t number_of(const StoredType& type);
const StoredType& stored_type_number(int64_t number);

// Fills `to` (contiguous, of type.read_as) from as many stored elements.
void convert_stored(const StoredType& type, const std::byte* from, const Tensor& to);

// A tensor of a file, as `atrous weights show` lists it.
struct StoredTensor {
  std::string name;
  std::string dtype;  // StoredType::name
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;   // of its elements in the file
  std::string same_as;  // the first name of the same tensor ("tied weights")
  std::string problem;  // why it cannot be read; empty if it can
};

}  // namespace atrous
