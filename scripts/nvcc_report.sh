#!/usr/bin/env bash
# Launcher that CMake puts before nvcc: keeps what ptxas says about every kernel, and the processor time nvcc took, beside the object
# (<object>.ptxas), and shows only the rest, so that a warning is not lost in thousands of lines. scripts/ptxas_summary.sh reads them.
set -uo pipefail
object=""
previous=""
for argument in "$@"; do
  [ "$previous" = "-o" ] && object="$argument"
  previous="$argument"
done
[ -n "$object" ] || exec "$@"

report="$object.ptxas"
TIMEFORMAT='nvcc seconds %U %S'
seconds="$( { time "$@" >"$report" 2>&1; } 2>&1)"
status=$?
grep -vE '^(ptxas info|    [0-9]+ bytes stack frame| *$)' "$report" >&2
echo "$seconds" >>"$report"
exit "$status"
