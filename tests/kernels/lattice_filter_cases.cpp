#include "kernels/lattice_filter/lattice_filter.h"

#include "layers/lattice_filter.h"
#include "tests/kernels/lattice_input.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, int64_t points, int64_t dims, int64_t channels, double spread,
         const char* network = "") {
  const LatticeInput input(points, dims, spread);
  OpCase c{.op = "lattice_filter", .entry = "splat_blur"};
  c.exact = false;  // the weights are fractions
  c.accumulation = points;
  c.benchmark = *network != 0;
  c.network = network;
  for (int variant = 0; variant < 4; ++variant) {
    const bool transposed = variant % 2, walks = variant >= 2;
    c.descriptor = fmt::format("n{} d{} c{} spread {}{}{}", points, dims, channels, spread,
                               transposed ? " transposed" : "", walks ? " walks" : "");
    c.inputs = {{.shape = {points, channels}, .parameter = true}};  // CRFs are f32 on a GPU
    c.run = [input, transposed, walks](const std::vector<Tensor>& in) {
      const kernels::Lattice lattice = input.like(in[0]);
      return std::vector<Tensor>{kernels::lattice_splat_blur(
          walks ? kernels::lattice_with_walks(lattice) : lattice, in[0], transposed)};
    };
    list.cases.push_back(c);
  }
  c.entry = "slice";
  c.descriptor = fmt::format("n{} d{} c{} spread {}", points, dims, channels, spread);
  // There are never more vertices than corners.
  c.inputs = {{.shape = {points * (dims + 1), channels}, .parameter = true}};
  c.run = [input](const std::vector<Tensor>& in) {
    const Tensor v = in[0].narrow_batch(0, input.lattice().vertices);
    return std::vector<Tensor>{kernels::lattice_slice(input.like(v), v)};
  };
  c.accumulation = dims + 1;
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  const LatticeInput input(5, 2, 3);
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "lattice_filter", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  bad(
      "no lattice",
      [] {
        kernels::lattice_filter({}, Tensor::zeros({5, 2}));
      },
      "[lattice_splat_blur] the lattice is empty");
  bad(
      "another number of points",
      [=] {
        kernels::lattice_filter(input.lattice(), Tensor::zeros({6, 2}));
      },
      "needs 5 rows of channels in f32, as the lattice has it. Got f32 [6, 2]");
  bad(
      "values in double",
      [=] {
        kernels::lattice_filter(input.lattice(), Tensor::zeros({5, 2}, DType::f64));
      },
      "Got f64 [5, 2]");
  bad(
      "slice of points",
      [=] {
        kernels::lattice_slice(input.lattice(), Tensor::zeros({5, 2}));
      },
      "[lattice_slice] needs");
  bad(
      "two devices",
      [=] {
        kernels::lattice_filter(input.lattice(), Tensor::zeros({5, 2}).to(Device::sim));
      },
      "one device");
}

}  // namespace

void add_lattice_filter_cases(CaseList& list) {
  add(list, 1, 2, 1, 1);
  add(list, 60, 2, 3, 4);
  add(list, 300, 5, 21, 3);
  add(list, 40, 8, 19, 0.5);     // many points at the same vertices
  add(list, 257, 3, 8, 20);      // hardly a neighbour
  add(list, 50, 4, 150, 2);      // more channels than some registers hold
  add(list, 2000, 5, 2, 0.001);  // all points in a simplex
  add(list, 187500, 5, 21, 10, "dense_crf_500x375");
  list.gradients.push_back({.op = "lattice_filter",
                            .descriptor = "values",
                            .inputs = {{.shape = {2, 6, 3}}},
                            .function = [input = LatticeInput(12, 3, 2)](const std::vector<Variable>& in) {
                              return layers::lattice_filter(input.like(in[0].value()), in[0]);
                            }});
  add_bad_inputs(list);
}

}  // namespace atrous::cases
