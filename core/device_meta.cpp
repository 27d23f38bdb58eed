// The device "meta": tensors with shape, type and stride, and no memory. Ops on it check their arguments,
// allocate their results and stop. Its allocator counts like that of any other device, so the peak of a pass
// on meta is what the same pass holds on a real one, but for the workspaces of kernels.
#include <atomic>

#include "core/device_backend.h"
#include "core/error.h"
#include "core/tensor.h"

namespace atrous {
namespace {

class MetaBackend final : public DeviceBackend {
 public:
  const DeviceProperties& properties() override {
    static const DeviceProperties p{.name = "meta", .total_memory = size_t{1} << 47, .driver = ""};
    return p;
  }
  std::shared_ptr<void> create_stream() override { return std::make_shared<int>(0); }
  void synchronize_stream(void*) override {}
  void synchronize_device() override {}
  std::shared_ptr<void> create_event() override { return std::make_shared<int>(0); }
  void record_event(void*, void*) override {}
  void wait_for_event(void*, void*) override {}
  void synchronize_event(void*) override {}
  bool event_done(void*) override { return true; }
  double elapsed_ms(void*, void*) override { return 0; }
  void begin_capture(void*) override {
    fail(ErrorKind::usage, "[graph] device meta has no graphs of launches. Record an OpGraph instead.");
  }
  std::shared_ptr<void> end_capture(void*) override { return nullptr; }
  void abandon_capture(void*) override {}
  void launch_graph(void*, void*) override {}

  // Unique addresses that are never dereferenced: views of one tensor are still distinguished from another's.
  std::byte* map_block(size_t size) override {
    return reinterpret_cast<std::byte*>(next_.fetch_add((size + 4095) / 4096 * 4096));
  }
  void unmap_block(std::byte*, size_t) override {}
  std::byte* map_pinned(size_t) override { return nullptr; }
  void copy(CopyKind kind, void*, size_t, const void*, size_t, size_t, size_t, void*) override {
    ATROUS_CHECK(
        kind != CopyKind::device_to_host, ErrorKind::internal,
        "[tensor] a tensor on device meta has no values. Got a copy to the host. Run on another device.");
  }
  void zero(void*, size_t, size_t, size_t, void*) override {}

 private:
  std::atomic<uintptr_t> next_{uintptr_t{1} << 52};  // outside of what a process can map
};

}  // namespace

DeviceBackend& meta_backend() {
  static MetaBackend instance;
  return instance;
}

TensorKernels meta_tensor_kernels() {
  return {.fill = [](const Tensor&, double) {},
          .convert = [](const Tensor&, const Tensor&) {},
          .add = [](const Tensor&, const Tensor&) {},
          .find_non_finite = [](const Tensor&, const Tensor&) {}};
}

}  // namespace atrous
