// The dense CRF for parity_crf.py: `crf_ops in.safetensors out.safetensors [repetitions]`.
//
// In: image u8 [H,W,3]; probabilities f32 [H,W,L]; parameters f32 (iterations, gaussian weight, xy, bilateral
// weight, xy, rgb, normalisation as in CrfNormalization, spatial as in CrfSpatial). Out: refined f32 [H,W,L].
// Prints the least seconds of construction and of refinement, of the processor and on the clock, and what the
// CRF holds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "core/error.h"
#include "core/safetensors.h"
#include "layers/dense_crf.h"

using namespace atrous;

namespace {

// Of this process: other programs may be running.
double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run(const char* from, const char* to, int repetitions) {
  const TensorFile file = read_safetensors(from);
  const float* p = file.at("parameters").data<float>();
  layers::DenseCrfOptions options;
  options.iterations = static_cast<int64_t>(p[0]);
  options.gaussian_weight = static_cast<double>(p[1]), options.gaussian_xy = static_cast<double>(p[2]);
  options.bilateral_weight = static_cast<double>(p[3]), options.bilateral_xy = static_cast<double>(p[4]);
  options.bilateral_rgb = static_cast<double>(p[5]);
  options.normalization = static_cast<layers::CrfNormalization>(static_cast<int>(p[6]));
  options.spatial = static_cast<layers::CrfSpatial>(static_cast<int>(p[7]));
  double build = 1e9, refine = 1e9, wall = 1e9;
  size_t state_bytes = 0;
  int64_t vertices = 0;
  Tensor refined;
  for (int i = 0; i < repetitions; ++i) {
    const double start = cpu_seconds(), start_wall = clock_seconds();
    const layers::DenseCrf crf(file.at("image"), options);
    const double built = cpu_seconds();
    build = std::min(build, built - start);
    refined = crf.refine(file.at("probabilities"));
    refine = std::min(refine, cpu_seconds() - built);
    wall = std::min(wall, clock_seconds() - start_wall);
    state_bytes = crf.state_bytes();
    vertices = crf.vertices();
  }
  std::printf(
      "{\"build\": %.6f, \"refine\": %.6f, \"wall\": %.6f, \"vertices\": %lld, \"state_bytes\": %zu}\n",
      build, refine, wall, static_cast<long long>(vertices), state_bytes);
  write_safetensors(to, {{"refined", refined}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 1);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code();
  }
}
