#!/usr/bin/env bash
# What is too long for continuous integration (.ci/run): one line per part, the last line is "N passed, N failed".
#
#   scripts/nightly.sh [--part NAME]...
#
#   fuzz        scripts/fuzz.sh for FUZZ_SECONDS (300)
#   faults      the program under failing memory and files, full disks, kills and flipped bits: tests/faults, ten times as many as in the suite
#   mutations   scripts/mutate.py: deliberate changes of one constant or comparison, each of which must turn a test red
#   sanitize    scripts/sanitize.sh asan, then tsan
#   parity      scripts/parity.sh --all against the current PyTorch, torchvision, pycocotools ... of scripts/peers_venv.sh (a download of 3 GB)
#   recipes     scripts/recipes.py: every recipe with `expected` whose data are there (ATROUS_DATA_DIR, generated shapes) is trained again
#
# A part that cannot run here ends with exit code 77 and the reason as its last line: it is skipped, and counts neither way. Logs:
# build/nightly/NAME.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=(fuzz faults mutations sanitize parity recipes)
chosen=()
while [ $# -gt 0 ]; do
  if [ "$1" != --part ] || [ $# -lt 2 ] || [[ " ${parts[*]} " != *" $2 "* ]]; then
    echo "usage: scripts/nightly.sh [--part NAME]... with a NAME of: ${parts[*]}" >&2
    exit 2
  fi
  chosen+=("$2")
  shift 2
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${parts[@]}")

skip() { echo "$1"; exit 77; }
release() { scripts/build.sh release -DATROUS_BUILD_TESTS=ON -DATROUS_CUDA=OFF; }

part_fuzz() { scripts/fuzz.sh "${FUZZ_SECONDS:-300}"; }
part_faults() {
  release
  tests/faults/faults.py --atrous build/release/cli/atrous --shim build/release/tests/faults/fault_shim.so --full
}
part_mutations() { scripts/mutate.py; }
part_sanitize() {
  scripts/sanitize.sh asan
  scripts/sanitize.sh tsan
}
part_parity() {
  release
  scripts/peers_venv.sh || skip "the current packages could not be installed"
  scripts/parity.sh .venv-peers/bin/python --all
}
part_recipes() {
  release
  scripts/recipes.py
}

logs=build/nightly
mkdir -p "$logs"
lines=() passed=0 failed=0
for part in "${chosen[@]}"; do
  echo "nightly: $part" >&2
  begin=$SECONDS status=0
  # A shell of its own, so that the first command that fails ends the part and not this script.
  (set -e; "part_$part") >"$logs/$part.txt" 2>&1 &
  wait $! || status=$?
  took="$((SECONDS - begin)) s"
  last="$(tail -n 1 "$logs/$part.txt")"
  case $status in
    0) passed=$((passed + 1)); lines+=("$part: passed, $took, $last") ;;
    77) lines+=("$part: skipped, $took, $last") ;;
    *) failed=$((failed + 1)); lines+=("$part: FAILED, $took, exit code $status: $logs/$part.txt"); tail -n 20 "$logs/$part.txt" >&2 ;;
  esac
done
printf '%s\n' "${lines[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
