// GPU services besides running kernels: memory, streams, events, graphs. One implementation talks to CUDA
// (device_cuda.cpp, in builds that found it), one simulates a device on the host (device_sim.cpp), with the
// same rules: what is illegal on a GPU is an error on the simulator.
//
// Everything above goes through Tensor, Stream, Event and Graph below; only kernels/gpu/launch.h puts kernels
// on a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"

namespace atrous {

// nullptr if tensors can live on the device, else why not ("built without CUDA", "no GPU found: <driver's
// words>").
const char* why_unavailable(Device device);
// All devices of this build that are available, cpu first.
std::vector<Device> available_devices();

struct DeviceProperties {
  std::string name;  // "NVIDIA H100 80GB HBM3", "simulator"
  int multiprocessors = 0;
  size_t shared_per_block = 0;  // largest opt-in shared memory of one block, bytes
  size_t total_memory = 0;      // bytes
  int compute_major = 0, compute_minor = 0;
  std::string driver;  // version text, empty on the simulator
};
const DeviceProperties& device_properties(Device device);

// An ordered queue of work on one device. Copies are handles. Work on different streams may overlap.
class Stream {
 public:
  static Stream create(Device device);
  Device device() const { return device_; }
  void synchronize() const;
  void* handle() const { return handle_.get(); }  // cudaStream_t, or the simulator's queue

 private:
  friend Stream current_stream(Device);
  Stream(Device device, std::shared_ptr<void> handle) : device_(device), handle_(std::move(handle)) {}
  Device device_;
  std::shared_ptr<void> handle_;
};

// The stream on which ops of this thread run; one default stream per device unless a StreamGuard says
// otherwise.
Stream current_stream(Device device);
class StreamGuard {
 public:
  explicit StreamGuard(Stream stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  Stream previous_;
};

// A point in the work of a stream. Before the first record() it counts as passed.
class Event {
 public:
  explicit Event(Device device);
  void record(const Stream& stream);
  void wait_on(const Stream& stream) const;  // later work of `stream` starts after the recorded point
  void synchronize() const;                  // the host waits
  bool done() const;                         // whether the recorded point has passed
  // Milliseconds between two recorded, completed events.
  static double elapsed_ms(const Event& start, const Event& stop);

 private:
  Device device_;
  std::shared_ptr<void> handle_;
};

// Work of one stream, recorded once and replayed as a whole. While capturing, a host synchronisation, a copy
// to pageable host memory or a fresh allocation from the system is an error that names it. No other thread
// may use the stream meanwhile: its work would become part of the graph.
class Graph {
 public:
  static Graph capture(const Stream& stream, const std::function<void()>& work);
  void launch(const Stream& stream) const;  // the same stream

 private:
  std::shared_ptr<void> handle_;
};
// Whether this thread is inside Graph::capture.
bool is_capturing(Device device);

// Waits until all work of the device is done; reports errors of earlier launches.
void synchronize(Device device);

// Caching device allocator: blocks freed on a stream are handed out again on that stream without waiting.
// Error(memory) gives the bytes requested, the bytes held and what to change.
std::shared_ptr<std::byte> device_allocate(Device device, size_t bytes);
AllocatorStats device_allocator_stats(Device device);
void reset_device_peak_memory(Device device);
void release_device_cache(Device device);

// Page-locked host memory (plain memory for the simulator), cached; copies from it can run beside kernels.
std::shared_ptr<std::byte> pinned_allocate(Device device, size_t bytes);

// Copies `rows` rows of `row_bytes` bytes on the device's current stream (pitches in bytes). Pageable memory
// is free on return: up to 32 MiB go to the device by way of page-locked memory, else the host waits.
enum class CopyKind { host_to_device, device_to_host, device_to_device };
void device_copy(Device device, CopyKind kind, void* to, size_t to_pitch, const void* from, size_t from_pitch,
                 size_t row_bytes, size_t rows);
void device_zero(Device device, void* to, size_t pitch, size_t row_bytes, size_t rows);

// Element-wise work of Tensor and autograd (fill, conversion, sums of gradients) needs kernels, which core
// does not know; kernels/ installs them. An operation that is not installed goes through host memory.
class Tensor;
struct TensorKernels {
  void (*fill)(const Tensor& to, double value) = nullptr;
  void (*convert)(const Tensor& to,
                  const Tensor& from) = nullptr;                // any dtypes, any pixel strides, same device
  void (*add)(const Tensor& to, const Tensor& from) = nullptr;  // to += from; same dtype, any pixel strides
  // `found` (i32, one element) becomes 1 if `in`, of a floating dtype, holds a NaN or an Inf, else it stays.
  void (*find_non_finite)(const Tensor& in, const Tensor& found) = nullptr;
};
void install_tensor_kernels(Device device, TensorKernels kernels);
const TensorKernels& tensor_kernels(Device device);

// ---- for kernels/gpu/launch.h ----

// Puts a simulated kernel on a stream of the simulator: runs at once, or later (ATROUS_SIM_LAG=1), in stream
// order.
void sim_enqueue(const Stream& stream, std::function<void()> kernel, std::string name = "a kernel");
// Whether each launch is followed by a synchronisation and a check (ATROUS_SYNC=1).
bool sync_each_launch();
// Throws Error(internal) with the text of a CUDA status, which is then no longer CUDA's last error. `what`
// names the call; `status` is a cudaError_t. No-op for 0.
void check_cuda(int status, const std::string& what);
// Lets a kernel have as much dynamic shared memory as the GPU gives to one block; without, what its static
// and dynamic memory take together may not exceed 48 KB.
void grant_shared_memory(const void* kernel, const std::string& name);
// Names a range of host time for profilers (NVTX on CUDA; nothing elsewhere).
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name);
  ~ProfilerRange();
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace atrous
