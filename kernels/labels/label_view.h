// Labels in the types that losses read, u8 or i32.
#pragma once

#include "core/host_device.h"
#include "core/tensor.h"

namespace atrous::kernels {

// u8 is not converted on a device: a quarter of the traffic, and no extra pass.
struct LabelView {
  const uint8_t* bytes = nullptr;
  const int32_t* words = nullptr;

  explicit LabelView(const Tensor& contiguous)
      : bytes(contiguous.dtype() == DType::u8 ? contiguous.device_data<uint8_t>() : nullptr),
        words(bytes ? nullptr : contiguous.device_data<int32_t>()) {}
  ATROUS_HD int32_t operator[](int64_t i) const { return bytes ? bytes[i] : words[i]; }
};

}  // namespace atrous::kernels
