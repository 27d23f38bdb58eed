#!/usr/bin/env bash
# detect.sh PROGRAM race|address: a sanitizer names the line of every broken kernel that it is for, and is silent about the kernels
# without the mistake. PROGRAM is run_example, built with that sanitizer.
set -uo pipefail
program=$1 kind=$2
source="$(dirname "$0")/broken_kernels.cu"
case $kind in
  race) words="ThreadSanitizer: data race" ;;
  address) words="ERROR: AddressSanitizer" ;;
  *) exit 2 ;;
esac
export TSAN_OPTIONS="atexit_sleep_ms=0" ASAN_OPTIONS="detect_leaks=0" UBSAN_OPTIONS="print_stacktrace=1"
bad=0 checked=0
for name in $("$program" list "$kind"); do
  checked=$((checked + 1))
  line=$(grep -n "// here: $name\$" "$source" | cut -d: -f1)
  output=$("$program" "$name" broken 2>&1)
  if [ -z "$line" ] || ! grep -q "$words" <<<"$output" || ! grep -q "broken_kernels.cu:$line\b" <<<"$output"; then
    printf '%s: no report of "%s" at line %s. Got:\n%s\n' "$name" "$words" "${line:-?: no \"here:\" marks it}" "$(head -40 <<<"$output")"
    bad=1
  fi
  if ! output=$("$program" "$name" correct 2>&1) || [ -n "$output" ]; then
    printf '%s without the mistake is reported:\n%s\n' "$name" "$(head -40 <<<"$output")"
    bad=1
  fi
done
echo "$checked kernels"
[ "$checked" -gt 0 ] || bad=1
exit $bad
