#!/usr/bin/env bash
# Checks C++ and CUDA sources with the clang-format 14 and clang-tidy 14 of Debian 12 (another version has other opinions).
#
#   scripts/lint.sh format [BASE]    the lines changed since BASE are as .clang-format has them
#   scripts/lint.sh tidy [BASE]      clang-tidy (.clang-tidy) finds nothing in the .cpp files changed since BASE, and in those beside a
#                                    changed header of the same name; with --most N in no more than N of them, the last changed ones
#
# BASE, a commit, is by default where the branch left main, and on main five commits ago; changes that are not committed count.
# --all checks the tree instead, --fix (format) rewrites files, --build DIR (tidy) is where cmake wrote compile_commands.json.
# Exits with 1 for findings, and with 77 if the tool is not installed (scripts/install_deps.sh --lint).
set -euo pipefail
cd "$(dirname "$0")/.."
usage() {
  echo "usage: scripts/lint.sh format|tidy [BASE | --all] [--fix] [--build DIR] [--most N]" >&2
  exit 2
}

what="" base="" all="" fix="" build=build/release most=0
while [ $# -gt 0 ]; do
  case "$1" in
    format | tidy) [ -z "$what" ] || usage; what="$1" ;;
    --all) all=1 ;;
    --fix) fix=1 ;;
    --most) [ $# -ge 2 ] || usage; most="$2"; shift ;;
    --build) [ $# -ge 2 ] || usage; build="$2"; shift ;;
    -*) usage ;;
    *) [ -z "$base" ] || usage; base="$1" ;;
  esac
  shift
done
[ -n "$what" ] || usage

tool="clang-$what-14"
command -v "$tool" >/dev/null || { echo "lint: $tool is not installed (scripts/install_deps.sh --lint)"; exit 77; }
git rev-parse --git-dir >/dev/null 2>&1 || { echo "lint: this is not a git checkout"; exit 77; }

if [ -z "$all" ] && [ -z "$base" ]; then
  head=$(git rev-parse HEAD)
  for trunk in origin/main main; do
    base=$(git merge-base "$trunk" HEAD 2>/dev/null) && [ "$base" != "$head" ] && break
    base=""
  done
  # A clone without history has no older commit.
  [ -n "$base" ] || base=$(git rev-list --max-count=6 --first-parent HEAD | tail -n 1)
fi
sources=('*.cpp' '*.h' '*.cu' '*.cuh' '*.inc')

if [ "$what" = format ]; then
  if [ -n "$all" ]; then
    mode=(--dry-run -Werror)
    [ -z "$fix" ] || mode=(-i)
    git ls-files -z "${sources[@]}" | xargs -0 "$tool" "${mode[@]}"
    exit
  fi
  mode=()
  [ -z "$fix" ] || mode=(-i)
  wrong=$(git diff -U0 --no-color "$base" -- "${sources[@]}" |
    clang-format-diff-14 -p1 -binary "$tool" -iregex '.*\.(cpp|h|cu|cuh|inc)' "${mode[@]}")
  [ -z "$wrong" ] && exit
  echo "$wrong"
  echo "lint: lines changed since $(git rev-parse --short "$base") are not as clang-format has them (scripts/lint.sh format --fix)"
  exit 1
fi

[ -e "$build/compile_commands.json" ] || { echo "lint: no $build/compile_commands.json; configure with cmake first"; exit 1; }
if [ -n "$all" ]; then
  files=$(git ls-files '*.cpp')
else
  files=$(git diff --name-only --diff-filter=d "$base" -- '*.cpp' '*.h' | sed 's/\.h$/.cpp/' | sort -u)
fi
# What the build does not compile (harnesses for fuzzing, the example project) has no flags to check it with.
known=$(for file in $files; do ! grep -qF "\"file\": \"$PWD/$file\"" "$build/compile_commands.json" || echo "$file"; done)
[ -n "$known" ] || { echo "lint: no changed source"; exit 0; }
count=$(echo "$known" | wc -l)
if [ "$most" -gt 0 ] && [ "$count" -gt "$most" ]; then
  # A file takes about ten seconds.
  known=$(echo "$known" | xargs -I{} git log -1 --format='%ct {}' -- {} | sort -rn | head -n "$most" | cut -d' ' -f2)
  echo "lint: $most of $count changed sources are checked (all: scripts/lint.sh tidy)"
fi
check() {
  local found
  found=$("$1" -p "$2" --quiet --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unknown-pragmas "$3" 2>/dev/null) && return
  if grep -q "no type named 'source_location'" <<<"$found"; then
    echo "lint: $3 is not checked: clang 14 cannot read the std::source_location of libstdc++ 12"
    return
  fi
  echo "$found"
  return 1
}
export -f check
echo "$known" | xargs -P "$(nproc)" -I{} bash -c 'check "$@"' _ "$tool" "$build" {} || exit 1
echo "lint: $(echo "$known" | wc -l) files"
