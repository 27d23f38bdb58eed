#!/usr/bin/env bash
# Fuzzes every reader of untrusted files for SECONDS in all; the last line is "N passed, N failed".
#
#   scripts/fuzz.sh SECONDS [HARNESS...]     e.g. scripts/fuzz.sh 300, scripts/fuzz.sh 60 image label
#
# Builds tests/fuzz with Clang and libFuzzer into build/fuzz (three minutes of processor time at first) and gives each harness an equal share
# of SECONDS, JOBS (one per processor) at a time. One line per harness: inputs tried, edges of the program's graph that were reached,
# findings. A harness ends at its first finding; the input stays in build/fuzz/findings/HARNESS, what it says in build/fuzz/log/HARNESS.txt.
# The inputs that reached something new stay in build/fuzz/corpus, so a later run goes on from there. tests/fuzz/README.md says what to
# do with a finding.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-}"
[[ "$seconds" =~ ^[1-9][0-9]*$ ]] || { echo "usage: [JOBS=N] scripts/fuzz.sh SECONDS [HARNESS...]" >&2; exit 2; }
shift
all=()
for source in tests/fuzz/fuzz_*.cpp; do
  name="$(basename "$source" .cpp)"
  all+=("${name#fuzz_}")
done
harnesses=("${@:-${all[@]}}")
for harness in "${harnesses[@]}"; do
  [ -e "tests/fuzz/fuzz_$harness.cpp" ] || { echo "fuzz: no harness \"$harness\". There are: ${all[*]}" >&2; exit 2; }
done

scripts/install_deps.sh --fuzz
cmake --preset fuzz >&2
cmake --build --preset fuzz --target fuzz_seeds "${harnesses[@]/#/fuzz_}" >&2

export build=build/fuzz
jobs="${JOBS:-$(nproc)}"
share=$((seconds * (jobs < ${#harnesses[@]} ? jobs : ${#harnesses[@]}) / ${#harnesses[@]}))
export share=$((share > 0 ? share : 1))
# One thread, so that an input does the same every time.
export ATROUS_THREADS=1 UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}" ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"

one_harness() {
  local name="$1" status=0
  local findings="$build/findings/$name" log="$build/log/$name.txt" seeds="$build/tests/fuzz/seeds"
  mkdir -p "$build/log" "$build/corpus/$name" "$findings"
  local inputs=("$build/corpus/$name" "$seeds/corpus/$name")
  [ ! -d "tests/fuzz/findings/$name" ] || inputs+=("tests/fuzz/findings/$name")
  local options=(-max_total_time="$share" -max_len=20000 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 -print_final_stats=1
    -verbosity=1 -artifact_prefix="$findings/")
  [ ! -e "$seeds/dictionaries/$name.dict" ] || options+=(-dict="$seeds/dictionaries/$name.dict")
  nice -n 10 "$build/tests/fuzz/fuzz_$name" "${options[@]}" "${inputs[@]}" >"$log" 2>&1 || status=$?
  local runs edges found
  runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)"
  edges="$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d ' ' -f 2 || true)"
  found="$(grep -cE 'Test unit written to' "$log" || true)"
  if [ "$status" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
    echo "$name: passed, $runs inputs, ${edges:-?} edges, 0 findings"
  else
    echo "$name: FAILED, ${runs:-?} inputs, ${edges:-?} edges, $found findings, exit code $status: $log"
    grep -E 'FINDING|ERROR: |SUMMARY|runtime error|Test unit written' "$log" | cut -c 1-300 >&2 || true
  fi
}
export -f one_harness
summary="$(mktemp)"
trap 'rm -f "$summary"' EXIT
printf '%s\n' "${harnesses[@]}" | xargs -P "$jobs" -I{} bash -c 'one_harness {}' | tee "$summary"
passed=$(grep -c ': passed' "$summary" || true)
failed=$((${#harnesses[@]} - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
