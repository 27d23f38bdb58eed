#include "kernels/gpu/tickets.h"

#include <map>
#include <mutex>
#include <utility>

#include "core/device_runtime.h"
#include "core/tensor.h"

namespace atrous::kernels {

unsigned* tickets(Device device, int64_t count) {
  ATROUS_ASSERT(count <= max_tickets);
  // Never freed: recorded graphs hold the address, and at exit the allocators go first. Each tensor keeps its
  // stream alive, so that no other stream gets the handle.
  static auto& mutex = *new std::mutex;
  static auto& counters = *new std::map<std::pair<Device, void*>, Tensor>;
  const std::lock_guard lock(mutex);
  Tensor& own = counters[{device, current_stream(device).handle()}];
  if (!own.defined()) {
    ATROUS_CHECK(
        !is_capturing(device), ErrorKind::internal,
        "[graph] the counters of a stream cannot be made while a graph is captured: only the graph would "
        "set them to 0. Got device {}. Run the work once on the same stream before capturing it.",
        name_of(device));
    own = Tensor::zeros({max_tickets}, DType::i32, device);
  }
  return reinterpret_cast<unsigned*>(own.device_data<int32_t>());
}

}  // namespace atrous::kernels
