#include "kernels/reduce/reduce.h"

#include "kernels/common/dispatch.h"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const ReduceProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<ReduceProblem, ReduceFn> table[] = {
    {"cpu", Device::cpu, only_f32, reduce_sum_cpu},
    {"ref", Device::cpu, always, reduce_sum_ref},
};

}  // namespace

std::string ReduceProblem::str() const {
  return fmt::format("{} {} factor {}", name_of(dtype), shape.str(), factor);
}

void reduce_sum(const Tensor& x, double factor, const Tensor& result) {
  ATROUS_CHECK(x.defined() && (x.dtype() == DType::f32 || x.dtype() == DType::f64), ErrorKind::usage,
               "[reduce] the input must be f32 or f64. Got {}.", x.describe());
  ATROUS_CHECK(result.defined() && result.numel() == 1 && result.dtype() == x.dtype(), ErrorKind::usage,
               "[reduce] the result must be one {}. Got {}.", name_of(x.dtype()), result.describe());
  dispatch("reduce", "reduce.sum", table, ReduceProblem{x.shape(), x.dtype(), factor}, {result}, x, result);
  result.bump_version();
}

std::vector<std::string> reduce_candidates(std::string_view entry, const ReduceProblem& problem,
                                           Device device) {
  if (entry == "sum") return candidates(table, problem, device);
  unknown_entry("reduce", entry);
}

}  // namespace atrous::kernels
