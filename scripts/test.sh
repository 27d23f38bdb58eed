#!/usr/bin/env bash
# Installs, builds and runs the test suite; the last line is "N passed, N failed".
#
#   scripts/test.sh            everything that needs no other framework (and the comparison with PyTorch if it is there); with nvcc
#                              the kernels for CUDA are built too, and their tests run if there is a GPU
#   scripts/test.sh --parity   installs PyTorch first, so that the comparison runs too
#   scripts/test.sh --fast     without the tests labelled slow
#   scripts/test.sh --no-cuda  as on a machine without nvcc
#   scripts/test.sh --cuda     compiles program, kernels and op tests with nvcc into build/cuda, and runs what CUDA may change: the
#                              runtime, some ops on the CPU and the simulator, every op on the GPU if there is one
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
select=()
configure=(-DATROUS_BUILD_TESTS=ON)
targets=()
peers=""
for argument in "$@"; do
  case "$argument" in
    --fast) select+=(-LE slow) ;;
    --parity) peers=--peers ;;
    --no-cuda) configure+=(-DATROUS_CUDA=OFF) ;;
    --cuda)
      preset=cuda
      targets=(--target atrous op_tests core_tests)
      select+=(-R '^(program\.doctor|core:.*|op\..*\.cuda|op\.(concat|gemm|softmax)(\.sim)?)$')
      ;;
    *) echo "usage: scripts/test.sh [--fast] [--parity] [--no-cuda | --cuda]" >&2; exit 2 ;;
  esac
done

scripts/install_deps.sh
if [ -n "$peers" ]; then
  scripts/install_deps.sh --peers || echo "PyTorch could not be installed: its comparisons will be skipped and counted as that" >&2
fi
cmake --preset "$preset" "${configure[@]}" >&2
cmake --build --preset "$preset" "${targets[@]}" >&2
[ "$preset" != cuda ] || scripts/ptxas_summary.sh build/cuda

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
status=0
ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "${select[@]}" 2>&1 | tee "$log" || status=$?

# What the checks of every op, device, dtype and implementation came to.
grep -hE '^[a-z0-9_]+ +(sim|cuda) +(f32|bf16) ' "build/$preset/Testing/Temporary/LastTest.log" || true

# ctest: "1/211 Test  #1: name ...   Passed  0.01 sec", "***Failed", "***Skipped", "***Timeout"
passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log" || true)
skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*Skipped' "$log" || true)
total=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#' "$log" || true)
failed=$((total - passed - skipped))
if [ "$total" -eq 0 ]; then
  echo "no test ran" >&2
  status=1
fi
if [ "$preset" = release ] && ! grep -qE 'parity\..* Passed' "$log"; then
  echo "the comparison with PyTorch did not run (scripts/test.sh --parity installs it)"
fi
if grep -qE 'op\..*\.cuda .*\*\*\*Skipped' "$log"; then echo "nothing ran on a GPU: none was found"; fi
if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$status" -eq 0 ]
