// Where a tensor lives and an op runs.
#pragma once

namespace atrous {

// `sim` runs the CUDA kernels on the host through a simulator; it needs no GPU. Tensors on `meta` have a
// shape and no memory (core/device_meta.cpp).
enum class Device : unsigned char { cpu, cuda, sim, meta };

constexpr const char* name_of(Device d) {
  switch (d) {
    case Device::cpu: return "cpu";
    case Device::cuda: return "cuda";
    case Device::sim: return "sim";
    case Device::meta: return "meta";
  }
  return "?";
}

}  // namespace atrous
