// Devices other than the CPU: memory, copies, streams, events, graphs. Always on the simulator; on a GPU
// where there is one.
#include <catch2/catch.hpp>
#include <limits>
#include <numeric>
#include <vector>

#include "core/autograd.h"
#include "core/device_runtime.h"
#include "core/device_sim.h"
#include "core/tensor.h"

using namespace atrous;

namespace {

// Devices to test on; says which are left out.
std::vector<Device> devices() {
  std::vector<Device> all{Device::sim};
  if (const char* why = why_unavailable(Device::cuda)) {
    WARN("skipped on cuda: " << why);
  } else {
    all.push_back(Device::cuda);
  }
  return all;
}

// Sets options of the simulator for one test.
struct WithSim {
  explicit WithSim(SimOptions options) : before(sim_options()) { set_sim_options(options); }
  ~WithSim() { set_sim_options(before); }
  SimOptions before;
};
SimOptions lagging(uint64_t seed) {
  SimOptions options = sim_options();
  options.lag = true;
  options.seed = seed;
  return options;
}

Tensor ramp(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  std::iota(t.data<float>(), t.data<float>() + t.numel(), 1.0f);
  return t;
}

std::vector<float> values(const Tensor& t) {
  const Tensor host = t.to(Device::cpu).to(DType::f32).contiguous_copy_if_needed();
  return {host.data<float>(), host.data<float>() + host.numel()};
}

bool throws_with(ErrorKind kind, const std::string& words, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    INFO(e.what());
    CHECK(e.kind() == kind);
    CHECK(std::string(e.what()).find(words) != std::string::npos);
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("tensors travel to a device and back") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Tensor host = ramp({2, 3, 4, 5});
    const Tensor on_device = host.to(d);
    CHECK(on_device.device() == d);
    CHECK(on_device.shape() == host.shape());
    CHECK_FALSE(on_device.shares_memory_with(host));
    CHECK(values(on_device) == values(host));
    CHECK(values(on_device.clone()) == values(host));
    CHECK(on_device.to(d).shares_memory_with(on_device));
    CHECK(Tensor::full({3}, 2.5, DType::f32, d).to(Device::cpu).data<float>()[2] == 2.5f);
    CHECK(values(Tensor::zeros({2, 2}, DType::f32, d)) == std::vector<float>(4, 0.0f));
    CHECK(Tensor::scalar(7, DType::i64, d).item() == 7);
    CHECK(Tensor::empty({0, 3}, DType::f32, d).to(Device::cpu).numel() == 0);
  }
}

TEST_CASE("slices of channels are copied row by row, in every direction") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Tensor host = ramp({1, 2, 2, 6});
    const Tensor on_device = Tensor::zeros({1, 2, 2, 8}, DType::f32, d);
    const Tensor slice = on_device.narrow_channels(3, 2);
    const uint32_t version = on_device.version();
    slice.copy_from(host.narrow_channels(1, 2));  // host to device
    CHECK(on_device.version() > version);
    CHECK(values(slice) == std::vector<float>{2, 3, 8, 9, 14, 15, 20, 21});
    const Tensor back = Tensor::zeros({1, 2, 2, 3});
    back.narrow_channels(0, 2).copy_from(slice);  // device to host
    CHECK(values(back) == std::vector<float>{2, 3, 0, 8, 9, 0, 14, 15, 0, 20, 21, 0});
    const Tensor other = Tensor::zeros({1, 2, 2, 4}, DType::f32, d);
    other.narrow_channels(2, 2).copy_from(slice);  // within the device
    CHECK(values(other) == std::vector<float>{0, 0, 2, 3, 0, 0, 8, 9, 0, 0, 14, 15, 0, 0, 20, 21});
    slice.fill(0);
    CHECK(values(on_device) == std::vector<float>(32, 0.0f));
  }
}

TEST_CASE("copies convert dtypes") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Tensor host = Tensor::from<float>({4}, {1.0f, 2.5f, -3.0f, 1e-3f});
    const Tensor low = Tensor::empty({4}, DType::bf16, d);
    low.copy_from(host);
    CHECK(values(low) == values(host.to(DType::bf16)));
    CHECK(values(low.to(DType::f32)) == values(host.to(DType::bf16)));
    const Tensor back = Tensor::empty({4}, DType::f64);
    back.copy_from(low);
    CHECK(back.data<double>()[1] == 2.5);
  }
}

TEST_CASE("the host may not touch the elements of a device tensor") {
  const Tensor t = Tensor::zeros({2}, DType::f32, Device::sim);
  CHECK(throws_with(ErrorKind::internal, "f32 [2] on sim", [&] { t.data<float>(); }));
  CHECK(throws_with(ErrorKind::internal, "to(Device::cpu)", [&] { t.raw(); }));
  CHECK(t.device_data<float>() != nullptr);
}

TEST_CASE("the simulator runs a stream in order and, with lag, streams in any order that events allow") {
  bool late = false, overtaken = false;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    WithSim lag(lagging(seed));
    const Stream a = Stream::create(Device::sim), b = Stream::create(Device::sim);
    std::vector<int> order, free_order;
    for (int i = 0; i < 4; ++i) sim_enqueue(a, [&order, i] { order.push_back(i); });
    late = late || order.size() < 4;
    Event event(Device::sim);
    event.record(a);
    event.wait_on(b);
    for (int i = 4; i < 8; ++i) sim_enqueue(b, [&order, i] { order.push_back(i); });
    b.synchronize();
    CHECK(order == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
    CHECK(event.done());

    // The same without the wait.
    sim_enqueue(a, [&] { free_order.push_back(0); });
    sim_enqueue(b, [&] { free_order.push_back(1); });
    synchronize(Device::sim);
    REQUIRE(free_order.size() == 2);
    overtaken = overtaken || free_order[0] == 1;
  }
  CHECK(late);
  CHECK(overtaken);
}
