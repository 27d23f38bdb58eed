// The permission to round what is multiplied, on CPUs.
#pragma once

namespace atrous::kernels {

// Whether convolutions of f32 tensors on the CPU round both factors of their products to bf16 (nearest, ties
// to even); sums stay f32. Off unless granted. Config key `math`.
void set_bf16_products(bool on);
bool bf16_products();

}  // namespace atrous::kernels
