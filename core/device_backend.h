// The interface of one kind of device; device_runtime.cpp builds the rules that all devices share on
// top (caching, capture, pageable copies). Private to core.
#pragma once

#include <memory>
#include <string>

#include "core/device_runtime.h"

namespace atrous {

class DeviceBackend {
 public:
  virtual ~DeviceBackend() = default;
  virtual const DeviceProperties& properties() = 0;

  // Streams and events. A stream's handle is what Stream::handle() shows; the shared_ptr's deleter waits for
  // its work.
  virtual std::shared_ptr<void> create_stream() = 0;
  virtual void synchronize_stream(void* stream) = 0;
  virtual void synchronize_device() = 0;
  virtual std::shared_ptr<void> create_event() = 0;
  virtual void record_event(void* event, void* stream) = 0;
  virtual void wait_for_event(void* event, void* stream) = 0;
  virtual void synchronize_event(void* event) = 0;
  virtual bool event_done(void* event) = 0;
  virtual double elapsed_ms(void* start, void* stop) = 0;

  // Graphs. Between begin and end, work put on the stream is recorded instead of run.
  virtual void begin_capture(void* stream) = 0;
  virtual std::shared_ptr<void> end_capture(void* stream) = 0;  // what launch_graph takes
  virtual void abandon_capture(void* stream) = 0;
  virtual void launch_graph(void* graph, void* stream) = 0;

  // Memory. Blocks come from the system (nullptr: none left) and are used many times. open_block says where
  // `bytes` bytes live in the block for one use; both it and close_block act in the order of the stream.
  virtual std::byte* map_block(size_t size) = 0;
  virtual void unmap_block(std::byte* block, size_t size) = 0;
  virtual std::byte* open_block(std::byte* block, size_t, size_t /*bytes*/, void* /*stream*/) {
    return block;
  }
  // `in_graph`: the block belongs to the graph being captured, so closing it is part of the graph.
  virtual void close_block(std::byte*, size_t, void* /*stream*/, bool /*in_graph*/) noexcept {}
  virtual std::byte* map_pinned(size_t size) = 0;  // kept for ever

  virtual void copy(CopyKind kind, void* to, size_t to_pitch, const void* from, size_t from_pitch,
                    size_t row_bytes, size_t rows, void* stream) = 0;
  virtual void zero(void* to, size_t pitch, size_t row_bytes, size_t rows, void* stream) = 0;
};

DeviceBackend& cpu_backend();
DeviceBackend& sim_backend();
DeviceBackend& meta_backend();
TensorKernels meta_tensor_kernels();
#ifdef ATROUS_WITH_CUDA
DeviceBackend& cuda_backend();
const char* why_no_gpu();  // nullptr if there is one
#endif
// The backend of an available device, else Error(usage) that says why it is not.
DeviceBackend& backend(Device device);

}  // namespace atrous
