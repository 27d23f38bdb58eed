// One list of cases drives the test suite, the gradient check and `atrous bench kernels`.
//
// tests/kernels/<op>_cases.cpp defines `void add_<op>_cases(CaseList&)`; the build collects them. An op must
// have at least one OpCase, one GradientCase (unless it declares itself not differentiable) and one
// BadInputCase.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/autograd.h"
#include "core/error.h"
#include "core/tensor.h"
#include "kernels/common/probe.h"

namespace atrous::cases {

enum class Fill {
  real,       // standard normal; in exact runs small integers instead
  positive,   // uniform in [0.5, 1.5); in exact runs 1 or 2
  distinct,   // a shuffled arithmetic progression, neighbours at least 0.02 apart: no ties for max pooling
  off_kink,   // standard normal pushed at least 0.1 away from 0; in exact runs non-zero small integers
  labels,     // i32 class labels in [0, classes), a tenth of them `ignore_label`
  unit,       // uniform in [0, 1)
  offset,     // 10000 plus standard normal: sums of squares would cancel
  boxes,      // [n, 4]: x1, y1, x2, y2; in exact runs small integers: boxes coincide, touch, share overlaps
  bad_boxes,  // the same, every seventh of them empty, inverted, infinite or NaN
};

// Members have initialisers so that designated ones may leave some out without a warning.
struct Input {
  Shape shape;
  Fill fill = Fill::real;
  int64_t classes = 0;  // for labels
  int64_t ignore_label = 255;
  bool differentiable = true;  // in GradientCase: whether gradients are checked for it
  // Per-channel vectors, statistics, weights of losses: f32 even where activations are bf16.
  bool parameter = false;
  bool bytes = false;  // labels, and the bytes of pictures, in u8 instead of i32
};

// One call of one entry point of an op.
struct OpCase {
  std::string op{};     // folder name: "conv2d"
  std::string entry{};  // "forward", "backward_input", ...
  // The problem in one line; `op_tests --case "<op>.<entry> <descriptor>"` runs it alone.
  std::string descriptor{};
  std::vector<Input> inputs{};
  // A pure function: kernel entry on these inputs, whatever their device. Floating inputs come in f32, in
  // bf16 (those that are no parameters) and, for the oracle, in f64.
  std::function<std::vector<Tensor>(const std::vector<Tensor>&)> run{};
  // Small-integer inputs must give the reference's bits. False only for ops with divisions or transcendental
  // functions.
  bool exact = true;
  // The op multiplies what it makes of its inputs (a prologue): not exact where factors are rounded.
  bool makes_factors = false;
  int64_t accumulation = 1;  // longest sum behind one output element: sets integer range and tolerance
  double flops = 0;          // multiply and add count as two
  double bytes = 0;          // compulsory traffic
  bool benchmark = false;    // real size: only `atrous bench kernels` runs it
  std::string network{};     // for benchmark cases: where this shape comes from, e.g. "unet32_256"
};

// Differentiable function against central differences in f64 (core/gradcheck.h).
struct GradientCase {
  std::string op{};
  std::string descriptor{};
  std::vector<Input> inputs{};
  std::function<Variable(const std::vector<Variable>&)> function{};
  double tolerance = 1e-6;
  bool ops_alone = true;  // false: the function itself reads inputs, which no Reach tells
};

// A call that must throw Error of this kind with this text in its message.
struct BadInputCase {
  std::string op{};
  std::string descriptor{};
  std::function<void()> call{};
  std::string expected_text{};
  ErrorKind kind = ErrorKind::usage;
};

// A variant of an entry, such as an operator of the pointwise ops: a case's descriptor must begin with it.
struct Variant {
  std::string entry;  // "pointwise.unary_forward"
  std::string name;   // "relu"
};

struct CaseList {
  std::vector<OpCase> cases;
  std::vector<Variant> variants;
  std::vector<GradientCase> gradients;
  std::vector<BadInputCase> bad_inputs;
  std::vector<std::string> not_differentiable;  // ops without gradients, by declaration
};

// All cases of all ops, in the order of the folder names (generated from the folders at configure time).
CaseList all_cases();
// Names of all op folders.
std::vector<std::string> all_ops();

using kernels::parameter_dtype;

// The inputs of a case, f32 on the CPU, filled as make_input says.
std::vector<Tensor> make_inputs(const OpCase& c, int exact_range, bool strided);

// The implementations of the case's entry on a device with activations of a dtype, best first. A case with
// nothing to compute, which does not get to its entry, has one of this name.
inline constexpr const char* no_implementation = "nothing";
std::vector<kernels::ImplementationInfo> implementations_of(const OpCase& c, Device device, DType dtype);

// Fills an input. `exact_range` > 0 asks for integers of at most that magnitude. `strided` gives a view whose
// pixel stride exceeds its channels, surrounded by NaN.
Tensor make_input(const Input& input, DType dtype, int exact_range, bool strided, uint64_t seed);

}  // namespace atrous::cases
