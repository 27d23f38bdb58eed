#include "kernels/transpose/transpose.h"

#include "kernels/common/dispatch.h"
#include "kernels/transpose/transpose_impl.h"

namespace atrous::kernels {
namespace {

constexpr Implementation<TransposeProblem, TransposeFn> table[] = {
    ATROUS_ON_GPU("tiled", always, transpose_tiled),
    ATROUS_ON_GPU("naive", always, transpose_naive),
    {"blocks", Device::cpu, always, transpose_blocks},
    {"ref", Device::cpu, always, transpose_ref},
};

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
    dispatch("transpose", "transpose.forward", table,
             TransposeProblem{y.numel() / (rows * columns), rows, columns, x.dtype()}, {y}, x, y);
  return y;
}

std::vector<std::string> transpose_candidates(std::string_view entry, const TransposeProblem& problem,
                                              Device device) {
  if (entry == "forward") return candidates(table, problem, device);
  unknown_entry("transpose", entry);
}

}  // namespace atrous::kernels
