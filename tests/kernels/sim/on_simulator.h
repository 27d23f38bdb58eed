// Memory of the simulated device for tests of the simulator, which needs no tensors.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "core/device_runtime.h"
#include "kernels/gpu/gpu.h"

namespace atrous::on_simulator {

template <class T>
class Memory {
 public:
  explicit Memory(const std::vector<T>& values)
      : bytes_(device_allocate(Device::sim, values.size() * sizeof(T))), count_(values.size()) {
    const size_t size = count_ * sizeof(T);
    device_copy(Device::sim, CopyKind::host_to_device, data(), size, values.data(), size, size, 1);
  }
  explicit Memory(int count) : Memory(std::vector<T>(static_cast<size_t>(count))) {}
  T* data() const { return reinterpret_cast<T*>(bytes_.get()); }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    const size_t size = count_ * sizeof(T);
    device_copy(Device::sim, CopyKind::device_to_host, values.data(), size, data(), size, size, 1);
    return values;
  }

 private:
  std::shared_ptr<std::byte> bytes_;
  size_t count_;
};

// Others at every call, the same in every run.
inline std::vector<int> random_ints(int count, int low, int high) {
  static std::mt19937 random(7);
  std::vector<int> values(static_cast<size_t>(count));
  for (int& v : values) v = std::uniform_int_distribution(low, high)(random);
  return values;
}

}  // namespace atrous::on_simulator
