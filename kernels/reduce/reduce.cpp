#include "kernels/reduce/reduce.h"

#include "kernels/common/entry.h"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<ReduceProblem, ReduceFn> sum{"reduce.sum",
                                             {
                                                 ATROUS_ON_GPU("blocks", f32_or_bf16, reduce_sum_blocks),
                                                 ATROUS_ON_GPU("naive", f32_or_bf16, reduce_sum_naive),
                                                 {"cpu", Device::cpu, f32_only, reduce_sum_cpu},
                                                 {"ref", Device::cpu, f32_or_f64, reduce_sum_ref},
                                             }};

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
  sum(ReduceProblem{x.shape(), x.dtype(), factor}, x, writes(result));
}

EntryList reduce_entries() {
  return {&sum};
}

}  // namespace atrous::kernels
