#include "tests/kernels/op_case.h"

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/random.h"

namespace atrous::cases {
namespace {

double draw(const Input& input, int exact_range, Rng& rng) {
  if (exact_range > 0) {
    switch (input.fill) {
      case Fill::positive: return static_cast<double>(rng.integer(1, 2));
      case Fill::off_kink: {
        const auto v = static_cast<double>(rng.integer(1, exact_range));
        return rng.coin(0.5) ? v : -v;
      }
      case Fill::unit: return static_cast<double>(rng.integer(0, 1));
      default: return static_cast<double>(rng.integer(-exact_range, exact_range));
    }
  }
  switch (input.fill) {
    case Fill::positive: return rng.uniform(0.5, 1.5);
    case Fill::off_kink: {
      const double v = rng.normal();
      return v + (v < 0 ? -0.1 : 0.1);
    }
    case Fill::unit: return rng.uniform();
    case Fill::offset: return 10000 + rng.normal();
    default: return rng.normal();
  }
}

// The k-th way in which a box can be wrong.
void spoil(std::array<double, 4>& b, int64_t k) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (k % 6) {
    case 0: b[2] = b[0]; break;                          // no width
    case 1: b[3] = b[1] - 5; break;                      // inverted
    case 2: b[static_cast<size_t>(k % 4)] = nan; break;  // one coordinate
    case 3: b[2] = b[3] = infinity; break;               // no end
    case 4: b = {nan, nan, nan, nan}; break;             // nothing
    default: b[0] = b[1] = -infinity; break;
  }
}

std::array<double, 4> draw_box(const Input& input, int exact_range, Rng& rng, int64_t index) {
  std::array<double, 4> b;
  if (exact_range > 0) {
    b = {static_cast<double>(rng.integer(0, 9)), static_cast<double>(rng.integer(0, 9)),
         static_cast<double>(rng.integer(1, 4)), static_cast<double>(rng.integer(1, 4))};
  } else {
    b = {rng.uniform(0, 1000), rng.uniform(0, 1000), rng.uniform(20, 400), rng.uniform(20, 400)};
  }
  b[2] += b[0];
  b[3] += b[1];
  if (input.fill == Fill::bad_boxes && index % 7 == 3) spoil(b, index / 7);
  return b;
}

}  // namespace

std::vector<Tensor> make_inputs(const OpCase& c, int exact_range, bool strided) {
  std::vector<Tensor> result;
  uint64_t seed = 17;
  for (const Input& spec : c.inputs)
    result.push_back(make_input(spec, DType::f32, exact_range, strided, seed++));
  return result;
}

using kernels::ImplementationInfo;

std::vector<ImplementationInfo> implementations_of(const OpCase& c, Device device, DType dtype) {
  std::vector<Tensor> inputs = make_inputs(c, 0, false);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() == DType::f32 && !c.inputs[i].parameter) inputs[i] = inputs[i].to(dtype);
    inputs[i] = inputs[i].to(device);
  }
  const ImplementationInfo none{no_implementation, device, kernels::Accuracy::exact, true, false, nullptr};
  return kernels::able_implementations(c.op + "." + c.entry, [&] { c.run(inputs); })
      .value_or(std::vector<ImplementationInfo>{none});
}

Tensor make_input(const Input& input, DType dtype, int exact_range, bool strided, uint64_t seed) {
  Rng rng(seed, 0xca5e);
  const bool labels = input.fill == Fill::labels;
  Tensor t;
  if (strided && !labels && input.shape.rank() >= 2) {
    const int64_t c = input.shape[-1];
    const Tensor wide =
        Tensor::full(input.shape.with(-1, c + 5), std::numeric_limits<double>::quiet_NaN(), dtype);
    t = wide.narrow_channels(3, c);
  } else {
    t = Tensor::empty(input.shape, labels ? DType::i32 : dtype);
  }
  std::vector<int64_t> order;
  if (input.fill == Fill::distinct) {
    order.resize(static_cast<size_t>(t.numel()));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = t.numel() - 1; i > 0; --i)
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(rng.integer(0, i))]);
  }
  const bool boxes = input.fill == Fill::boxes || input.fill == Fill::bad_boxes;
  const int64_t c = t.channels();
  for (int64_t p = 0; p < t.pixels(); ++p) {
    const auto box = boxes ? draw_box(input, exact_range, rng, p) : std::array<double, 4>{};
    for (int64_t k = 0; k < c; ++k) {
      const int64_t at = p * t.pixel_stride() + k;
      if (labels) {
        t.data<int32_t>()[at] =
            static_cast<int32_t>(rng.coin(0.1) ? input.ignore_label : rng.integer(0, input.classes - 1));
        continue;
      }
      double v = 0;
      if (boxes) {
        v = box[static_cast<size_t>(k)];
      } else if (input.fill == Fill::distinct) {
        const int64_t middle = t.numel() / 2;
        const auto rank = static_cast<double>(order[static_cast<size_t>(p * c + k)] - middle);
        v = exact_range > 0 ? rank : 0.02 * rank;
      } else {
        v = draw(input, exact_range, rng);
      }
      if (dtype == DType::f32)
        t.data<float>()[at] = static_cast<float>(v);
      else
        t.data<double>()[at] = v;
    }
  }
  return input.bytes ? t.to(DType::u8) : t;
}

}  // namespace atrous::cases
