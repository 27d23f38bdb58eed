#include "core/op_profile.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "core/error.h"
#include "core/tensor.h"

using namespace atrous;

namespace {

void work(const char* entry, int milliseconds, const std::function<void()>& inside = {}) {
  const OpTimer timer(entry, "host", [] { return OpWork{"p", 10}; });
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  if (inside) inside();
}

}  // namespace

TEST_CASE("Equal calls are one row; an op's time is without that of the ops it calls") {
  const OpProfile profile;
  const auto start = std::chrono::steady_clock::now();
  work("outer", 1, [] {
    work("inner", 20);
    work("inner", 20, [] { work("innermost", 10); });
  });
  const double all = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto rows = profile.rows();
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].entry == "inner");  // the slowest first
  CHECK(rows[0].calls == 2);
  CHECK(rows[0].flops == 20);
  CHECK(rows[0].problem == "p");
  CHECK(rows[0].implementation == "host");
  CHECK(rows[0].seconds >= 0.04);
  double sum = 0;
  for (const OpProfile::Row& row : rows) sum += row.seconds;
  CHECK(sum >= 0.051);
  CHECK(sum <= all);  // nothing is counted twice
}

TEST_CASE("Without a profile no op is described; one thread has one, another thread none") {
  const auto describe = [] {
    FAIL("nobody asks");
    return OpWork{};
  };
  { const OpTimer timer("op", "host", describe); }
  const OpProfile profile;
  CHECK_THROWS_AS(OpProfile(), Error);
  CHECK(OpProfile::current() == &profile);
  const OpProfile* there = &profile;
  std::thread([&] { there = OpProfile::current(); }).join();
  CHECK(there == nullptr);
}

TEST_CASE("Tensor's own passes over memory are ops as well") {
  const OpProfile profile;
  const Tensor t = Tensor::full({4, 8}, 3);
  Tensor::zeros({4, 8}).copy_from(t);
  std::string entries;
  for (const OpProfile::Row& row : profile.rows()) {
    entries += row.entry + " ";
    CHECK(row.problem == "f32 [4, 8]");
  }
  for (const char* entry : {"tensor.fill", "tensor.zeros", "tensor.copy"}) {
    CAPTURE(entries);
    CHECK(entries.find(entry) != std::string::npos);
  }
}
