#include "core/parallel.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

using namespace atrous;

TEST_CASE("Every index once, in chunks that do not depend on the number of threads") {
  for (int threads : {1, 2, 4, 7}) {
    set_num_threads(threads);
    std::vector<std::atomic<int>> hits(1003);
    std::atomic<bool> chunks_ok{true};
    parallel_for(1003, 10, [&](int64_t begin, int64_t end) {
      if (begin % 10 != 0 || end != std::min<int64_t>(1003, begin + 10)) chunks_ok = false;
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    CHECK(chunks_ok);
    for (const auto& h : hits) REQUIRE(h == 1);
  }
  set_num_threads(2);
}

TEST_CASE("The first exception reaches the caller and the pool survives it") {
  set_num_threads(3);
  CHECK_THROWS_AS(parallel_for(100, 1,
                               [](int64_t begin, int64_t) {
                                 if (begin == 50) throw std::runtime_error("x");
                               }),
                  std::runtime_error);
  std::atomic<int64_t> sum{0};
  parallel_for(100, 1, [&](int64_t begin, int64_t) { sum += begin; });
  CHECK(sum == 4950);
}

TEST_CASE("Nested regions run on the calling thread; empty ranges call nothing") {
  std::atomic<int64_t> count{0};
  parallel_for(8, 1, [&](int64_t, int64_t) { parallel_for(8, 1, [&](int64_t, int64_t) { ++count; }); });
  CHECK(count == 64);
  parallel_for(0, 1, [&](int64_t, int64_t) { ++count; });
  CHECK(count == 64);
}

TEST_CASE("Many short regions in a row") {
  set_num_threads(4);
  std::atomic<int64_t> total{0};
  for (int i = 0; i < 20000; ++i)
    parallel_for(4, 1, [&](int64_t, int64_t) { total.fetch_add(1, std::memory_order_relaxed); });
  CHECK(total == 80000);
}
