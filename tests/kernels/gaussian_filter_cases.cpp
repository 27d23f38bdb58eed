#include "kernels/gaussian_filter/gaussian_filter.h"

#include <limits>

#include "layers/gaussian_filter.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, const Shape& x, double sigma, bool factors = false, const char* network = "") {
  const kernels::GaussianFilterProblem p{x[0], x[1], x[2], x[3], sigma};
  OpCase c{.op = "gaussian_filter", .entry = "filter", .descriptor = p.str() + (factors ? " factors" : "")};
  c.inputs = {{.shape = x}};
  const Input per_pixel{.shape = {x[0], x[1], x[2]}, .fill = Fill::positive};
  if (factors) c.inputs.insert(c.inputs.end(), {per_pixel, per_pixel});
  c.run = [sigma, factors](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{factors ? kernels::gaussian_filter(in[0], sigma, in[1], in[2])
                                       : kernels::gaussian_filter(in[0], sigma)};
  };
  c.exact = false;  // exponentials
  // At most so many that are not 0.
  const auto taps = [=](int64_t extent) {
    return std::min(extent, 2 * static_cast<int64_t>(kernels::gaussian_taps(sigma, extent - 1).size()) - 1);
  };
  c.accumulation = taps(x[1]) * taps(x[2]);
  c.flops = 2.0 * static_cast<double>((taps(x[1]) + taps(x[2])) * x.numel());
  c.bytes = 8.0 * static_cast<double>(x.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "gaussian_filter", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor x = Tensor::zeros({1, 3, 4, 2});
  bad(
      "rows without an image",
      [] {
        kernels::gaussian_filter(Tensor::zeros({12, 2}), 3);
      },
      "needs a map [N, H, W, C] in f32, f64 or bf16. Got f32 [12, 2]");
  bad(
      "nothing", [] { kernels::gaussian_filter(Tensor(), 3); }, "Got nothing");
  bad(
      "no sigma", [=] { kernels::gaussian_filter(x, 0); }, "sigma must be above 0, in pixels. Got 0");
  bad(
      "infinite sigma", [=] { kernels::gaussian_filter(x, std::numeric_limits<double>::infinity()); },
      "Got inf");
  bad(
      "factors of another image",
      [=] {
        kernels::gaussian_filter(x, 3, {}, Tensor::zeros({3, 3}));
      },
      "`after` must have one factor per pixel");
  bad(
      "two devices", [=] { kernels::gaussian_filter(x, 3, Tensor::zeros({12}).to(Device::sim)); },
      "one device");
}

}  // namespace

void add_gaussian_filter_cases(CaseList& list) {
  for (bool factors : {false, true}) {
    add(list, {1, 1, 1, 1}, 3, factors);
    add(list, {2, 5, 7, 3}, 0.8, factors);
    add(list, {1, 19, 37, 21}, 3, factors);
  }
  add(list, {1, 40, 3, 2}, 3);  // more rows than taps
  add(list, {1, 3, 90, 5}, 2);
  add(list, {1, 9, 4, 1}, 0.05);    // one tap
  add(list, {1, 4, 5, 2}, 1e-30);   // whose square is 0 in f32
  add(list, {1, 6, 8, 4}, 1e6);     // as many as there are pixels, all of weight 1
  add(list, {1, 2, 2600, 1}, 500);  // more taps than a GPU's block keeps
  add(list, {0, 4, 4, 2}, 3);
  add(list, {1, 375, 500, 21}, 3, true, "dense_crf_500x375");
  for (bool factors : {false, true}) {
    const Input x{.shape = {1, 4, 5, 2}},
        per_pixel{.shape = {4, 5}, .fill = Fill::positive, .differentiable = false};
    list.gradients.push_back(
        {.op = "gaussian_filter",
         .descriptor = factors ? "factors" : "plain",
         .inputs = factors ? std::vector<Input>{x, per_pixel, per_pixel} : std::vector<Input>{x},
         .function = [factors](const std::vector<Variable>& in) {
           return factors ? layers::gaussian_filter(in[0], 1.5, in[1].value(), in[2].value())
                          : layers::gaussian_filter(in[0], 1.5);
         }});
  }
  add_bad_inputs(list);
}

}  // namespace atrous::cases
