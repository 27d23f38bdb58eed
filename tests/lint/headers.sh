#!/usr/bin/env bash
# Every header compiles alone. $1: the compiler.
set -uo pipefail
cd "$(dirname "$0")/../.."
compiler="${1:-g++}"
headers=$(find core kernels layers nets data eval train cli -name '*.h')
[ -n "$headers" ] || { echo "0 headers found"; exit 1; }
check() {
  printf '#include "%s"\n' "$2" | "$1" -std=c++20 -fsyntax-only -Wall -Wextra -I. -x c++ - || { echo "$2 does not compile alone"; return 1; }
}
export -f check
echo "$headers" | xargs -P 2 -I{} bash -c 'check "$@"' _ "$compiler" {}
