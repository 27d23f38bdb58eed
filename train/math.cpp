#include "train/math.h"

namespace atrous::train {

void check_math(const Config& config, Device device, const std::string& remedy) {
  ATROUS_CHECK(config.math != MathMode::tf32 || device != Device::cpu, ErrorKind::config,
               "[math] the CPU has f32 and bf16. Got math \"{}\" on device cpu. {}.", config.math, remedy);
}

void use_math(const Config& config, layers::Model& model) {
  check_math(config, model.device());
  const bool bf16 = config.math == MathMode::bf16, on_cpu = model.device() == Device::cpu;
  model.set_math({.exact_sums = config.exact, .tf32 = config.math == MathMode::tf32, .bf16 = bf16 && on_cpu});
  model.set_compute_dtype(bf16 && !on_cpu ? DType::bf16 : DType::f32);
}

}  // namespace atrous::train
