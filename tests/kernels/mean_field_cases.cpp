#include "kernels/mean_field/mean_field.h"

#include <limits>

#include "kernels/softmax/softmax.h"
#include "tests/kernels/lattice_input.h"

namespace atrous::cases {
namespace {

using kernels::MeanFieldProblem;
using kernels::MeanFieldTerm;

// `kinds` as in MeanFieldProblem::kernels, without blanks.
void add_update(CaseList& list, int64_t points, int64_t channels, const std::string& kinds,
                const char* network = "") {
  const LatticeInput input(points, 5, 3);
  const MeanFieldProblem p{points, channels, kinds};
  OpCase c{.op = "mean_field", .entry = "update", .descriptor = p.str()};
  c.inputs = {{.shape = {points, channels}, .parameter = true}};
  for (size_t i = 0; i < kinds.size(); i += 2) {
    const bool sliced = kinds[i] == 'l';  // there are never more vertices than corners
    c.inputs.push_back({.shape = {sliced ? points * 6 : points, channels}, .parameter = true});
    const Shape costs = kinds[i + 1] == 's'   ? Shape{1}
                        : kinds[i + 1] == 'd' ? Shape{channels}
                                              : Shape{channels, channels};
    c.inputs.push_back({.shape = costs, .parameter = true});
  }
  c.run = [input, kinds](const std::vector<Tensor>& in) {
    std::vector<MeanFieldTerm> terms;
    for (size_t i = 0; i < kinds.size(); i += 2) {
      if (kinds[i] == 'l') {
        terms.push_back({.lattice = input.like(in[0]),
                         .vertex_values = in[i + 1].narrow_batch(0, input.lattice().vertices),
                         .compatibility = in[i + 2]});
      } else {
        terms.push_back({.filtered = in[i + 1], .compatibility = in[i + 2]});
      }
    }
    return std::vector<Tensor>{kernels::mean_field_update(in[0], terms)};
  };
  c.exact = false;  // exponentials
  // Rounding errors of the exponents come out as relative errors of the probabilities.
  c.accumulation = 6 * channels * (1 + static_cast<int64_t>(kinds.size()));
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

// Probabilities: the softmax of the input.
void add_unary(CaseList& list, const Shape& shape) {
  const MeanFieldProblem p{shape.numel() / shape[-1], shape[-1]};
  OpCase c{.op = "mean_field", .entry = "unary", .descriptor = p.str()};
  c.inputs = {{.shape = shape, .parameter = true}};
  c.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::mean_field_unary(kernels::softmax_forward(in[0]))};
  };
  c.exact = false;
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const std::string& what, std::function<void()> call, const char* text,
                       ErrorKind kind = ErrorKind::usage) {
    list.bad_inputs.push_back({.op = "mean_field",
                               .descriptor = what,
                               .call = std::move(call),
                               .expected_text = text,
                               .kind = kind});
  };
  const Tensor u = Tensor::zeros({4, 3}), one = Tensor::full({1}, 1);
  const LatticeInput input(4, 2, 3);
  bad(
      "no pixels",
      [] {
        kernels::mean_field_unary(Tensor::zeros({0, 4, 3}));
      },
      "An image without pixels has nothing to refine");
  bad(
      "one class",
      [] {
        kernels::mean_field_unary(Tensor::full({4, 1}, 1));
      },
      "[mean_field_unary] there is nothing to decide with one class. Got probabilities f32 [4, 1]");
  bad(
      "integers",
      [] {
        kernels::mean_field_unary(Tensor::zeros({4, 3}, DType::u8));
      },
      "Got u8 [4, 3]");
  for (Device device : {Device::cpu, Device::sim}) {
    const auto spoiled = [=](float value) {
      const Tensor p = Tensor::full({2, 5, 4}, 0.25);
      p.data<float>()[4 * 6 + 2] = value;
      p.data<float>()[4 * 8 + 1] = value;
      kernels::mean_field_unary(p.to(device));
    };
    const std::string on = std::string(" on ") + name_of(device);
    bad(
        "sum" + on, [=] { spoiled(0.27f); }, "Got a sum of 1.02", ErrorKind::data);
    bad(
        "negative" + on, [=] { spoiled(-0.25f); },
        "Got a sum of 0.5 and a least value of -0.25 at pixel 6 of 10", ErrorKind::data);
    bad(
        "NaN" + on, [=] { spoiled(std::numeric_limits<float>::quiet_NaN()); },
        "a least value of nan at pixel 6", ErrorKind::data);
  }
  bad(
      "five kernels",
      [=] {
        kernels::mean_field_update(u, std::vector<MeanFieldTerm>(5, {.filtered = u, .compatibility = one}));
      },
      "takes up to 4 kernels. Got 5");
  bad(
      "filtered values of other classes",
      [=] {
        kernels::mean_field_update(u, {{.filtered = Tensor::zeros({4, 2}), .compatibility = one}});
      },
      "must be like the unary, 4 rows of 3 classes in f32. Got f32 [4, 2]");
  bad(
      "compatibility of other classes",
      [=] { kernels::mean_field_update(u, {{.filtered = u, .compatibility = Tensor::zeros({2})}}); },
      "a compatibility must be [1], [3] or [3, 3] in f32: a factor, one per class or a matrix. Got f32 [2]");
  bad(
      "lattice without values",
      [=] { kernels::mean_field_update(u, {{.lattice = input.lattice(), .compatibility = one}}); },
      "Got a lattice of 4 points");
  bad(
      "two devices",
      [=] { kernels::mean_field_update(u, {{.filtered = u.to(Device::sim), .compatibility = one}}); },
      "one device");
}

}  // namespace

void add_mean_field_cases(CaseList& list) {
  for (int64_t channels : {2, 5, 8, 16, 19, 21, 33, 64, 70, 150}) {
    add_update(list, 37, channels, "fsls");
    add_update(list, 37, channels, "lm");
    add_unary(list, {3, 43, channels});
  }
  add_update(list, 150, 21, "");
  add_update(list, 150, 21, "fd");
  add_update(list, 150, 3, "fmldls");
  add_update(list, 1, 21, "fmldlsfs");
  add_update(list, 3000, 4, "ls");
  add_update(list, 187500, 21, "fsls", "dense_crf_500x375");
  list.not_differentiable.push_back("mean_field");
  add_bad_inputs(list);
}

}  // namespace atrous::cases
