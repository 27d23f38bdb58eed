#!/usr/bin/env bash
# scripts/ptxas_summary.sh <build folder>: gathers what ptxas said about every kernel (see nvcc_report.sh) into <build folder>/ptxas.txt,
# most registers first, and prints one line of totals.
set -euo pipefail
build="${1:?usage: scripts/ptxas_summary.sh <build folder>}"
table="$build/ptxas.txt"

mapfile -t reports < <(find "$build/" -name '*.cu.o.ptxas' | sort)
[ ${#reports[@]} -gt 0 ] || { echo "ptxas_summary: no *.cu.o.ptxas in $build: build it with CUDA first" >&2; exit 1; }
printf '%9s %6s %6s %7s  %-7s %s\n' registers spills stack shared arch kernel >"$table"
awk -F"[' ]" '
  /Compiling entry function/ { for (i = 1; i <= NF; ++i) { if ($i ~ /^_Z/) kernel = $i; if ($i ~ /^sm_/) arch = $i } }
  /bytes stack frame/ { if (match($0, /[0-9]+ bytes stack/)) stack = substr($0, RSTART) + 0
                        if (match($0, /[0-9]+ bytes spill stores/)) spills = substr($0, RSTART) + 0
                        if (match($0, /[0-9]+ bytes spill loads/)) spills += substr($0, RSTART) + 0 }
  / registers/ && kernel != "" {
    registers = 0; shared = 0
    if (match($0, /Used [0-9]+ registers/)) registers = substr($0, RSTART + 5) + 0
    if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART) + 0
    printf "%9d %6d %6d %7d  %-7s %s\n", registers, spills, stack, shared, arch, kernel
    kernel = ""
  }' "${reports[@]}" | sort -k1,1nr -k6,6 -k5,5 | c++filt >>"$table"
cat "${reports[@]}" | awk -v kernels_file="$table" '
  /^nvcc seconds/ { seconds += $3 + $4; ++files }
  END {
    while ((getline line < kernels_file) > 0) {
      split(line, field, " ")
      if (field[1] == "registers") continue
      ++kernels
      if (field[1] + 0 > registers) registers = field[1] + 0
      spills += field[2]
      if (field[3] > 0) ++with_stack
    }
    printf "nvcc: %d files in %d s of processor time; %d kernels (all archs), at most %d registers, %d bytes spilled, %d with a stack frame\n",
           files, seconds, kernels, registers, spills, with_stack
  }'
