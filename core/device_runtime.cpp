#include "core/device_runtime.h"

#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "core/device_backend.h"
#include "core/device_memory.h"
#include "core/env.h"
#include "core/error.h"

namespace atrous {
namespace {

constexpr int device_kinds = 4;
constexpr size_t index(Device device) {
  return static_cast<size_t>(device);
}

// A graph under construction, and later the resources that it keeps alive.
struct Recording {
  Device device;
  Stream stream;
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();
  std::vector<std::shared_ptr<std::byte>> pinned{};  // host memory that its copies use
  std::shared_ptr<void> graph{};
  std::shared_ptr<void> launched{};  // event after the last launch
  ~Recording();
};

// The runtime's state per device.
struct Runtime {
  explicit Runtime(Device d) : device(d), blocks(d, backend(d)), pinned(backend(d)) {}
  Device device;
  BlockCache blocks;
  PinnedCache pinned;
};

// Never destroyed: tensors in static storage may outlive any static object.
Runtime& runtime(Device device) {
  static std::array<std::once_flag, device_kinds> once;
  static std::array<Runtime*, device_kinds> instances{};
  std::call_once(once[index(device)], [device] { instances[index(device)] = new Runtime(device); });
  return *instances[index(device)];
}

const Stream& default_stream(Device device) {
  static std::array<std::once_flag, device_kinds> once;
  static std::array<Stream*, device_kinds> instances{};
  std::call_once(once[index(device)],
                 [device] { instances[index(device)] = new Stream(Stream::create(device)); });
  return *instances[index(device)];
}

thread_local std::array<std::optional<Stream>, device_kinds> chosen_streams;
thread_local std::array<Recording*, device_kinds> recordings{};

// The blocks are free for other use only when no replay is under way.
Recording::~Recording() {
  try {
    if (launched) backend(device).synchronize_event(launched.get());
  } catch (...) {  // an error of the work itself is reported by the next synchronisation of its stream
  }
  runtime(device).blocks.graph_ended(arena, stream.handle());
}

void refuse_while_capturing(Device device, const char* what) {
  ATROUS_CHECK(
      !is_capturing(device), ErrorKind::internal,
      "[graph] {} is not possible while a graph is captured on device {}. Do it before or after the capture.",
      what, name_of(device));
}

}  // namespace

DeviceBackend& backend(Device device) {
  const char* why = why_unavailable(device);
  ATROUS_CHECK(!why, ErrorKind::usage,
               "[device] device {} is not available: {}. Use another one (atrous doctor lists them).",
               name_of(device), why);
  if (device == Device::sim) return sim_backend();
  if (device == Device::meta) return meta_backend();
#ifdef ATROUS_WITH_CUDA
  if (device == Device::cuda) return cuda_backend();
#endif
  return cpu_backend();
}

const char* why_unavailable(Device device) {
#ifdef ATROUS_WITH_CUDA
  if (device == Device::cuda) return why_no_gpu();
#else
  if (device == Device::cuda) return "built without CUDA (cmake --preset cuda builds with it)";
#endif
  return nullptr;
}

std::vector<Device> available_devices() {
  std::vector<Device> devices;
  for (Device d : {Device::cpu, Device::cuda, Device::sim}) {
    if (!why_unavailable(d)) devices.push_back(d);
  }
  return devices;
}

const DeviceProperties& device_properties(Device device) {
  return backend(device).properties();
}

Stream Stream::create(Device device) {
  std::shared_ptr<void> handle = backend(device).create_stream();
  void* raw = handle.get();
  // When the last copy goes, the memory cached for the stream goes to the default stream.
  auto end = [device, handle](void* stream) noexcept {
    try {
      backend(device).synchronize_stream(stream);
    } catch (...) {  // there is no caller to report to
    }
    runtime(device).blocks.stream_ended(stream, default_stream(device).handle());
  };
  return Stream(device, std::shared_ptr<void>(raw, end));
}

void Stream::synchronize() const {
  refuse_while_capturing(device_, "waiting for a stream");
  backend(device_).synchronize_stream(handle());
}

Stream current_stream(Device device) {
  const std::optional<Stream>& chosen = chosen_streams[index(device)];
  return chosen ? *chosen : default_stream(device);
}

StreamGuard::StreamGuard(Stream stream) : previous_(current_stream(stream.device())) {
  chosen_streams[index(stream.device())] = std::move(stream);
}

StreamGuard::~StreamGuard() {
  chosen_streams[index(previous_.device())] = previous_;
}

Event::Event(Device device) : device_(device), handle_(backend(device).create_event()) {}

void Event::record(const Stream& stream) {
  refuse_while_capturing(device_, "recording an event");
  backend(device_).record_event(handle_.get(), stream.handle());
}

void Event::wait_on(const Stream& stream) const {
  refuse_while_capturing(device_, "waiting for an event");
  backend(device_).wait_for_event(handle_.get(), stream.handle());
}

void Event::synchronize() const {
  refuse_while_capturing(device_, "waiting for an event");
  backend(device_).synchronize_event(handle_.get());
}

bool Event::done() const {
  refuse_while_capturing(device_, "asking for an event");
  return backend(device_).event_done(handle_.get());
}

double Event::elapsed_ms(const Event& start, const Event& stop) {
  ATROUS_ASSERT(start.device_ == stop.device_);
  ATROUS_CHECK(
      start.done() && stop.done(), ErrorKind::internal,
      "[event] elapsed time is known only when both events have passed. Synchronize the later one first.");
  return backend(start.device_).elapsed_ms(start.handle_.get(), stop.handle_.get());
}

Graph Graph::capture(const Stream& stream, const std::function<void()>& work) {
  const Device device = stream.device();
  refuse_while_capturing(device, "another capture");
  DeviceBackend& b = backend(device);
  const std::shared_ptr<Recording> recording(new Recording{.device = device, .stream = stream});
  StreamGuard guard(stream);
  b.begin_capture(stream.handle());
  auto set_capturing = [&](bool on) {
    recordings[index(device)] = on ? recording.get() : nullptr;
    recording->arena->capturing = on;
  };
  set_capturing(true);
  try {
    work();
  } catch (...) {
    set_capturing(false);
    b.abandon_capture(stream.handle());
    throw;
  }
  set_capturing(false);
  recording->graph = b.end_capture(stream.handle());
  Graph graph;
  graph.handle_ = recording;
  return graph;
}

void Graph::launch(const Stream& stream) const {
  ATROUS_CHECK(handle_, ErrorKind::internal, "[graph] an empty graph cannot run. Capture one first.");
  auto* recording = static_cast<Recording*>(handle_.get());
  refuse_while_capturing(recording->device, "running a graph");
  ATROUS_CHECK(
      stream.handle() == recording->stream.handle(), ErrorKind::internal,
      "[graph] a graph runs on the stream it was captured on, whose memory and counters it uses. Got "
      "another stream. Let streams wait for events instead.");
  DeviceBackend& b = backend(recording->device);
  b.launch_graph(recording->graph.get(), stream.handle());
  if (!recording->launched) recording->launched = b.create_event();
  b.record_event(recording->launched.get(), stream.handle());
}

bool is_capturing(Device device) {
  return recordings[index(device)] != nullptr;
}

void synchronize(Device device) {
  refuse_while_capturing(device, "waiting for the device");
  backend(device).synchronize_device();
}

std::shared_ptr<std::byte> device_allocate(Device device, size_t bytes) {
  if (device == Device::cpu) return allocate(bytes);
  const Recording* recording = recordings[index(device)];
  return runtime(device).blocks.allocate(bytes, current_stream(device),
                                         recording ? recording->arena : nullptr);
}

AllocatorStats device_allocator_stats(Device device) {
  return device == Device::cpu ? allocator_stats() : runtime(device).blocks.stats();
}

void reset_device_peak_memory(Device device) {
  device == Device::cpu ? reset_peak_memory() : runtime(device).blocks.reset_peak();
}

void release_device_cache(Device device) {
  refuse_while_capturing(device, "giving memory back to the system");
  device == Device::cpu ? release_cached_memory() : runtime(device).blocks.release_cache();
}

std::shared_ptr<std::byte> pinned_allocate(Device device, size_t bytes) {
  if (device == Device::cpu) return allocate(bytes);
  return runtime(device).pinned.allocate(bytes, is_capturing(device));
}

namespace {
constexpr size_t most_staged = size_t{32} << 20;

// A dense copy in page-locked memory.
std::shared_ptr<std::byte> staged(Device device, const void* from, size_t pitch, size_t row_bytes,
                                  size_t rows) {
  std::shared_ptr<std::byte> pinned = runtime(device).pinned.allocate(row_bytes * rows, false);
  cpu_backend().copy(CopyKind::host_to_device, pinned.get(), row_bytes, from, pitch, row_bytes, rows,
                     nullptr);
  return pinned;
}
}  // namespace

void device_copy(Device device, CopyKind kind, void* to, size_t to_pitch, const void* from, size_t from_pitch,
                 size_t row_bytes, size_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  DeviceBackend& b = backend(device);
  if (device == Device::meta) return b.copy(kind, to, to_pitch, from, from_pitch, row_bytes, rows, nullptr);
  const Stream stream = current_stream(device);
  const void* host = kind == CopyKind::host_to_device   ? from
                     : kind == CopyKind::device_to_host ? to
                                                        : nullptr;
  std::shared_ptr<std::byte> pinned =
      host && device != Device::cpu ? runtime(device).pinned.find(host) : nullptr;
  if (host && !pinned) {
    refuse_while_capturing(device, "a copy between the device and pageable host memory");
    if (kind == CopyKind::host_to_device && device != Device::cpu && row_bytes <= most_staged / rows) {
      pinned = staged(device, from, from_pitch, row_bytes, rows);
      from = pinned.get();
      from_pitch = row_bytes;
    }
  }
  b.copy(kind, to, to_pitch, from, from_pitch, row_bytes, rows, stream.handle());
  if (Recording* recording = recordings[index(device)]) {
    if (pinned) recording->pinned.push_back(pinned);
  } else if (pinned) {
    Event copied(device);
    copied.record(stream);
    runtime(device).pinned.used_until(pinned.get(), copied);
  } else if (host) {
    b.synchronize_stream(stream.handle());
  }
}

void device_zero(Device device, void* to, size_t pitch, size_t row_bytes, size_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  backend(device).zero(to, pitch, row_bytes, rows, current_stream(device).handle());
}

namespace {
std::array<TensorKernels, device_kinds>& installed() {
  static std::array<TensorKernels, device_kinds> table{{{}, {}, {}, meta_tensor_kernels()}};
  return table;
}
}  // namespace

void install_tensor_kernels(Device device, TensorKernels kernels) {
  installed()[index(device)] = kernels;
}

const TensorKernels& tensor_kernels(Device device) {
  return installed()[index(device)];
}

bool sync_each_launch() {
  static const bool on = env::sync();
  return on && !is_capturing(Device::cuda);
}

#ifndef ATROUS_WITH_CUDA
void check_cuda(int status, const std::string& what) {
  ATROUS_CHECK(status == 0, ErrorKind::internal, "[cuda] {} failed. Got status {} in a build without CUDA.",
               what, status);
}
ProfilerRange::ProfilerRange(const char*) {}
ProfilerRange::~ProfilerRange() = default;
#endif

}  // namespace atrous
