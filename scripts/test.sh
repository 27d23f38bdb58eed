#!/usr/bin/env bash
# Installs, builds and runs the test suite; the last line is "N passed, N failed".
#
#   scripts/test.sh            everything that needs no other framework (and the comparison with PyTorch if it is there)
#   scripts/test.sh --parity   installs PyTorch first, so that the comparison runs too
#   scripts/test.sh --fast     without the tests labelled slow
set -euo pipefail
cd "$(dirname "$0")/.."

filter=()
peers=""
for argument in "$@"; do
  case "$argument" in
    --fast) filter=(-LE slow) ;;
    --parity) peers=--peers ;;
    *) echo "usage: scripts/test.sh [--fast] [--parity]" >&2; exit 2 ;;
  esac
done

scripts/install_deps.sh
if [ -n "$peers" ]; then
  scripts/install_deps.sh --peers || echo "PyTorch could not be installed: its comparisons will be skipped and counted as that" >&2
fi
scripts/build.sh release -DATROUS_BUILD_TESTS=ON

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
status=0
ctest --test-dir build/release --output-on-failure -j "$(nproc)" "${filter[@]}" 2>&1 | tee "$log" || status=$?

# ctest: "1/211 Test  #1: name ...   Passed  0.01 sec", "***Failed", "***Skipped", "***Timeout"
passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log" || true)
skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*Skipped' "$log" || true)
total=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#' "$log" || true)
failed=$((total - passed - skipped))
if [ "$total" -eq 0 ]; then
  echo "no test ran" >&2
  status=1
fi
if ! grep -qE 'parity\..* Passed' "$log"; then echo "the comparison with PyTorch did not run (scripts/test.sh --parity installs it)"; fi
if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$status" -eq 0 ]
