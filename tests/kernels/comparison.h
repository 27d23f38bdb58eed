// How op_tests compares what an implementation gives with what it should.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/common/implementation.h"

namespace atrous::cases {

// The one tolerance table: relative to the largest reference value, by length of the sum. The inputs are
// exact in what the implementation multiplies, so that this itself does not matter; the output's dtype does.
double tolerance(DType output, int64_t accumulation, const kernels::ImplementationInfo& implementation);

// "" or the first difference. `relative` says by how much of the largest value an output of a dtype may
// differ; 0 asks for the bits of the reference, rounded once to the dtype of the output.
using Allowed = std::function<double(DType)>;
inline const Allowed bit_for_bit = [](DType) { return 0.0; };
std::string compare(const std::vector<Tensor>& got, const std::vector<Tensor>& want, const Allowed& relative);

// "" or which output differs between two runs that only the scheduler told apart. All contiguous and on the
// CPU.
std::string compare_schedules(const std::vector<Tensor>& first, const std::vector<Tensor>& second);

}  // namespace atrous::cases
