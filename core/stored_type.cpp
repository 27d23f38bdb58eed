#include "core/stored_type.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "core/tensor.h"

namespace atrous {
namespace {

constexpr StoredType types[] = {
    {"f64", "F64", "float64", "DoubleStorage", 64, DType::f64},
    {"f32", "F32", "float32", "FloatStorage", 32, DType::f32},
    {"bf16", "BF16", "bfloat16", "BFloat16Storage", 16, DType::bf16},
    {"i64", "I64", "int64", "LongStorage", 64, DType::i64},
    {"i32", "I32", "int32", "IntStorage", 32, DType::i32},
    {"u8", "U8", "uint8", "ByteStorage", 8, DType::u8},
    {"f16", "F16", "float16", "HalfStorage", 16, DType::f32},
    {"f8_e4m3fn", "F8_E4M3", "float8_e4m3fn", "", 8, DType::f32},
    {"f8_e5m2", "F8_E5M2", "float8_e5m2", "", 8, DType::f32},
    {"i16", "I16", "int16", "ShortStorage", 16, DType::i32},
    {"i8", "I8", "int8", "CharStorage", 8, DType::i32},
    {"u16", "U16", "uint16", "", 16, DType::i32},
    {"u32", "U32", "uint32", "", 32, DType::i64},
    {"bool", "BOOL", "bool", "BoolStorage", 8, DType::u8},
    {"u64", "U64", "uint64", "", 64, {}},
    {"c32", "", "complex32", "ComplexHalfStorage", 32, {}},
    {"c64", "C64", "complex64", "ComplexFloatStorage", 64, {}},
    {"c128", "", "complex128", "ComplexDoubleStorage", 128, {}},
    {"f8_e8m0fnu", "F8_E8M0", "float8_e8m0fnu", "", 8, {}},
    {"f8_e4m3fnuz", "", "float8_e4m3fnuz", "", 8, {}},
    {"f8_e5m2fnuz", "", "float8_e5m2fnuz", "", 8, {}},
    {"f6_e2m3", "F6_E2M3", "", "", 6, {}},
    {"f6_e3m2", "F6_E3M2", "", "", 6, {}},
    {"f4", "F4", "", "", 4, {}},
    {"f4_e2m1fn_x2", "", "float4_e2m1fn_x2", "", 8, {}},
    {"qint8", "", "qint8", "QInt8Storage", 8, {}},
    {"quint8", "", "quint8", "QUInt8Storage", 8, {}},
    {"qint32", "", "qint32", "QInt32Storage", 32, {}},
    {"quint4x2", "", "quint4x2", "QUInt4x2Storage", 8, {}},
    {"quint2x4", "", "quint2x4", "QUInt2x4Storage", 8, {}},
};

float float_from_half(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 31u, mantissa = h & 1023u;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact in f32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t e = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (e << 23) | (mantissa << 13));
}

// Bias 7, no infinity; all ones is NaN.
float float_from_e4m3fn(uint8_t b) {
  const uint32_t exponent = (b >> 3) & 15u, mantissa = b & 7u;
  float magnitude;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  } else {
    magnitude = std::bit_cast<float>(((exponent + 120u) << 23) | (mantissa << 20));
  }
  return (b & 0x80u) ? -magnitude : magnitude;
}

// The upper half of an f16.
float float_from_e5m2(uint8_t b) {
  return float_from_half(static_cast<uint16_t>(b << 8));
}

template <class From, class To, class F>
void convert_all(const std::byte* from, const Tensor& to, F&& f) {
  To* out = to.data<To>();
  for (int64_t i = 0; i < to.numel(); ++i) {
    From value;
    std::memcpy(&value, from + i * static_cast<int64_t>(sizeof value), sizeof value);
    out[i] = f(value);
  }
}

}  // namespace

const StoredType* find_stored_type(const char* StoredType::*column, std::string_view text) {
  if (text.empty()) return nullptr;
  for (const StoredType& t : types) {
    if (text == t.*column) return &t;
  }
  return nullptr;
}

const StoredType& stored_type_of(DType dtype) {
  for (const StoredType& t : types) {
    if (t.read_as == dtype && t.bits == 8 * size_of(dtype)) return t;  // f32 comes before what becomes f32
  }
  ATROUS_ASSERT(!"every dtype has a row");
  return types[0];
}

int64_t number_of(const StoredType& type) {
  return &type - types;
}

const StoredType& stored_type_number(int64_t number) {
  ATROUS_ASSERT(number >= 0 && number < static_cast<int64_t>(std::size(types)));
  return types[number];
}

void convert_stored(const StoredType& type, const std::byte* from, const Tensor& to) {
  const std::string_view name = type.name;
  const auto widen = [](auto v) { return static_cast<int32_t>(v); };
  if (type.bits == 8 * size_of(to.dtype())) {
    if (to.bytes() > 0) std::memcpy(to.raw(), from, to.bytes());
  } else if (name == "f16") {
    convert_all<uint16_t, float>(from, to, float_from_half);
  } else if (name == "f8_e4m3fn") {
    convert_all<uint8_t, float>(from, to, float_from_e4m3fn);
  } else if (name == "f8_e5m2") {
    convert_all<uint8_t, float>(from, to, float_from_e5m2);
  } else if (name == "i16") {
    convert_all<int16_t, int32_t>(from, to, widen);
  } else if (name == "i8") {
    convert_all<int8_t, int32_t>(from, to, widen);
  } else if (name == "u16") {
    convert_all<uint16_t, int32_t>(from, to, widen);
  } else if (name == "u32") {
    convert_all<uint32_t, int64_t>(from, to, [](uint32_t v) { return static_cast<int64_t>(v); });
  } else {
    ATROUS_ASSERT(!"every type with read_as is converted");
  }
}

}  // namespace atrous
