#include "kernels/common/bf16_products.h"

#include <atomic>

namespace atrous::kernels {
namespace {

std::atomic<bool> granted{false};

}  // namespace

void set_bf16_products(bool on) {
  granted = on;
}

bool bf16_products() {
  return granted;
}

}  // namespace atrous::kernels
