#include "kernels/reduce/reduce.h"

#include "kernels/common/dispatch.h"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {
namespace {

const char* only_f32(const ReduceProblem& problem) {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
}

constexpr Implementation<ReduceProblem, ReduceFn> table[] = {
    ATROUS_ON_GPU("blocks", why_not_f64, reduce_sum_blocks),
    ATROUS_ON_GPU("naive", why_not_f64, reduce_sum_naive),
    {"cpu", Device::cpu, only_f32, reduce_sum_cpu},
    {"ref", Device::cpu, why_not_bf16, reduce_sum_ref},
};

}  // namespace

std::string ReduceProblem::str() const {
  return fmt::format("{} {} factor {}", name_of(dtype), shape.str(), factor);
}

void reduce_sum(const Tensor& x, double factor, const Tensor& result) {
  ATROUS_CHECK(x.defined() && is_floating(x.dtype()), ErrorKind::usage,
               "[reduce] the input must be f32, f64 or bf16. Got {}.", x.describe());
  const DType dtype = parameter_dtype(x.dtype());
  ATROUS_CHECK(result.defined() && result.numel() == 1 && result.dtype() == dtype, ErrorKind::usage,
               "[reduce] the result must be one {}. Got {}.", name_of(dtype), result.describe());
  check_same_device("reduce", {x, result});
  dispatch("reduce", "reduce.sum", table, ReduceProblem{x.shape(), x.dtype(), factor}, {result}, x, result);
  result.bump_version();
}

std::vector<std::string> reduce_candidates(std::string_view entry, const ReduceProblem& problem,
                                           Device device) {
  if (entry == "sum") return candidates(table, problem, device);
  unknown_entry("reduce", entry);
}

}  // namespace atrous::kernels
