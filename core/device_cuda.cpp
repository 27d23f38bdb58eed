// The CUDA runtime behind device_backend.h. Only in builds that found the CUDA Toolkit; needs no GPU to be
// linked or started.
#ifdef ATROUS_WITH_CUDA
#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>

#include <string>

#include "core/device_backend.h"
#include "core/error.h"

namespace atrous {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) [[unlikely]]
    check_cuda(static_cast<int>(status), what);
}

cudaStream_t stream_of(void* handle) {
  return static_cast<cudaStream_t>(handle);
}
cudaEvent_t event_of(void* handle) {
  return static_cast<cudaEvent_t>(handle);
}

std::string version_text(int version) {  // 13000 is 13.0
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

DeviceProperties query_properties() {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  return {.name = p.name,
          .multiprocessors = p.multiProcessorCount,
          .shared_per_block = p.sharedMemPerBlockOptin,
          .total_memory = p.totalGlobalMem,
          .compute_major = p.major,
          .compute_minor = p.minor,
          .driver = version_text(driver)};
}

// The deleters ignore the status: at the end of the process the driver may have been unloaded before them.
class CudaBackend final : public DeviceBackend {
 public:
  const DeviceProperties& properties() override {
    static const DeviceProperties p = query_properties();
    return p;
  }

  // Non-blocking: the legacy default stream would wait for all others.
  std::shared_ptr<void> create_stream() override {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return std::shared_ptr<void>(stream, [](void* s) { (void)cudaStreamDestroy(stream_of(s)); });
  }
  void synchronize_stream(void* stream) override {
    check(cudaStreamSynchronize(stream_of(stream)), "cudaStreamSynchronize");
  }
  void synchronize_device() override { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

  std::shared_ptr<void> create_event() override {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "cudaEventCreate");
    return std::shared_ptr<void>(event, [](void* e) { (void)cudaEventDestroy(event_of(e)); });
  }
  void record_event(void* event, void* stream) override {
    check(cudaEventRecord(event_of(event), stream_of(stream)), "cudaEventRecord");
  }
  void wait_for_event(void* event, void* stream) override {
    check(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "cudaStreamWaitEvent");
  }
  void synchronize_event(void* event) override {
    check(cudaEventSynchronize(event_of(event)), "cudaEventSynchronize");
  }
  bool event_done(void* event) override {
    const cudaError_t status = cudaEventQuery(event_of(event));
    if (status == cudaErrorNotReady) {
      (void)cudaGetLastError();  // an answer, not an error: clear it so that later checks do not find it
      return false;
    }
    check(status, "cudaEventQuery");
    return true;
  }
  double elapsed_ms(void* start, void* stop) override {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, event_of(start), event_of(stop)), "cudaEventElapsedTime");
    return ms;
  }

  // Thread-local: other threads, such as those that load data, are not affected.
  void begin_capture(void* stream) override {
    check(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal),
          "cudaStreamBeginCapture");
  }
  std::shared_ptr<void> end_capture(void* stream) override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_of(stream), &graph), "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiate");
    return std::shared_ptr<void>(
        executable, [](void* g) { (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(g)); });
  }
  void abandon_capture(void* stream) override {
    cudaGraph_t graph = nullptr;
    (void)cudaStreamEndCapture(stream_of(stream), &graph);
    if (graph) (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();  // of a capture that the work itself made invalid
  }
  void launch_graph(void* graph, void* stream) override {
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream)), "cudaGraphLaunch");
  }

  std::byte* map_block(size_t size) override {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, size);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaMalloc");
    return static_cast<std::byte*>(block);
  }
  void unmap_block(std::byte* block, size_t) override { check(cudaFree(block), "cudaFree"); }
  std::byte* map_pinned(size_t size) override {
    void* block = nullptr;
    const cudaError_t status = cudaHostAlloc(&block, size, cudaHostAllocDefault);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaHostAlloc");
    return static_cast<std::byte*>(block);
  }

  void copy(CopyKind kind, void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes,
            size_t rows, void* stream) override {
    const cudaMemcpyKind k = kind == CopyKind::host_to_device   ? cudaMemcpyHostToDevice
                             : kind == CopyKind::device_to_host ? cudaMemcpyDeviceToHost
                                                                : cudaMemcpyDeviceToDevice;
    if (rows == 1) {
      check(cudaMemcpyAsync(to, from, row_bytes, k, stream_of(stream)), "cudaMemcpyAsync");
    } else {
      check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows, k, stream_of(stream)),
            "cudaMemcpy2DAsync");
    }
  }
  void zero(void* to, size_t pitch, size_t row_bytes, size_t rows, void* stream) override {
    if (rows == 1) {
      check(cudaMemsetAsync(to, 0, row_bytes, stream_of(stream)), "cudaMemsetAsync");
    } else {
      check(cudaMemset2DAsync(to, pitch, 0, row_bytes, rows, stream_of(stream)), "cudaMemset2DAsync");
    }
  }
};

}  // namespace

DeviceBackend& cuda_backend() {
  static CudaBackend* instance = new CudaBackend;
  return *instance;
}

const char* why_no_gpu() {
  static const std::string why = []() -> std::string {
    int count = 0, major = 0, minor = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count == 0) return "no GPU found: the driver lists none";
    if (status == cudaSuccess) status = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    if (status == cudaSuccess) status = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    if (status != cudaSuccess) {
      (void)cudaGetLastError();
      return fmt::format("no GPU found: {}", cudaGetErrorString(status));
    }
    return major >= 8
               ? ""
               : fmt::format("the GPU has compute capability {}.{}, the kernels need 8.0", major, minor);
  }();
  return why.empty() ? nullptr : why.c_str();
}

void grant_shared_memory(const void* kernel, const std::string& name) {
  cudaFuncAttributes attributes{};
  auto status = cudaFuncGetAttributes(&attributes, kernel);
  if (status == cudaSuccess) {
    const size_t most = cuda_backend().properties().shared_per_block - attributes.sharedSizeBytes;
    status =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most));
  }
  check_cuda(static_cast<int>(status), "shared memory for kernel " + name);
}

void check_cuda(int status, const std::string& what) {
  const auto error = static_cast<cudaError_t>(status);
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // a caller that catches this may continue: the next launch must not report it
                             // again
  fail(ErrorKind::internal,
       "[cuda] {} failed. Got {}: {}. An error of an earlier kernel shows late; run with ATROUS_SYNC=1 to "
       "learn which.",
       what, cudaGetErrorName(error), cudaGetErrorString(error));
}

ProfilerRange::ProfilerRange(const char* name) {
  nvtxRangePushA(name);
}
ProfilerRange::~ProfilerRange() {
  nvtxRangePop();
}

}  // namespace atrous
#endif
