#!/usr/bin/env bash
# Runs every parity script with one Python and prints a table (Markdown): versions, counts, largest differences.
#
#   scripts/parity.sh PYTHON [--all] [--build FOLDER] [NAME...]
#
# PYTHON is /usr/bin/python3 for Debian's packages, .venv-peers/bin/python for the current ones (scripts/peers_venv.sh). --all adds what
# is too long for continuous integration: networks at full size, thousands of random sets. NAMEs (nets, coco, ...) choose some scripts.
# FOLDER is build/release unless given, with the targets atrous, box_ops, roi_ops, crf_ops and size_rules. A script whose packages are
# not there is counted as skipped. Logs: FOLDER/parity/. Exit code 1 if one failed, or none ran.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  echo "usage: scripts/parity.sh PYTHON [--all] [--build FOLDER] [NAME...]" >&2
  exit 2
}
[ $# -ge 1 ] && [[ "$1" != -* ]] || usage
python="$1"
shift
all=0 build=build/release names=()
while [ $# -gt 0 ]; do
  case "$1" in
    --all) all=1 ;;
    --build) [ $# -ge 2 ] || usage; build="$2"; shift ;;
    -*) usage ;;
    *) names+=("$1") ;;
  esac
  shift
done
command -v "$python" >/dev/null || { echo "parity: no such program: $python" >&2; exit 2; }
for program in cli/atrous tests/box_ops tests/roi_ops tests/crf_ops tests/size_rules; do
  [ -x "$build/$program" ] || { echo "parity: $build/$program is not built (cmake --build $build --target $(basename "$program"))" >&2; exit 2; }
done
known=(sizes boxes roi crf coco weights imagenet features nets train detection)
[ ${#names[@]} -gt 0 ] || names=("${known[@]}")
for name in "${names[@]}"; do
  [[ " ${known[*]} " == *" $name "* ]] || { echo "parity: no script named $name; there are: ${known[*]}" >&2; exit 2; }
done

logs="$build/parity/$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-" + (sys.prefix == sys.base_prefix and "system" or "venv"))')"
mkdir -p "$logs"
status=0 ran=0 rows=""
for name in "${names[@]}"; do
  arguments=(--atrous "$build/cli/atrous")
  case "$name" in
    boxes) arguments=(--box-ops "$build/tests/box_ops"); [ $all = 0 ] || arguments+=(--trials 4000) ;;
    roi) arguments=(--program "$build/tests/roi_ops") ;;
    crf) arguments=(--program "$build/tests/crf_ops"); [ $all = 0 ] || arguments+=(--size 375 500) ;;
    sizes) arguments=(--program "$build/tests/size_rules") ;;
    coco) [ $all = 0 ] || arguments+=(--sets 2000) ;;
    nets | detection) [ $all = 0 ] || arguments+=(--all) ;;
  esac
  echo "parity: $name" >&2
  code=0
  "$python" "tests/parity/parity_$name.py" "${arguments[@]}" >"$logs/$name.txt" 2>&1 || code=$?
  # summary.py: "N passed, N failed, N skipped; largest difference: what number, ..."
  last="$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$logs/$name.txt" | tail -n 1 || true)"
  if [ "$code" = 77 ]; then
    rows+="| $name | $(tail -n 1 "$logs/$name.txt") | | | |"$'\n'
    continue
  fi
  ran=$((ran + 1))
  if [ "$code" != 0 ] || [ -z "$last" ]; then
    status=1
    echo "parity: $name FAILED with exit code $code, see $logs/$name.txt" >&2
    grep -E 'FAIL|Error' "$logs/$name.txt" | head -n 20 >&2 || true
  fi
  if [ -z "$last" ]; then
    rows+="| $name | BROKE OFF, exit code $code | | | |"$'\n'
  else
    read -r passed _ failed _ skipped _ <<<"$last"
    largest=""
    [[ "$last" != *"largest difference: "* ]] || largest="${last#*largest difference: }"
    rows+="| $name | $passed | $failed | $skipped | $largest |"$'\n'
  fi
done

# What the program says of itself: the tree may be newer than the build.
program="$("$build/cli/atrous" doctor | sed -n 's/^atrous *//p')"
echo "atrous $program; $("$python" tests/parity/versions.py | awk '$2 != "-" { printf "%s%s %s", sep, $1, $2; sep = ", " }')"
echo
echo "| script | passed | failed | skipped | largest difference |"
echo "|---|---|---|---|---|"
printf '%s' "$rows"
[ "$ran" -gt 0 ] || { echo "parity: nothing ran" >&2; status=1; }
exit "$status"
