#include "cli/bench_timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace atrous::cli {
namespace {

constexpr int64_t fma_rounds = 400'000;
constexpr int accumulators = 12;  // enough independent chains to hide the latency of a fused multiply-add

// One function per instruction set: the vector type and the attribute differ, the loop does not.
#define ATROUS_FMA_LOOP(name, attribute, lanes)                                            \
  attribute float name() {                                                                 \
    typedef float V __attribute__((vector_size(lanes * 4)));                               \
    V a[accumulators];                                                                     \
    for (int i = 0; i < accumulators; ++i) a[i] = V{} + 0.1f * static_cast<float>(i);      \
    const V m = V{} + 0.999f, c = V{} + 0.001f;                                            \
    for (int64_t round = 0; round < fma_rounds; ++round) {                                 \
      _Pragma("GCC unroll 12") for (int i = 0; i < accumulators; ++i) a[i] = a[i] * m + c; \
    }                                                                                      \
    float sum = 0;                                                                         \
    for (int i = 0; i < accumulators; ++i) sum += a[i][0];                                 \
    return sum;                                                                            \
  }

#if defined(__x86_64__)
ATROUS_FMA_LOOP(fma_avx512, __attribute__((target("avx512f,fma"))), 16)
ATROUS_FMA_LOOP(fma_avx2, __attribute__((target("avx2,fma"))), 8)
#endif
ATROUS_FMA_LOOP(fma_generic, , 4)

struct FmaLoop {
  float (*run)();
  int lanes;
};

FmaLoop fma_loop() {
#if defined(__x86_64__)
  if (cpu_isa() == Isa::avx512) return {fma_avx512, 16};
  if (cpu_isa() == Isa::avx2) return {fma_avx2, 8};
#endif
  return {fma_generic, 4};
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

Timing summarize(const std::vector<double>& seconds) {
  return {quantile(seconds, 0.5), quantile(seconds, 0.25), quantile(seconds, 0.75),
          static_cast<int64_t>(seconds.size())};
}

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double seconds_on(Device device, const std::function<void()>& f) {
  if (device == Device::cpu) return seconds_of(f);
  const Stream stream = current_stream(device);
  Event start(device), stop(device);
  start.record(stream);
  f();
  stop.record(stream);
  stop.synchronize();
  return 1e-3 * Event::elapsed_ms(start, stop);
}

std::vector<std::vector<double>> interleave(
    const std::vector<std::function<double(int64_t round)>>& contenders, int64_t repeats) {
  constexpr double warm_up = 0.02, long_work = 0.2;
  std::vector<std::vector<double>> seconds(contenders.size());
  std::vector<double> last(contenders.size());
  for (int64_t round = -1; round < repeats; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      const size_t who = round % 2 == 0 ? i : contenders.size() - 1 - i;
      double warm = contenders.size() > 1 && last[who] < long_work ? 0 : warm_up;
      for (int64_t call = 1; warm < warm_up; ++call)
        warm += seconds_of([&] { contenders[who](round + 1 + call); });
      last[who] = contenders[who](round + 1);
      if (round >= 0) seconds[who].push_back(last[who]);
    }
  }
  return seconds;
}

Peaks measure_peaks() {
  Peaks peaks;
  const int64_t threads = num_threads();
  const FmaLoop loop = fma_loop();
  std::vector<float> sink(static_cast<size_t>(threads));
  const double operations = 2.0 * static_cast<double>(fma_rounds * accumulators * loop.lanes * threads);
  constexpr int64_t block = int64_t{1} << 20;
  const int64_t bytes = 96 * block;
  const Tensor from = Tensor::full({bytes}, 1, DType::u8);
  const Tensor to = Tensor::full({bytes}, 0, DType::u8);
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double fma = seconds_of([&] {
      parallel_for(threads, 1,
                   [&](int64_t begin, int64_t) { sink[static_cast<size_t>(begin)] = loop.run(); });
    });
    const double copy = seconds_of([&] {
      parallel_for(bytes, block, [&](int64_t begin, int64_t end) {
        std::memcpy(to.raw() + begin, from.raw() + begin, static_cast<size_t>(end - begin));
      });
    });
    peaks.gflops = std::max(peaks.gflops, operations / fma * 1e-9);
    peaks.gbytes = std::max(peaks.gbytes, 2.0 * static_cast<double>(bytes) / copy * 1e-9);
  }
  // The sums must be used, or the compiler may drop the loops.
  for (float s : sink) {
    if (!std::isfinite(s)) peaks.gflops = 0;
  }
  return peaks;
}

Peaks measure_peaks(Device device) {
  if (device == Device::cpu) return measure_peaks();
  Peaks peaks;
  if (device == Device::sim) return peaks;
  const Tensor from = Tensor::zeros({int64_t{1} << 28}, DType::u8, device), to = Tensor::empty_like(from);
  for (int repeat = 0; repeat < 20; ++repeat) {
    const double seconds = seconds_on(device, [&] { to.copy_from(from); });
    peaks.gbytes = std::max(peaks.gbytes, 2.0 * static_cast<double>(from.bytes()) / seconds * 1e-9);
  }
  return peaks;
}

}  // namespace atrous::cli
