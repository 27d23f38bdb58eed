#!/usr/bin/env bash
# Configures and builds a preset (default: release). Extra arguments go to the configure step.
set -euo pipefail
cd "$(dirname "$0")/.."
preset="${1:-release}"
[ $# -gt 0 ] && shift
cmake --preset "$preset" "$@" >&2
cmake --build --preset "$preset" >&2
