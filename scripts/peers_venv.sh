#!/usr/bin/env bash
# Makes a virtual environment with the current releases of what atrous is compared with: PyTorch, torchvision, pycocotools,
# segmentation_models_pytorch, transformers and, where it builds, pydensecrf2. scripts/parity.sh runs the comparison with it.
#
#   scripts/peers_venv.sh [FOLDER]      FOLDER is .venv-peers unless given; PYTHON names the interpreter (python3)
#
# Downloads about 3 GB and fills about 6 GB: PyTorch's package for Linux is linked against the CUDA libraries, and without their packages
# `import torch` fails even where nothing runs on a GPU. An existing folder is brought up to date. Prints the versions at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 1 ] || [[ "${1:-}" == -* ]]; then
  echo "usage: scripts/peers_venv.sh [FOLDER]" >&2
  exit 2
fi
folder="${1:-.venv-peers}"
python="${PYTHON:-python3}"

[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
# The packages are large; a second copy of them in pip's cache serves nobody.
pip=("$folder/bin/python" -m pip --disable-pip-version-check --no-cache-dir)
"${pip[@]}" install --quiet --upgrade torch torchvision numpy pillow pycocotools segmentation_models_pytorch timm transformers safetensors
# Built from source: it needs a compiler.
"${pip[@]}" install --quiet --upgrade pydensecrf2 || echo "peers_venv: pydensecrf2 could not be built: parity_crf.py will be skipped" >&2

"$folder/bin/python" "$(dirname "$0")/../tests/parity/versions.py"
