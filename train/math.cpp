#include "train/math.h"

#include "kernels/common/bf16_products.h"
#include "kernels/common/dispatch.h"

namespace atrous::train {

void check_math(const Config& config, Device device, const std::string& remedy) {
  ATROUS_CHECK(config.math != "tf32" || device != Device::cpu, ErrorKind::config,
               "[math] the CPU has f32 and bf16. Got math \"{}\" on device cpu. {}.", config.math, remedy);
}

void use_math(const Config& config, layers::Model& model) {
  check_math(config, model.device());
  const bool bf16 = config.math == "bf16", on_cpu = model.device() == Device::cpu;
  kernels::set_exact_sums(config.exact);
  kernels::set_allow_tf32(config.math == "tf32");
  kernels::set_bf16_products(bf16 && on_cpu);
  model.set_compute_dtype(bf16 && !on_cpu ? DType::bf16 : DType::f32);
}

}  // namespace atrous::train
