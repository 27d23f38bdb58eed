#include "train/math.h"

#include "kernels/common/dispatch.h"

namespace atrous::train {

void check_math(const Config& config, Device device, const std::string& remedy) {
  ATROUS_CHECK(config.math == "f32" || device != Device::cpu, ErrorKind::config,
               "[math] the CPU computes in f32. Got math \"{}\" on device cpu. {}.", config.math, remedy);
}

void use_math(const Config& config, layers::Model& model) {
  check_math(config, model.device());
  kernels::set_exact_sums(config.exact);
  kernels::set_allow_tf32(config.math == "tf32");
  model.set_compute_dtype(config.math == "bf16" ? DType::bf16 : DType::f32);
}

}  // namespace atrous::train
