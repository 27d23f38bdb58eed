// Applies a config's choice of arithmetic.
#pragma once

#include "layers/model.h"
#include "train/config.h"

namespace atrous::train {

// Error(config) if `device` cannot do the arithmetic that `math` selects. `remedy` ends the message.
void check_math(const Config& config, Device device,
                const std::string& remedy = "Use --device cuda or sim, or --set math=f32 or bf16");

// Sets the model's arithmetic by `exact` and `math`, and its type of activations: bf16 on a device whose
// math is bf16; on the CPU activations stay f32. Error(config) if the model's device cannot do it.
void use_math(const Config& config, layers::Model& model);

}  // namespace atrous::train
