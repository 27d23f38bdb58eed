#!/usr/bin/env bash
# Runs all ops and their device on the simulator under a sanitizer; the last line is "N passed, N failed".
#
#   scripts/sanitize.sh asan   AddressSanitizer and UndefinedBehaviorSanitizer: accesses out of bounds, uninitialised flags, overflows
#   scripts/sanitize.sh tsan   ThreadSanitizer: two threads of a simulated block touch the same memory with no barrier between them
#
# Presets asan and tsan compile with -O1, which halves the time of the build: ten minutes of processor time. Cases beyond MAX_FLOPS
# operations (1e6, with tsan 3e5) are left out: a checker slows the simulator some ten times, and small shapes have the same borders. Not
# smaller ones: nms and match_boxes get to their second tile above 2e5. BUDGET (900) is the longest, in seconds, that one op may take: with
# tsan most take under a minute of one core, conv2d, group_norm, optimizer_step, resize_cross_entropy and pointwise
# several.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { echo "usage: [MAX_FLOPS=$max_flops] [BUDGET=$budget] scripts/sanitize.sh asan|tsan [op...]" >&2; exit 2; }
preset="${1:-}"
budget="${BUDGET:-900}"
case "$preset" in
  asan) max_flops="${MAX_FLOPS:-1e6}" ;;
  tsan) max_flops="${MAX_FLOPS:-3e5}" ;;
  *) max_flops=1e6; usage ;;
esac
shift

scripts/install_deps.sh
cmake --preset "$preset" -DATROUS_CUDA=OFF -DATROUS_BUILD_TESTS=ON >&2
cmake --build --preset "$preset" --target op_tests core_tests >&2

# Every finding ends the program, so that it counts.
export ASAN_OPTIONS="halt_on_error=1:detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:${TSAN_OPTIONS:-}"

logs="build/$preset/sanitize"
rm -rf "$logs"
mkdir -p "$logs"
ops=("$@")
if [ ${#ops[@]} -eq 0 ]; then
  for cases in tests/kernels/*_cases.cpp; do ops+=("$(basename "$cases" _cases.cpp)"); done
fi

# One line per check: name, seconds, and what came of it.
one_check() {
  local name="$1" begin=$SECONDS status=0
  shift
  timeout "$budget" "$@" >"$logs/$name.log" 2>&1 || status=$?
  case $status in
    0) echo "$name: passed, $((SECONDS - begin)) s, $(tail -n 1 "$logs/$name.log")" ;;
    77) echo "$name: skipped, $(tail -n 1 "$logs/$name.log")" ;;
    124) echo "$name: FAILED, not done after $budget s (BUDGET)" ;;
    *) echo "$name: FAILED, exit code $status: $logs/$name.log"; tail -n 40 "$logs/$name.log" >&2 ;;
  esac
}
export -f one_check
export logs budget
program="build/$preset/tests/kernels/op_tests"
{
  echo "core build/$preset/tests/core_tests"
  for op in "${ops[@]}"; do echo "$op $program --op $op --device sim --max-flops $max_flops"; done
} | xargs -P "$(nproc)" -I{} bash -c 'one_check {}' | tee "$logs/summary.txt"

passed=$(grep -c ': passed' "$logs/summary.txt" || true)
failed=$((${#ops[@]} + 1 - passed - $(grep -c ': skipped' "$logs/summary.txt" || true)))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
