#!/usr/bin/env bash
# From a fresh clone to a trained network: installs, builds, generates a data set, trains a small U-Net on the CPU,
# scores it, and leaves pictures and a report under runs/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_deps.sh
scripts/build.sh release -DATROUS_BUILD_TESTS=OFF
atrous=build/release/cli/atrous

rm -rf runs/demo
mkdir -p runs/demo
"$atrous" data make-shapes --out runs/demo/shapes --train 360 --val 60 --size 96x128 --seed 7
"$atrous" train --config configs/shapes/unet_small.json --set data.root=runs/demo/shapes --out runs/demo/unet
"$atrous" eval --weights runs/demo/unet/checkpoints/best.safetensors --json runs/demo/eval.json
"$atrous" predict --weights runs/demo/unet/checkpoints/best.safetensors --out runs/demo/predictions \
  $(ls runs/demo/shapes/images/val_*.png | head -n 8)

cat <<'DONE'

Look at:
  runs/demo/unet/report.html     curves, per-class scores, confusion matrix, samples
  runs/demo/predictions/         overlays and label images of 8 validation pictures
  runs/demo/eval.json            the scores for scripts
DONE
