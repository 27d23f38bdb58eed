// Fill, conversion and sums of tensors on a device give the CPU's bits.
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>

#include "core/autograd.h"
#include "core/device_runtime.h"
#include "core/random.h"
#include "kernels/common/implementation.h"
#include "tests/same_bits.h"

using namespace atrous;

namespace {

constexpr DType all_dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::u8};
// Fewer than one group per row, ragged ends, whole groups, more than one block, nothing.
const Shape shapes[] = {{}, {3}, {2, 3, 5, 3}, {7, 19}, {9, 8}, {41, 40}, {0, 4}, {4, 0}};

// Whole numbers that every dtype holds.
Tensor numbers(const Shape& shape, DType dtype, uint64_t seed) {
  Rng rng(seed, 1);
  const Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.integer(0, 100));
  return t.to(dtype);
}

// A view on the device with `gap` elements between rows, `offset` of them before the first.
Tensor view_of(const Tensor& host, Device device, int64_t offset, int64_t gap) {
  if (host.rank() == 0 || gap == 0) return host.to(device);
  const int64_t c = host.channels();
  const Tensor wide = Tensor::zeros(host.shape().with(-1, c + gap), host.dtype()).to(device);
  const Tensor view = wide.narrow_channels(offset, c);
  view.copy_from(host);
  return view;
}

struct Gap {
  int64_t offset, gap;
};
constexpr Gap gaps[] = {{0, 0}, {4, 8}, {3, 5}};  // dense, aligned, neither

template <class F>
void for_each_layout(F f) {
  // The op library is linked here for what it installs.
  kernels::check_forced_implementations();
  for (Device device : available_devices()) {
    if (device == Device::cpu) continue;
    REQUIRE(tensor_kernels(device).convert != nullptr);
    for (const Shape& shape : shapes) {
      for (const Gap& g : gaps) f(device, shape, g);
    }
  }
}

}  // namespace

TEST_CASE("a fill on a device writes the CPU's bits and nothing between rows") {
  for_each_layout([](Device device, const Shape& shape, const Gap& g) {
    for (DType dtype : all_dtypes) {
      INFO(name_of(device) << " " << name_of(dtype) << " " << shape.str() << " gap " << g.gap);
      const Tensor whole = Tensor::zeros(shape.rank() ? shape.with(-1, shape[-1] + g.gap) : shape, dtype);
      const Tensor on_device = whole.to(device);
      for (const Tensor& t : {whole, on_device}) {
        (shape.rank() ? t.narrow_channels(g.offset, shape[-1]) : t).fill(7.3);
      }
      CHECK(same_bits(on_device, whole));
    }
  });
}

TEST_CASE("a conversion on a device gives the CPU's bits") {
  for_each_layout([](Device device, const Shape& shape, const Gap& g) {
    for (DType from : all_dtypes) {
      for (DType to : all_dtypes) {
        INFO(name_of(device) << " " << name_of(from) << " to " << name_of(to) << " " << shape.str() << " gap "
                             << g.gap);
        const Tensor host = numbers(shape, from, 5);
        CHECK(same_bits(view_of(host, device, g.offset, g.gap).to(to), host.to(to)));
        const Tensor target = view_of(Tensor::zeros(shape, to), device, g.offset, g.gap);
        target.copy_from(host.to(device));
        CHECK(same_bits(target, host.to(to)));
      }
    }
  });
}

TEST_CASE("f32 rounds to bf16 on a device as on the CPU") {
  Rng rng(3, 1);
  const Tensor host = Tensor::empty({1000});
  for (int64_t i = 0; i < host.numel(); ++i) host.data<float>()[i] = static_cast<float>(rng.normal());
  for (Device device : available_devices())
    CHECK(same_bits(host.to(device).to(DType::bf16), host.to(DType::bf16)));
}

TEST_CASE("a sum on a device gives the CPU's bits") {
  for_each_layout([](Device device, const Shape& shape, const Gap& g) {
    for (DType dtype : all_dtypes) {
      INFO(name_of(device) << " " << name_of(dtype) << " " << shape.str() << " gap " << g.gap);
      const Tensor a = numbers(shape, dtype, 5), b = numbers(shape, dtype, 6);
      const Tensor sum = view_of(a, device, g.offset, g.gap);
      tensor_kernels(device).add(sum, view_of(b, device, g.offset, g.gap));
      const Tensor wanted = Tensor::empty(shape, DType::f64);
      const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
      for (int64_t i = 0; i < wanted.numel(); ++i) {
        wanted.data<double>()[i] = x.data<double>()[i] + y.data<double>()[i];
      }
      CHECK(same_bits(sum, wanted.to(dtype)));
    }
  });
}

TEST_CASE("a NaN or an Inf is found on a device, wherever it stands, and nothing between rows is looked at") {
  for_each_layout([](Device device, const Shape& shape, const Gap& g) {
    for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      INFO(name_of(device) << " " << name_of(dtype) << " " << shape.str() << " gap " << g.gap);
      Tensor view = numbers(shape, dtype, 5).to(device);
      if (shape.rank() > 0 && g.gap > 0) {
        const Tensor wide = Tensor::full(shape.with(-1, shape[-1] + g.gap),
                                         std::numeric_limits<double>::quiet_NaN(), dtype, device);
        const Tensor middle = wide.narrow_channels(g.offset, shape[-1]);
        middle.copy_from(view);
        view = middle;
      }
      CHECK(all_finite(view));
      for (const double bad :
           {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
        for (const int64_t at : {int64_t{0}, shape.numel() / 2, shape.numel() - 1}) {
          if (shape.numel() == 0) continue;
          const Tensor host = numbers(shape, DType::f64, 5);
          host.data<double>()[at] = bad;
          view.copy_from(host.to(dtype));
          CHECK_FALSE(all_finite(view));
        }
      }
    }
  });
}
