#!/usr/bin/env bash
# What only a machine with an NVIDIA GPU can answer, in pieces of less than ten minutes:
#
#   scripts/gpu_check.sh                     all parts
#   scripts/gpu_check.sh --part ops          one part (repeatable): build, ops, tests, sanitizer, bench, peers, train
#
#   build      configures preset cuda for this GPU's architecture and compiles
#   ops        op_tests --device cuda: every implementation of every op against its reference
#   tests      unit tests of the runtime, the layers and the training loop, which take every device there is
#   sanitizer  op_tests under compute-sanitizer: memcheck, racecheck, initcheck, synccheck, small shapes (MAX_FLOPS=2e4),
#              SANITIZER_JOBS=8 ops at a time
#   bench      atrous bench kernels and nets on the GPU
#   peers      the same convolutions and networks in PyTorch: benchmarks/gpu_peers.py
#   train      a short training on the GPU beside the same on the CPU: the losses must agree
#
# Each part keeps its steps in build/gpu; after each part they are merged into benchmarks/results/gpu-<device>-<date>.json. PART_SECONDS
# (default 560) is the longest a part may take: what did not fit is recorded as that, and fails. Exit code 77: there is no GPU.
# Without Debian's packages, run scripts/gpu_vendor.sh elsewhere first and bring vendor/ along.
# shellcheck disable=SC2317  # parts are called by their names
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

all_parts=(build ops tests sanitizer bench peers train)
parts=()
while [ $# -gt 0 ]; do
  if [ "$1" = --part ] && [[ " ${all_parts[*]} " == *" ${2:-} "* ]] && [ -n "${2:-}" ]; then
    parts+=("$2")
    shift 2
  else
    echo "usage: scripts/gpu_check.sh [--part $(IFS='|'; echo "${all_parts[*]}")]..." >&2
    exit 2
  fi
done
[ ${#parts[@]} -gt 0 ] || parts=("${all_parts[@]}")

capability="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)"
if [[ ! "$capability" =~ ^[0-9]+\.[0-9]$ ]]; then
  echo "gpu_check: no NVIDIA GPU here (nvidia-smi names none). Nothing was checked." >&2
  exit 77
fi
nvcc="$(command -v nvcc || ls "${CUDA_PATH:-/usr/local/cuda}/bin/nvcc" 2>/dev/null || true)"
[ -z "$nvcc" ] || export PATH="$PATH:${nvcc%/nvcc}"
atrous=build/cuda/cli/atrous
op_tests=build/cuda/tests/kernels/op_tests
work=build/gpu
mkdir -p "$work"

# step NAME SECONDS COMMAND...: runs it within the part's time, and notes exit code, seconds and its last lines.
step() {
  local name="$1" limit="$2" left=$((deadline - SECONDS)) begin=$SECONDS status=0
  local log="$work/$part.$1.log"
  shift 2
  if [ "$left" -le 0 ]; then
    status=124
    echo "not started: the part's time was spent" >"$log"
  else
    timeout "$((left < limit ? left : limit))" "$@" >"$log" 2>&1 || status=$?
  fi
  echo "$part $name: exit $status, $((SECONDS - begin)) s, $(tail -n 1 "$log")"
  python3 scripts/gpu_results.py step --work "$work" --part "$part" --name "$name" --exit "$status" --seconds "$((SECONDS - begin))" --log "$log"
  return "$status"
}

# skip NAME REASON: a step that cannot run here, noted as that.
say_skipped() { echo "$1"; exit 77; }
export -f say_skipped
skip() { step "$1" 5 bash -c "say_skipped '$2'"; }

ops() {
  local cases
  for cases in tests/kernels/*_cases.cpp; do basename "$cases" _cases.cpp; done
}

part_build() {
  local architecture="${capability/./}"
  [ "$architecture" != 90 ] || architecture=90a
  local configure=(cmake --preset cuda -DATROUS_BUILD_TESTS=ON "-DATROUS_CUDA_ARCHITECTURES=$architecture-real")
  [ -z "$nvcc" ] || configure+=("-DCMAKE_CUDA_COMPILER=$nvcc")
  if [ -d vendor ]; then configure+=("-DCMAKE_PREFIX_PATH=$PWD/vendor"); else scripts/install_deps.sh || return 1; fi
  step configure 60 "${configure[@]}" || return 1
  step compile 560 cmake --build --preset cuda || return 1
  step ptxas 20 scripts/ptxas_summary.sh build/cuda
  step doctor 20 "$atrous" doctor
}

part_ops() {
  local op
  for op in $(ops); do step "$op" 200 "$op_tests" --op "$op" --device cuda; done
}

part_tests() {
  step unit 540 ctest --test-dir build/cuda --output-on-failure -j 4 -R '^(core|kernels|layers|nets|train|eval):'
}

part_sanitizer() {
  local tool op
  command -v compute-sanitizer >/dev/null || { skip tools "compute-sanitizer is not installed"; return; }
  # Several at a time: the tools spend most of their time starting up and on the host.
  for tool in memcheck racecheck synccheck initcheck; do
    for op in $(ops); do
      while [ "$(jobs -rp | wc -l)" -ge "${SANITIZER_JOBS:-8}" ]; do wait -n; done
      step "$tool.$op" 120 compute-sanitizer --tool "$tool" --error-exitcode 9 "$op_tests" --op "$op" --device cuda --max-flops "${MAX_FLOPS:-2e4}" &
    done
  done
  wait
}

part_bench() {
  local op dtype
  # Networks and convolutions first: they are what is compared.
  for dtype in bf16 tf32 f32; do
    step "nets.$dtype" 120 "$atrous" bench nets --device cuda --math "$dtype" --json "$work/bench.nets.$dtype.json"
  done
  for dtype in bf16 f32; do
    for op in conv2d $(ops | grep -vx conv2d); do
      step "$op.$dtype" 120 "$atrous" bench kernels --device cuda --dtype "$dtype" --filter "^$op\\." --json "$work/bench.$op.$dtype.json"
    done
  done
}

part_peers() {
  local cases
  cases="$(find "$work" -name 'bench.conv2d.*.json' | sort | tr '\n' ',')"
  step convolutions 240 python3 benchmarks/gpu_peers.py convolutions --cases "${cases%,}" --seconds 220 --json "$work/peers.convolutions.json"
  step networks 320 python3 benchmarks/gpu_peers.py networks --seconds 300 --json "$work/peers.networks.json"
}

part_train() {
  local device run
  run=(--config configs/smoke/unet_shapes.json --set "data.root=$work/shapes" --set train.log_every=1)
  rm -rf "$work"/{shapes,train-cpu,train-cuda}
  step data 60 "$atrous" data make-shapes --out "$work/shapes" --train 64 --val 16
  for device in cpu cuda; do
    step "$device" 200 "$atrous" train "${run[@]}" --device "$device" --out "$work/train-$device"
  done
  step agree 20 python3 scripts/gpu_results.py losses "$work/train-cpu/metrics.jsonl" "$work/train-cuda/metrics.jsonl"
}

failed=0
for part in "${parts[@]}"; do
  deadline=$((SECONDS + ${PART_SECONDS:-560}))
  rm -f "$work/$part.jsonl"
  "part_$part"
  python3 scripts/gpu_results.py merge --work "$work" --out benchmarks/results || failed=1
done
exit "$failed"
