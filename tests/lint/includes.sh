#!/usr/bin/env bash
# Includes point down only (docs/architecture.md): each folder may include itself and the folders listed for it. Heavy third-party
# headers stay out of our headers. Texts and files are written in one way. Prints every offence; exits 1 if there is one.
set -uo pipefail
cd "$(dirname "$0")/../.."
declare -A allowed=(
  [core]="core"
  [kernels]="core kernels"
  [layers]="core kernels layers"
  [nets]="core kernels layers nets"
  [data]="core data"
  [eval]="core kernels layers data eval"
  [train]="core kernels layers nets data eval train"
  [cli]="core kernels layers nets data eval train cli tests"
)
bad=0
checked=0
for folder in core kernels layers nets data eval train cli; do
  for file in $(find "$folder" -name '*.h' -o -name '*.cpp' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh'); do
    checked=$((checked + 1))
    for target in $(sed -nE 's/^ *#include "([a-z]+)\/.*/\1/p' "$file" | sort -u); do
      if [[ " ${allowed[$folder]} " != *" $target "* ]]; then
        echo "$file includes $target/: $folder may include only: ${allowed[$folder]}"
        bad=1
      fi
    done
    # Reports are on top of what they show.
    if [[ "$file" == eval/* && "$file" != eval/report/* ]] && grep -n '#include "eval/report/' "$file"; then
      echo "$file includes eval/report/: only train and cli may"
      bad=1
    fi
    if [[ "$file" == *.h ]] && grep -nE '#include <(Eigen|nlohmann/json\.hpp|catch2|CLI|png|jpeg)' "$file"; then
      echo "$file: a heavy third-party header in one of our headers"
      bad=1
    fi
    if [[ "$file" == *.h ]] && ! grep -q '^#pragma once' "$file"; then
      echo "$file: no #pragma once"
      bad=1
    fi
  done
done
# A message that nobody can read must not end a command, and results are whole or not there.
if grep -rnE 'fmt::print\(|std::ofstream|std::f?printf\(|std::f?puts\(|std::fputc\(' --include='*.h' --include='*.cpp' \
  core kernels layers nets data eval train cli | grep -vE '^(cli/main|core/terminal)\.cpp:|"/proc/'; then
  echo "print_to (core/terminal.h) and write_file_atomically (core/atomic_file.h) instead"
  bad=1
fi
if [ "$checked" -eq 0 ]; then
  echo "0 files checked"
  bad=1
fi
exit $bad
