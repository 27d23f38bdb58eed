#include "kernels/transpose/transpose.h"

#include "kernels/common/entry.h"
#include "kernels/transpose/transpose_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<TransposeProblem, TransposeFn> forward{
    "transpose.forward",
    {
        ATROUS_ON_GPU("tiled", always, transpose_tiled, exact_values),
        ATROUS_ON_GPU("naive", always, transpose_naive, exact_values),
        {"blocks", Device::cpu, always, transpose_blocks, exact_values},
        {"ref", Device::cpu, always, transpose_ref, exact_values},
    },
    reach_whole};

}  // namespace

std::string TransposeProblem::str() const {
  return fmt::format("{} of {}x{} {}", matrices, rows, columns, name_of(dtype));
}

Tensor transpose(const Tensor& x) {
  ATROUS_CHECK(x.defined() && x.rank() >= 2, ErrorKind::usage,
               "[transpose] needs two axes or more to swap the last two. Got {}.", x.describe());
  const int64_t rows = x.dim(-2), columns = x.dim(-1);
  const Tensor y = Tensor::empty(x.shape().with(-2, columns).with(-1, rows), x.dtype(), x.device());
  if (y.numel() > 0)
    forward(TransposeProblem{y.numel() / (rows * columns), rows, columns, x.dtype()}, x, writes(y));
  return y;
}

EntryList transpose_entries() {
  return {&forward};
}

}  // namespace atrous::kernels
