// What happens without memory, and without threads: freeing needs none, and every failure has its kind.
#include "tests/no_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <ios>
#include <new>
#include <optional>
#include <random>
#include <system_error>

#include "core/device_runtime.h"
#include "core/device_sim.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/problem.h"
#include "core/tensor.h"
#include "core/threads.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

// Frees all of them in an order that joins and separates free ranges, while there is no memory.
void free_without_memory(std::vector<Tensor>& tensors) {
  std::mt19937 random(3);
  std::shuffle(tensors.begin(), tensors.end(), random);
  const test::NoMemory none;
  for (Tensor& t : tensors) t = Tensor();
}

// As many bytes of addresses as the process has now, and some more.
class AddressLimit {
 public:
  explicit AddressLimit(size_t more) {
    getrlimit(RLIMIT_AS, &before_);
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{pages * 4096 + more, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~AddressLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("Freeing tensors takes no memory: small ones, large ones and those of a device") {
  for (const Device device : {Device::cpu, Device::sim}) {
    const int64_t in_use =
        device == Device::cpu ? allocator_stats().bytes_in_use : device_allocator_stats(device).bytes_in_use;
    std::vector<Tensor> tensors;
    const int count = device == Device::cpu ? 3000 : 300;
    for (int i = 0; i < count; ++i) {
      tensors.push_back(Tensor::empty({1 + i * i % 977 * (i % 3 ? 1 : 200)}, DType::f32, device));
      if (i % 7 == 0) tensors[static_cast<size_t>(i) / 2] = Tensor();  // holes
    }
    free_without_memory(tensors);
    CHECK(in_use == (device == Device::cpu ? allocator_stats().bytes_in_use
                                           : device_allocator_stats(device).bytes_in_use));
  }
}

TEST_CASE("Freeing takes no memory on a device that lags, for streams and graphs that end") {
  const SimOptions before = sim_options();
  SimOptions lagging = before;
  lagging.lag = true;
  set_sim_options(lagging);
  const int64_t in_use = device_allocator_stats(Device::sim).bytes_in_use;
  {
    std::optional<Stream> stream = Stream::create(Device::sim);
    std::optional<Graph> graph;
    std::vector<Tensor> kept;
    {
      const StreamGuard guard(*stream);
      Tensor::empty({1000}, DType::f32, Device::sim);  // in the cache when the capture asks for it
      graph =
          Graph::capture(*stream, [&] { kept.push_back(Tensor::zeros({1000}, DType::f32, Device::sim)); });
      graph->launch(*stream);
      for (int i = 1; i < 20; ++i) kept.push_back(Tensor::empty({i * 300}, DType::f32, Device::sim));
    }
    stream->synchronize();
    const test::NoMemory none;
    graph.reset();
    for (Tensor& t : kept) t = Tensor();
    stream.reset();
  }
  set_sim_options(before);
  CHECK(device_allocator_stats(Device::sim).bytes_in_use == in_use);
}

TEST_CASE("A tensor that cannot be made for lack of memory gives its block back") {
  const int64_t in_use = allocator_stats().bytes_in_use;
  for (const int64_t size : {100, 20000}) {
    bool refused = false;
    try {
      const test::NoMemory none;
      Tensor::empty({size});
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    CHECK(refused);
  }
  CHECK(allocator_stats().bytes_in_use == in_use);
}

#ifndef ATROUS_SANITIZED  // whose shadow memory is beyond any limit
TEST_CASE("Threads that the system refuses are a lack of memory, and those that run are ended") {
  const AddressLimit limit(size_t{100} << 20);
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  std::atomic<int> running{0};
  const auto work = [&] {
    ++running;
    while (!stop) std::this_thread::yield();
    --running;
  };
  try {
    start_threads(
        threads, 500, work, [&] { stop = true; }, "test", "Use fewer.");
    FAIL("500 stacks in 100 MiB");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::memory);
    CHECK_THAT(e.what(), Contains("[test]") && Contains("of 500 threads") &&
                             Contains("temporarily unavailable") && Contains("Use fewer."));
  }
  CHECK(threads.empty());
  CHECK(running == 0);
}

TEST_CASE("A pool of threads that cannot start is an error of kind memory, and the next one works") {
  set_num_threads(200);
  ErrorKind kind = ErrorKind::internal;
  {
    const AddressLimit limit(size_t{100} << 20);
    try {
      parallel_for(1000, 1, [](int64_t, int64_t) {});
    } catch (const Error& e) {
      kind = e.kind();
      CHECK_THAT(e.what(), Contains("[threads]") && Contains("of 199 threads") && Contains("ATROUS_THREADS"));
    }
  }
  CHECK(kind == ErrorKind::memory);
  set_num_threads(2);
  std::atomic<int64_t> sum{0};
  parallel_for(100, 1, [&](int64_t begin, int64_t) { sum += begin; });
  CHECK(sum == 4950);
}
#endif

TEST_CASE("Every exception of the standard library has a kind") {
  const auto kind = [](const std::exception& e) { return problem_of(e).kind; };
  CHECK(kind(Error(ErrorKind::config, "x")) == ErrorKind::config);
  CHECK(kind(std::bad_alloc()) == ErrorKind::memory);
  CHECK(kind(std::bad_array_new_length()) == ErrorKind::memory);
  CHECK(kind(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again))) ==
        ErrorKind::memory);
  CHECK(kind(std::system_error(ENOMEM, std::generic_category())) == ErrorKind::memory);
  CHECK(kind(std::filesystem::filesystem_error("stat", std::error_code(EACCES, std::generic_category()))) ==
        ErrorKind::io);
  CHECK(kind(std::filesystem::filesystem_error("stat", std::error_code(ENOMEM, std::generic_category()))) ==
        ErrorKind::memory);
  CHECK(kind(std::ios_base::failure("read", std::error_code(EIO, std::generic_category()))) == ErrorKind::io);
  CHECK(kind(std::system_error(std::make_error_code(std::errc::operation_not_permitted))) ==
        ErrorKind::internal);
  CHECK(kind(std::out_of_range("x")) == ErrorKind::internal);
  CHECK_THAT(problem_of(std::ios_base::failure("read")).advice, Contains("disk"));
}

TEST_CASE("Advice for a lack of memory fits what takes it") {
  reset_peak_memory();
  if (tensors_take_much(0)) return;  // tensors of other tests
  CHECK_THAT(memory_advice(432), Contains("ulimit -v") && !Contains("batch"));
  CHECK_THAT(memory_advice(size_t{1} << 30), Contains("smaller batch"));
  const Tensor large = Tensor::empty({(64 << 20) / 4});
  CHECK_THAT(memory_advice(432), Contains("smaller batch"));
}

TEST_CASE("A file that could not be opened for want of memory is not at fault") {
  errno = ENOENT;
  CHECK_NOTHROW(throw_if_no_memory());
  errno = ENOMEM;
  CHECK_THROWS_AS(throw_if_no_memory(), std::bad_alloc);
}
