// The loader's threads without memory.
#include "tests/no_memory.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "data/prefetch.h"

using atrous::data::internal::Prefetcher;

TEST_CASE("a worker that has no memory left hands over its batch, and later the lack of memory") {
  struct Batch {
    std::vector<int64_t> values;
  };
  // From here on nothing of this thread may allocate, and the third batch does.
  const auto make = [](int64_t step) {
    Batch batch;
    if (step < 2) batch.values.assign(100, step);
    atrous::test::no_memory = step == 1;
    if (step == 2) {
      atrous::test::no_memory = true;
      batch.values.assign(100, step);
    }
    return batch;
  };
  Prefetcher<Batch> batches(make, 1, 0);
  CHECK(batches.next().values == std::vector<int64_t>(100, 0));
  CHECK(batches.next().values == std::vector<int64_t>(100, 1));
  CHECK_THROWS_AS(batches.next(), std::bad_alloc);
  CHECK_THROWS_AS(batches.next(), std::bad_alloc);
}
