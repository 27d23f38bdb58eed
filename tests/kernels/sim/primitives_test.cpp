// What kernels are made of, on the simulator, against plain loops: shuffles, votes, barriers, atomics,
// reductions, asynchronous copies. (Tensor cores: tensor_core_test.cpp.)
#include <catch2/catch.hpp>

#include "kernels/gpu/async.h"
#include "tests/kernels/sim/on_simulator.h"

using namespace atrous;
using namespace atrous::kernels;
using atrous::on_simulator::Memory;
using atrous::on_simulator::random_ints;

namespace {

// ---- warps ----

__global__ void shuffles(const int* in, const int* arguments, int width, int* out) {
  const unsigned i = threadIdx.x;
  const int value = in[i], argument = arguments[i];
  out[i] = __shfl_sync(~0u, value, argument, width);
  out[32 + i] = __shfl_xor_sync(~0u, value, width / 2, width);
  out[64 + i] = __shfl_up_sync(~0u, value, 3u, width);
  out[96 + i] = __shfl_down_sync(~0u, value, 3u, width);
}

__global__ void votes(const int* in, int* out) {
  const unsigned i = threadIdx.x, half = i < 16 ? 0xffffu : 0xffff0000u;
  out[i] = static_cast<int>(__ballot_sync(~0u, in[i] & 1));
  out[32 + i] = static_cast<int>(__match_any_sync(~0u, in[i]));
  out[64 + i] = __any_sync(half, in[i] == in[0]) + 2 * __all_sync(half, in[i] >= in[0]);
}

// ---- blocks ----

// The first warp produces, the second one consumes; each waits for the other at its own barrier.
__global__ void pipeline(const int* in, int rounds, int* out) {
  ATROUS_SHARED(int, slot, [32]);
  const unsigned lane = threadIdx.x % 32;
  for (int round = 0; round < rounds; ++round) {
    if (threadIdx.x < 32) {
      if (round > 0) barrier_sync(2, 64);  // the slot is empty
      slot[lane] = in[static_cast<unsigned>(round) * 32 + lane];
      barrier_arrive(1, 64);  // the slot is full
    } else {
      barrier_sync(1, 64);
      out[static_cast<unsigned>(round) * 32 + lane] = 2 * slot[31 - lane];
      if (round + 1 < rounds) barrier_arrive(2, 64);
    }
  }
}

__global__ void copies(const int* in, int valid, int* out) {
  ATROUS_SHARED(int, tile, [3][64][4]);
  const unsigned i = threadIdx.x;
  for (int stage = 0; stage < 3; ++stage) {  // 4, 8 and 16 bytes, the invalid ones from nowhere
    const bool ok = static_cast<int>(i) < valid;
    const int* from = ok ? in + 4 * i : nullptr;
    if (stage == 0) cp_async<4>(tile[stage][i], from, ok);
    if (stage == 1) cp_async<8>(tile[stage][i], from, ok);
    if (stage == 2) cp_async<16>(tile[stage][i], from, ok);
    cp_async_commit();
  }
  const auto give = [&](int stage, int ints) {
    __syncthreads();
    for (int k = 0; k < ints; ++k) out[(stage * 64 + static_cast<int>(i)) * 4 + k] = tile[stage][63 - i][k];
  };
  cp_async_wait<2>();
  give(0, 1);
  cp_async_wait<1>();
  give(1, 2);
  cp_async_wait<0>();
  give(2, 4);
}

__global__ void atomics(const int* in, int* out, float* sum) {
  const int value = in[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(&out[0], value);
  atomicMax(&out[1], value);
  atomicMin(&out[2], value);
  atomicOr(&out[3], value);
  atomicAnd(&out[4], value | 3);
  atomicAdd(sum, static_cast<float>(value));  // integers: exact in any order
  if (atomicExch(&out[5], 1) == 0) atomicAdd(&out[6], 1);
  if (atomicCAS(&out[7], 0, value | 1) == 0) out[8] = value | 1;
}

__global__ void reduce_block(const int* in, int* sums, int* maxima) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const int sum = block_reduce<Plus>(in[i], 0);
  sums[i] = sum;
  maxima[i] = block_reduce<Maximum>(in[i], -1 << 30);
}

__global__ void reduce_grid(const int* in, int* partial, unsigned* ticket, int* out) {
  const int sum = block_reduce<Plus>(in[blockIdx.x * blockDim.x + threadIdx.x], 0);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  if (!last_block_to_arrive(ticket, gridDim.x)) return;
  int total = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) total += partial[i];
  total = block_reduce<Plus>(total, 0);
  if (threadIdx.x == 0) atomicAdd(out, total);  // more than one last block would show
}

// Who came when: the order of the schedule.
__global__ void order_of_arrival(int* counter, int* order) {
  order[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1);
}

// depth, through stack frames of half a kilobyte.
__device__ __attribute__((noinline)) int recurse(int depth) {
  volatile char frame[512];
  frame[depth % 512] = 1;
  return depth > 0 ? recurse(depth - 1) + frame[depth % 512] : 0;
}
__global__ void deep_recursion(int depth, int* out) {
  out[threadIdx.x] = recurse(depth);
}

std::vector<int> schedule(uint64_t seed) {
  const uint64_t before = simulator::seed();
  simulator::set_seed(seed);
  const Memory<int> counter(std::vector{0}), order(64);
  launch<order_of_arrival>({1, 64}, counter.data(), order.data());
  simulator::set_seed(before);
  return order.read();
}

// Runs f under several schedules.
template <class F>
void for_some_seeds(F&& f) {
  const uint64_t before = simulator::seed();
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    simulator::set_seed(seed);
    f();
  }
  simulator::set_seed(before);
}

}  // namespace

TEST_CASE("shuffles move values between the lanes of their width") {
  for_some_seeds([] {
    for (const int width : {32, 16, 8, 4, 2}) {
      CAPTURE(width);
      const std::vector<int> in = random_ints(32, 0, 1000), arguments = random_ints(32, 0, 31);
      const Memory<int> x(in), a(arguments), out(128);
      launch<shuffles>({1, 32}, x.data(), a.data(), width, out.data());
      const std::vector<int> got = out.read();
      for (int lane = 0; lane < 32; ++lane) {
        CAPTURE(lane);
        const auto from = [&](int l) { return in[static_cast<size_t>(l)]; };
        const auto result = [&](int kind) { return got[static_cast<size_t>(32 * kind + lane)]; };
        const int first = lane / width * width;
        CHECK(result(0) == from(first + arguments[static_cast<size_t>(lane)] % width));
        CHECK(result(1) == from(lane ^ (width / 2)));
        CHECK(result(2) == from(lane - 3 >= first ? lane - 3 : lane));
        CHECK(result(3) == from(lane + 3 < first + width ? lane + 3 : lane));
      }
    }
  });
}

TEST_CASE("votes and matches see the lanes of their mask") {
  for_some_seeds([] {
    const std::vector<int> in = random_ints(32, 0, 5);
    const Memory<int> x(in), out(96);
    launch<votes>({1, 32}, x.data(), out.data());
    const std::vector<int> got = out.read();
    unsigned odd = 0;
    for (size_t lane = 0; lane < 32; ++lane) odd |= static_cast<unsigned>(in[lane] & 1) << lane;
    for (size_t lane = 0; lane < 32; ++lane) {
      unsigned same = 0;
      bool any = false, all = true;
      for (size_t other = 0; other < 32; ++other) {
        same |= static_cast<unsigned>(in[other] == in[lane]) << other;
        if (other / 16 != lane / 16) continue;
        any |= in[other] == in[0];
        all &= in[other] >= in[0];
      }
      CHECK(static_cast<unsigned>(got[lane]) == odd);
      CHECK(static_cast<unsigned>(got[32 + lane]) == same);
      CHECK(got[64 + lane] == any + 2 * all);
    }
  });
}

TEST_CASE("warps hand work to each other through named barriers") {
  for_some_seeds([] {
    const std::vector<int> in = random_ints(5 * 32, -100, 100);
    const Memory<int> x(in), out(5 * 32);
    launch<pipeline>({1, 64}, x.data(), 5, out.data());
    const std::vector<int> got = out.read();
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == 2 * in[i / 32 * 32 + 31 - i % 32]);
  });
}

TEST_CASE("asynchronous copies of every size fill what is not valid with zeros") {
  for_some_seeds([] {
    constexpr int valid = 41;
    const std::vector<int> in = random_ints(valid * 4, 1, 100);  // nothing may be read behind
    const Memory<int> x(in), out(3 * 64 * 4);
    launch<copies>({1, 64}, x.data(), valid, out.data());
    const std::vector<int> got = out.read();
    for (int stage = 0; stage < 3; ++stage) {
      for (int i = 0; i < 64; ++i) {
        for (int k = 0; k < 1 << stage; ++k) {
          const int from = 63 - i;
          CHECK(got[static_cast<size_t>((stage * 64 + i) * 4 + k)] ==
                (from < valid ? in[static_cast<size_t>(from * 4 + k)] : 0));
        }
      }
    }
  });
}

TEST_CASE("atomics lose nothing between threads and blocks") {
  for_some_seeds([] {
    const std::vector<int> in = random_ints(8 * 96, 1, 1000);
    const Memory<int> x(in), out(std::vector{0, -1, 100000, 0, -1, 0, 0, 0, 0});
    const Memory<float> float_sum(std::vector{0.0f});
    launch<atomics>({8, 96}, x.data(), out.data(), float_sum.data());
    int sum = 0, bits_or = 0, bits_and = -1;
    for (int v : in) {
      sum += v;
      bits_or |= v;
      bits_and &= v | 3;
    }
    const std::vector<int> got = out.read();
    CHECK(got[0] == sum);
    CHECK(got[1] == *std::max_element(in.begin(), in.end()));
    CHECK(got[2] == *std::min_element(in.begin(), in.end()));
    CHECK(got[3] == bits_or);
    CHECK(got[4] == bits_and);
    CHECK(got[6] == 1);  // one thread found the flag down
    CHECK(got[7] == got[8]);
    CHECK(float_sum.read()[0] == static_cast<float>(sum));
  });
}

TEST_CASE("reductions of a block are known to all its threads, those of a grid to the last block") {
  for_some_seeds([] {
    for (const int threads : {32, 96, 256}) {
      CAPTURE(threads);
      constexpr int blocks = 7;
      const std::vector<int> in = random_ints(blocks * threads, -1000, 1000);
      const int count = blocks * threads;
      const Memory<int> x(in), sums(count), maxima(count), partial(blocks), out(std::vector{0});
      const Memory<unsigned> ticket(std::vector{0u});
      launch<reduce_block>({blocks, threads}, x.data(), sums.data(), maxima.data());
      int total = 0;
      for (int b = 0; b < blocks; ++b) {
        const auto first = in.begin() + b * threads;
        const int sum = std::accumulate(first, first + threads, 0);
        total += sum;
        const std::vector<int> expected_sums(static_cast<size_t>(threads), sum);
        const auto of_block = [&](const std::vector<int>& all) {
          return std::vector<int>(all.begin() + b * threads, all.begin() + (b + 1) * threads);
        };
        CHECK(of_block(sums.read()) == expected_sums);
        CHECK(of_block(maxima.read()) ==
              std::vector<int>(static_cast<size_t>(threads), *std::max_element(first, first + threads)));
      }
      for (int repetition = 1; repetition <= 2; ++repetition) {  // the ticket is ready for the next launch
        launch<reduce_grid>({blocks, threads}, x.data(), partial.data(), ticket.data(), out.data());
        CHECK(out.read()[0] == repetition * total);
        CHECK(ticket.read()[0] == 0);
      }
    }
  });
}

#ifndef ATROUS_SANITIZED  // the sanitizers end the program
TEST_CASE("a stack overflow is reported, and the next kernel runs") {
  const Memory<int> out(64);
  std::string problem;
  try {
    launch<deep_recursion>({1, 64}, 1 << 20, out.data());
  } catch (const Error& e) {
    problem = e.what();
  }
  CHECK(problem.find("stack overflow") != problem.npos);
  launch<deep_recursion>({1, 64}, 10, out.data());
  CHECK(out.read() == std::vector<int>(64, 10));
}
#endif

TEST_CASE("a seed is a schedule: the same again, others for other seeds") {
  std::set<std::vector<int>> different;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const std::vector<int> order = schedule(seed);
    CHECK(order == schedule(seed));
    std::vector<int> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> everyone(64);
    std::iota(everyone.begin(), everyone.end(), 0);
    CHECK(sorted == everyone);
    different.insert(order);
  }
  CHECK(different.size() == 10);
}

TEST_CASE("cost of simulated threads, barriers and shuffles", "[.benchmark]") {
  using Clock = std::chrono::steady_clock;
  constexpr int blocks = 2000, threads = 128;
  const std::vector<int> in = random_ints(blocks * threads, 0, 9);
  const Memory<int> x(in), sums(blocks * threads), maxima(blocks * threads), counter(std::vector{0});
  const auto nanoseconds = [&](auto&& run) {
    run();
    const auto start = Clock::now();
    run();
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / (blocks * threads);
  };
  std::printf("a thread: %.0f ns\n", nanoseconds([&] {
                launch<order_of_arrival>({blocks, threads}, counter.data(), sums.data());
              }));
  std::printf("a thread with 4 barriers and 20 shuffles: %.0f ns\n", nanoseconds([&] {
                launch<reduce_block>({blocks, threads}, x.data(), sums.data(), maxima.data());
              }));
}
