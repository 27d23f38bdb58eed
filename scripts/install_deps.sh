#!/usr/bin/env bash
# Installs the Debian packages that atrous needs. With --peers also those it is compared with (PyTorch, oneDNN), with --fuzz also Clang with
# its sanitizers and linker (scripts/fuzz.sh), with --lint also clang-format and clang-tidy (scripts/lint.sh).
# Does nothing, and asks for no rights, if all are there.
set -euo pipefail

packages=(g++ cmake ninja-build git libfmt-dev libeigen3-dev nlohmann-json3-dev libcli11-dev libpng-dev libjpeg-dev libstb-dev catch2)
[ "${1:-}" = "--peers" ] && packages+=(python3-torch python3-torchvision libdnnl-dev ocl-icd-opencl-dev)
[ "${1:-}" = "--fuzz" ] && packages+=(clang libclang-rt-dev)
[ "${1:-}" = "--lint" ] && packages+=(clang-format-14 clang-tidy-14)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "install_deps: this script knows Debian's apt-get only. Install by hand: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_deps: run as root, or install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
