// The CPU as a device: all work is done when it is issued, so streams are empty and events have always
// passed. Code that times or synchronises need not distinguish the CPU from other devices.
#include <chrono>
#include <cstring>

#include "core/allocator.h"
#include "core/cpu.h"
#include "core/device_backend.h"
#include "core/error.h"
#include "core/parallel.h"

namespace atrous {
namespace {

using Clock = std::chrono::steady_clock;

class HostBackend final : public DeviceBackend {
 public:
  const DeviceProperties& properties() override {
    static const DeviceProperties p{.name = cpu_model_name(), .multiprocessors = num_threads(), .driver = ""};
    return p;
  }
  std::shared_ptr<void> create_stream() override { return std::make_shared<int>(0); }
  void synchronize_stream(void*) override {}
  void synchronize_device() override {}
  std::shared_ptr<void> create_event() override { return std::make_shared<Clock::time_point>(); }
  void record_event(void* event, void*) override { *static_cast<Clock::time_point*>(event) = Clock::now(); }
  void wait_for_event(void*, void*) override {}
  void synchronize_event(void*) override {}
  bool event_done(void*) override { return true; }
  double elapsed_ms(void* start, void* stop) override {
    return std::chrono::duration<double, std::milli>(*static_cast<Clock::time_point*>(stop) -
                                                     *static_cast<Clock::time_point*>(start))
        .count();
  }
  void begin_capture(void*) override {
    fail(ErrorKind::usage, "[graph] device cpu has no graphs. Run the work directly.");
  }
  std::shared_ptr<void> end_capture(void*) override { return nullptr; }
  void abandon_capture(void*) override {}
  void launch_graph(void*, void*) override {}
  // Host memory comes from core/allocator.h, never from here.
  std::byte* map_block(size_t) override { return nullptr; }
  void unmap_block(std::byte*, size_t) override {}
  std::byte* map_pinned(size_t) override { return nullptr; }
  void copy(CopyKind, void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes,
            size_t rows, void*) override {
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(static_cast<std::byte*>(to) + r * to_pitch,
                  static_cast<const std::byte*>(from) + r * from_pitch, row_bytes);
    }
  }
  void zero(void* to, size_t pitch, size_t row_bytes, size_t rows, void*) override {
    for (size_t r = 0; r < rows; ++r) std::memset(static_cast<std::byte*>(to) + r * pitch, 0, row_bytes);
  }
};

}  // namespace

DeviceBackend& cpu_backend() {
  static HostBackend* instance = new HostBackend;
  return *instance;
}

}  // namespace atrous
