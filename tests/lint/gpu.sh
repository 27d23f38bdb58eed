#!/usr/bin/env bash
# What only nvcc understands stays in kernels/gpu/*.h, so that every .cu also compiles for the simulator (kernels/sim, which gives the
# same names to the host compiler). Prints every offence; exits 1 if there is one. `gpu.sh DIR` checks another tree.
set -uo pipefail
cd "${1:-$(dirname "$0")/../..}"
# Comments may name what code may not.
strip_comments() { sed -E 's@//.*$@@' "$1"; }
mapfile -t files < <(find core kernels layers nets data eval train cli tests -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh' \) -not -path 'kernels/sim/*' 2>/dev/null)
if [ "${#files[@]}" -eq 0 ]; then
  echo "0 files checked"
  exit 1
fi
bad=0
offences() {  # file, pattern, what to do instead
  local lines
  if lines=$(strip_comments "$1" | grep -nE "$2"); then
    sed "s@^@$1:@" <<<"$lines"
    echo "    $3"
    bad=1
  fi
}
# Most files hold none of these words at all.
for file in $(grep -lE '__CUDA_ARCH__|cooperative_groups|<<<|__shared__|asm|#.*include.*(cuda|cublas|mma|nvtx3)' "${files[@]}"); do
  # Rounding to bf16, and products that are not contracted: one instruction on a GPU, with the bits of the formula beside it.
  [ "$file" = core/dtype.h ] || [ "$file" = kernels/common/rounded.h ] && continue
  offences "$file" '__CUDA_ARCH__' 'a kernel is the same on every device: no __CUDA_ARCH__'
  offences "$file" '(cooperative_groups|cooperative_groups\.h)' 'use kernels/gpu/block.h'
  case $file in
    kernels/gpu/*.h) continue ;;
    # The device runtime and the wrapper of cuBLAS are plain host code.
    core/device_cuda.cpp | kernels/gpu/*.cpp) ;;
    *)
      offences "$file" '#[[:space:]]*include[[:space:]]*[<"](cuda[_a-z0-9]*|cublas[_a-zA-Z0-9]*|mma|nvtx3/[^>"]*)\.h(pp)?[>"]' \
        'CUDA headers belong in kernels/gpu and core/device_cuda.cpp'
      ;;
  esac
  case $file in
    *.cu | *.cuh | kernels/*.h | core/*.h)
      offences "$file" '<<<' 'use launch<kernel>({grid, block, shared}, arguments...)'
      offences "$file" '\b__shared__\b' 'use ATROUS_SHARED or ATROUS_DYNAMIC_SHARED'
      offences "$file" '\b(asm|__asm__)\b' 'put the instruction into kernels/gpu/*.h, and what it does into kernels/sim'
      ;;
  esac
done
for file in "${files[@]}"; do
  case $file in kernels/*.cu | kernels/*.cuh) ;; *) continue ;; esac
  if ! grep -qE '^namespace [a-z0-9_:]*ATROUS_GPU \{' "$file"; then
    echo "$file: no code in a namespace that ends in ATROUS_GPU: nvcc and the simulator would define the same names"
    bad=1
  fi
done
exit $bad
