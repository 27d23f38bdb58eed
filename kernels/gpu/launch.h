// Puts a kernel on the current stream, with every limit and status checked.
#pragma once

#include <mutex>
#include <string_view>

#include "core/device_runtime.h"
#include "core/error.h"
#include "kernels/gpu/compiler.h"
#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#else
#include "kernels/sim/sim.h"
#endif

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

// Number of blocks or threads along x, y, z. The big one belongs on x: y and z end at 65535.
struct Extent {
  int64_t x = 1, y = 1, z = 1;
  constexpr Extent(int64_t x_ = 1, int64_t y_ = 1, int64_t z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct LaunchShape {
  Extent grid;
  Extent block;
  size_t shared_bytes = 0;  // dynamic
};

// Blocks of `block` that cover n.
constexpr int64_t blocks_for(int64_t n, int64_t block) {
  return (n + block - 1) / block;
}

// "conv2d_naive<float>" from the compiler's own spelling of this instantiation.
template <auto Kernel>
std::string kernel_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  if (const size_t at = text.find("Kernel = "); at != text.npos) text.remove_prefix(at + 9);
  if (const size_t at = text.find_first_of(";]"); at != text.npos) text = text.substr(0, at);
  // Namespaces and the parameter list do not help the reader.
  const size_t end = std::min(text.find('<'), text.size());
  const size_t colon = text.substr(0, end).rfind("::");
  return std::string(colon == text.npos ? text : text.substr(colon + 2));
}

// Runs Kernel(args...) on the current stream of the device that this file is compiled for. An empty grid is
// no work.
template <auto Kernel, class... Args>
void launch(const LaunchShape& shape, Args... args) {
  const Extent g = shape.grid, b = shape.block;
  if (g.x == 0 || g.y == 0 || g.z == 0) return;
  const auto describe = [&] {
    return fmt::format("kernel {} grid {}x{}x{} block {}x{}x{} shared {} B", kernel_name<Kernel>(), g.x, g.y,
                       g.z, b.x, b.y, b.z, shape.shared_bytes);
  };
  ATROUS_CHECK(g.x > 0 && g.x <= 0x7fffffff && g.y > 0 && g.y <= 65535 && g.z > 0 && g.z <= 65535 &&
                   b.x * b.y * b.z > 0 && b.x * b.y * b.z <= 1024,
               ErrorKind::internal,
               "[launch] a grid is at most 2^31-1 x 65535 x 65535 blocks of 1024 threads. Got {}. Use a "
               "smaller batch or image.",
               describe());
#if defined(__CUDACC__)
  const dim3 grid(static_cast<unsigned>(g.x), static_cast<unsigned>(g.y), static_cast<unsigned>(g.z));
  const dim3 block(static_cast<unsigned>(b.x), static_cast<unsigned>(b.y), static_cast<unsigned>(b.z));
  if (shape.shared_bytes > 0) {
    static std::once_flag granted;
    std::call_once(granted,
                   [] { grant_shared_memory(reinterpret_cast<const void*>(Kernel), kernel_name<Kernel>()); });
  }
  const auto stream = static_cast<cudaStream_t>(current_stream(Device::cuda).handle());
  Kernel<<<grid, block, shape.shared_bytes, stream>>>(args...);
  if (const auto status = cudaGetLastError(); status != cudaSuccess)
    check_cuda(static_cast<int>(status), describe());
  if (sync_each_launch()) {
    const auto status = cudaStreamSynchronize(stream);
    if (status != cudaSuccess) check_cuda(static_cast<int>(status), describe());
  }
#else
  const simulator::Dim3 grid(static_cast<unsigned>(g.x), static_cast<unsigned>(g.y),
                             static_cast<unsigned>(g.z));
  const simulator::Dim3 block(static_cast<unsigned>(b.x), static_cast<unsigned>(b.y),
                              static_cast<unsigned>(b.z));
  const auto run = [=, shared = shape.shared_bytes] {
    simulator::run_grid(kernel_name<Kernel>().c_str(), grid, block, shared, [&] { Kernel(args...); });
  };
  sim_enqueue(current_stream(Device::sim), run, kernel_name<Kernel>());
#endif
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
