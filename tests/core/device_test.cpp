// Devices other than the CPU: memory, copies, streams, events, graphs. Always on the simulator; on a GPU
// where there is one.
#include <catch2/catch.hpp>
#include <cmath>
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

TEST_CASE("memory freed on a stream is used again, and counted") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const StreamGuard guard(Stream::create(d));
    release_device_cache(d);
    const AllocatorStats before = device_allocator_stats(d);
    reset_device_peak_memory(d);
    {
      const Tensor first = Tensor::zeros({1000}, DType::f32, d),
                   second = Tensor::zeros({1000}, DType::f32, d);
    }
    { const Tensor third = Tensor::zeros({1001}, DType::f32, d); }  // same size class
    const AllocatorStats after = device_allocator_stats(d);
    CHECK(after.system_calls - before.system_calls == 2);
    CHECK(after.allocations - before.allocations == 3);
    CHECK(after.bytes_in_use == before.bytes_in_use);
    CHECK(after.peak_in_use - before.bytes_in_use == 2 * 4096);
    CHECK(after.bytes_cached - before.bytes_cached == 2 * 4096);
    {  // another stream may not have them: the first one's work may still use them
      const StreamGuard other(Stream::create(d));
      const Tensor fourth = Tensor::zeros({1000}, DType::f32, d);
      CHECK(device_allocator_stats(d).system_calls - before.system_calls == 3);
    }
    release_device_cache(d);
    CHECK(device_allocator_stats(d).bytes_cached <= before.bytes_cached);
  }
}

TEST_CASE("memory beyond the device's is an error that says what is held") {
  SimOptions small = sim_options();
  small.memory = 1 << 20;
  release_device_cache(Device::sim);
  WithSim limited(small);
  const Tensor held = Tensor::empty({1 << 17}, DType::f32, Device::sim);
  { const Tensor cached = Tensor::empty({1 << 16}, DType::f32, Device::sim); }
  // Fits only if the cached block of another size is given back.
  { const Tensor other = Tensor::empty({100000}, DType::f32, Device::sim); }
  CHECK(throws_with(ErrorKind::memory, "524288 of its 1048576 bytes are in use",
                    [] { Tensor::empty({1 << 18}, DType::f32, Device::sim); }));
  CHECK(throws_with(ErrorKind::memory, "2^48",
                    [] { Tensor::empty({int64_t{1} << 50}, DType::f32, Device::sim); }));
}

TEST_CASE("fresh memory of the simulator is poison, and leaving it is found") {
  SimOptions eager = sim_options();
  eager.lag = false;
  WithSim at_once(eager);
  const Tensor t = Tensor::empty({5}, DType::f32, Device::sim);
  const Stream stream = current_stream(Device::sim);
  auto* p = t.device_data<float>();
  CHECK(std::isnan(values(t)[4]));
  CHECK(reinterpret_cast<const uint32_t*>(p)[0] == kGlobalPoison);
  CHECK(sim_check_guards().empty());
#ifndef ATROUS_SANITIZED  // the sanitizers end the program at the write itself
  for (const int offset : {5, -3}) {
    CAPTURE(offset);
    const std::string place = offset > 0 ? "byte 1 past the end of" : "byte 9 before";
    float& outside = p[offset];
    const float guard = outside;
    sim_enqueue(stream, [&] { outside = 1.0f; });
    CHECK(sim_check_guards() == place + " an allocation of 20 bytes was overwritten");
    outside = guard;
    CHECK(sim_check_guards().empty());
    {
      const Tensor dying = Tensor::empty({5}, DType::f32, Device::sim);
      dying.device_data<float>()[offset] = 1.0f;
    }
    CHECK(throws_with(ErrorKind::internal, place, [&] { stream.synchronize(); }));
    stream.synchronize();  // reported once
    SimOptions checking = sim_options();
    checking.check = true;
    WithSim check(checking);
    CHECK(throws_with(ErrorKind::internal, "culprit left its memory: " + place, [&] {
      sim_enqueue(
          stream, [&] { outside = 1.0f; }, "culprit");
    }));
    outside = guard;
  }
#endif
  CHECK(sim_describe_address(p + 8) == "12 bytes past the end of an allocation of 20 bytes");
  CHECK(sim_describe_address(p - 1) == "4 bytes before an allocation of 20 bytes");
  CHECK(sim_describe_address(p + 1) == "byte 4 of an allocation of 20 bytes");
  CHECK(sim_describe_address(&t).empty());
}

namespace {
// to = from + 1 on the simulator: the work of a kernel, without one.
void increment(const Tensor& to, const Tensor& from) {
  auto* t = to.device_data<float>();
  const auto* f = from.device_data<float>();
  sim_enqueue(current_stream(Device::sim), [t, f, n = to.numel()] {
    for (int64_t i = 0; i < n; ++i) t[i] = f[i] + 1;
  });
}
}  // namespace

TEST_CASE("tensors that die before their work has run keep their memory until then") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    WithSim lag(lagging(seed));
    Tensor t = Tensor::zeros({64}, DType::f32, Device::sim);
    for (int i = 0; i < 10; ++i) {
      const Tensor next = Tensor::empty_like(t);
      increment(next, t);
      t = next;
    }
    CHECK(values(t) == std::vector<float>(64, 10.0f));
  }
}

TEST_CASE("pinned memory is not used again while a copy from it is under way") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    WithSim lag(lagging(seed));
    std::vector<Tensor> tensors;
    for (int i = 0; i < 8; ++i) {
      const std::shared_ptr<std::byte> pinned = pinned_allocate(Device::sim, 40);
      std::fill_n(reinterpret_cast<float*>(pinned.get()), 10, static_cast<float>(i));
      tensors.push_back(Tensor::empty({10}, DType::f32, Device::sim));
      device_copy(Device::sim, CopyKind::host_to_device, tensors.back().device_raw(), 40, pinned.get(), 40,
                  40, 1);
    }
    for (int i = 0; i < 8; ++i) CHECK(values(tensors[static_cast<size_t>(i)])[9] == static_cast<float>(i));
  }
}

TEST_CASE("pageable memory can change as soon as it was copied, though the host did not wait") {
  bool late = false;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    WithSim lag(lagging(seed));
    for (Device d : devices()) {
      CAPTURE(name_of(d));
      bool ran = false;
      if (d == Device::sim) sim_enqueue(current_stream(d), [&] { ran = true; });
      const Tensor dense = ramp({10}), wide = ramp({2, 4});
      const Tensor a = Tensor::empty({10}, DType::f32, d), b = Tensor::zeros({2, 3}, DType::f32, d);
      a.copy_from(dense);
      b.narrow_channels(1, 2).copy_from(wide.narrow_channels(2, 2));
      late = late || (d == Device::sim && !ran);
      dense.fill(-1);
      wide.fill(-1);
      CHECK(values(a) == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
      CHECK(values(b) == std::vector<float>{0, 3, 4, 0, 7, 8});
    }
  }
  CHECK(late);
  const Tensor large = Tensor::full({(8 << 20) + 1}, 3);  // one element more than is staged
  CHECK(large.to(Device::sim).to(Device::cpu).data<float>()[8 << 20] == 3);
}

TEST_CASE("events tell the time between two points") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Stream stream = Stream::create(d);
    Event start(d), stop(d);
    CHECK(start.done());
    start.record(stream);
    stop.record(stream);
    stop.synchronize();
    CHECK(stop.done());
    CHECK(Event::elapsed_ms(start, stop) >= 0);
  }
}

TEST_CASE("a graph repeats its work on the same memory") {
  for (const bool lag : {false, true}) {
    SimOptions options = sim_options();
    options.lag = lag;
    WithSim with(options);
    const Stream stream = Stream::create(Device::sim);
    const Tensor x = Tensor::zeros({8}, DType::f32, Device::sim);
    synchronize(Device::sim);
    Tensor y;
    auto work = [&] {
      const Tensor a = Tensor::empty_like(x), b = Tensor::empty_like(x);
      increment(a, x);
      increment(b, a);
      y = Tensor::empty_like(x);
      increment(y, b);
      x.copy_from(y);
    };
    {
      const StreamGuard guard(stream);
      work();  // fills the cache
      y = Tensor();
    }
    const int64_t system_calls = device_allocator_stats(Device::sim).system_calls;
    const Graph graph = Graph::capture(stream, work);
    CHECK(device_allocator_stats(Device::sim).system_calls == system_calls);
    stream.synchronize();
    CHECK(values(x) == std::vector<float>(8, 3.0f));  // capturing runs nothing
    const StreamGuard guard(stream);
    for (int i = 2; i <= 4; ++i) {
      const Tensor bystander =
          Tensor::full({8}, -1, DType::f32, Device::sim);  // must not get the graph's memory
      graph.launch(stream);
      CHECK(values(y) == std::vector<float>(8, 3.0f * static_cast<float>(i)));
      CHECK(values(bystander) == std::vector<float>(8, -1.0f));
    }
  }
}

TEST_CASE("a graph on a device copies and clears") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Stream stream = Stream::create(d);
    const StreamGuard guard(stream);
    const Tensor from = ramp({8}).to(d), to = Tensor::full({8}, 5, DType::f32, d);
    const std::shared_ptr<std::byte> pinned = pinned_allocate(d, 32);
    const Graph graph = Graph::capture(stream, [&] {
      to.copy_from(from);
      device_copy(d, CopyKind::device_to_host, pinned.get(), 32, to.device_raw(), 32, 32, 1);
      device_zero(d, from.device_raw(), 32, 32, 1);
    });
    CHECK(values(to) == std::vector<float>(8, 5.0f));
    graph.launch(stream);
    stream.synchronize();
    CHECK(reinterpret_cast<float*>(pinned.get())[7] == 8);
    CHECK(values(from) == std::vector<float>(8, 0.0f));
    graph.launch(stream);
    CHECK(values(to) == std::vector<float>(8, 0.0f));
    CHECK(throws_with(ErrorKind::internal, "on the stream it was captured on",
                      [&] { graph.launch(Stream::create(d)); }));
  }
}

TEST_CASE("what a graph cannot hold is refused, and the stream works on") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    const Stream stream = Stream::create(d);
    const StreamGuard guard(stream);
    const Tensor t = Tensor::zeros({4}, DType::f32, d), one = Tensor::zeros({}, DType::f32, d);
    Event event(d);
    const std::vector<std::pair<std::string, std::function<void()>>> illegal{
        {"waiting for a stream", [&] { stream.synchronize(); }},
        {"waiting for the device", [&] { synchronize(d); }},
        {"recording an event", [&] { event.record(stream); }},
        {"asking for an event", [&] { event.done(); }},
        {"pageable host memory", [&] { one.item(); }},
        {"pageable host memory", [&] { t.copy_from(Tensor::zeros({4})); }},
        {"taken from the system", [&] { Tensor::empty({12345}, DType::f32, d); }},
        {"another capture", [&] { Graph::capture(stream, [] {}); }},
    };
    for (const auto& [words, work] : illegal) {
      CAPTURE(words);
      CHECK(throws_with(ErrorKind::internal, words, [&, &work = work] { Graph::capture(stream, work); }));
      CHECK_FALSE(is_capturing(d));
    }
    CHECK(values(t) == std::vector<float>(4, 0.0f));
  }
  CHECK(throws_with(ErrorKind::usage, "device cpu has no graphs",
                    [] { Graph::capture(current_stream(Device::cpu), [] {}); }));
}

TEST_CASE("gradients add up on a device, and are checked for NaN there") {
  for (Device d : devices()) {
    CAPTURE(name_of(d));
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Variable x(Tensor::full({2, 3}, 2, dtype, d), true);
      auto twice = [](const Variable& v) {
        return record("twice", v.value().clone(), {v},
                      [](const BackwardContext& ctx) { return std::vector<Tensor>{ctx.grad(0)}; });
      };
      const Variable y = twice(x);
      backward({twice(y), twice(y), twice(y)}, std::vector<Tensor>(3, Tensor::full({2, 3}, 1.5, dtype, d)));
      CHECK(x.grad().device() == d);
      CHECK(values(x.grad()) == std::vector<float>(6, 4.5f));
    }
    CHECK_FALSE(all_finite(Tensor::full({2}, std::numeric_limits<double>::infinity(), DType::bf16, d)));
    CHECK(all_finite(Tensor::full({2}, 1, DType::bf16, d)));
  }
}
