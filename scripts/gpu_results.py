#!/usr/bin/env python3
"""What scripts/gpu_check.sh found, as one JSON file.

  step     notes one step of a part in WORK/PART.jsonl
  losses   compares the losses of two trainings; exit code 1 if they differ
  merge    writes OUT/gpu-<device>-<date>.json from everything in WORK; exit code 1 if a step failed
"""
import argparse
import datetime
import json
import math
import pathlib
import platform
import re
import statistics
import subprocess
import sys


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def note_step(args):
    lines = args.log.read_text(errors="replace").splitlines()
    entry = {"name": args.name, "exit": args.exit, "seconds": args.seconds}
    # "12 passed, 3 failed" of op_tests, "99% tests passed, 1 tests failed out of 210" of ctest; otherwise the step is the check.
    for line in reversed(lines):
        ops = re.fullmatch(r"(\d+) passed, (\d+) failed", line)
        unit = re.fullmatch(r"\d+% tests passed, (\d+) tests failed out of (\d+)", line)
        if ops:
            entry.update(passed=int(ops[1]), failed=int(ops[2]))
        elif unit:
            entry.update(passed=int(unit[2]) - int(unit[1]), failed=int(unit[1]))
        else:
            continue
        break
    else:
        entry.update(passed=int(args.exit == 0), failed=int(args.exit not in (0, 77)))
    if args.exit not in (0, 77) and not entry["failed"]:
        entry["failed"] = 1  # crashed, or ran out of time, after what it had counted
    if args.exit == 77:
        entry["skipped"] = True
    if entry["failed"] or args.exit == 77 or args.name in ("doctor", "ptxas"):
        entry["last_lines"] = lines[-20:]
    with open(args.work / f"{args.part}.jsonl", "a") as out:
        out.write(json.dumps(entry) + "\n")


def losses_of(path):
    if not path.exists():
        sys.exit(f"{path} is missing: that training did not run")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def compare_losses(args):
    """Rounding differs, and grows with every step: tight at the start, loose at the end."""
    first, second = losses_of(args.first), losses_of(args.second)
    if not first or len(first) != len(second):
        sys.exit(f"{len(first)} and {len(second)} losses")

    def mean(values):
        return sum(values[-10:]) / len(values[-10:])

    start = abs(first[0] - second[0]) / abs(first[0])
    end = abs(mean(first) - mean(second)) / abs(mean(first))
    print(f"first losses {first[0]:.6f} {second[0]:.6f}, last ten {mean(first):.4f} {mean(second):.4f}")
    if not (start < 1e-3 and end < 0.1):
        sys.exit("the losses differ")


def bench_cases(work):
    for path in sorted(work.glob("bench.*.json")):
        data = json.loads(path.read_text())
        for case in data.get("cases", []):
            yield data.get("dtype"), case


def best_timing(case, tf32):
    """The fastest of our implementations; those that round to tf32 only if the peer does too."""
    timings = [t for t in case["timings"] if tf32 or "tf32" not in t["name"]]
    return min(timings, key=lambda t: t["median_s"], default=None)


def convolution_ratios(work):
    path = work / "peers.convolutions.json"
    if not path.exists():
        return []
    peers = {(p["dtype"], p["entry"], p["problem"]): p for p in json.loads(path.read_text())["timings"]}
    ratios = []
    for dtype, case in bench_cases(work):
        problem = case["problem"].split(" ", 1)[1] if case["problem"].startswith(("f32 ", "bf16 ")) else case["problem"]
        peer = peers.get(("tf32" if dtype == "f32" else dtype, case["entry"], problem))
        own = best_timing(case, tf32=True)
        if case["op"] == "conv2d" and peer and own:
            ratios.append({"dtype": peer["dtype"], "entry": case["entry"], "problem": problem, "implementation": own["name"],
                           "own_s": own["median_s"], "peer_s": peer["median_s"], "peer_over_own": peer["median_s"] / own["median_s"]})
    return ratios


def network_ratios(work):
    path = work / "peers.networks.json"
    if not path.exists():
        return []
    own = {}
    for file in sorted(work.glob("bench.nets.*.json")):
        data = json.loads(file.read_text())
        for net in data["nets"]:
            own[data["math"], net["network"], net["mode"], net["batch"], net["size"]] = net["median_s"]
    ratios = []
    for peer in json.loads(path.read_text())["timings"]:
        mine = own.get((peer["dtype"], peer["network"], peer["mode"], peer["batch"], peer["size"]))
        if mine:
            ratios.append({key: peer[key] for key in ("dtype", "network", "mode", "batch", "size", "compiled")}
                          | {"own_s": mine, "peer_s": peer["median_s"], "peer_over_own": peer["median_s"] / mine})
    return ratios


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def merge(args):
    parts = {}
    for path in sorted(args.work.glob("*.jsonl")):
        steps = [json.loads(line) for line in path.read_text().splitlines()]
        parts[path.stem] = {"passed": sum(s["passed"] for s in steps), "failed": sum(s["failed"] for s in steps),
                            "skipped": sum(s.get("skipped", False) for s in steps), "seconds": sum(s["seconds"] for s in steps),
                            "steps": steps}
    device, driver, capability, memory = (output_of(
        "nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader").splitlines()
        or ["no GPU, , , "])[0].split(", ")
    ratios = convolution_ratios(args.work)
    result = {
        "device": device, "compute_capability": capability.strip(), "memory": memory.strip(), "driver": driver.strip(),
        "date": datetime.date.today().isoformat(),
        "commit": output_of("git", "describe", "--always", "--dirty", "--exclude", "*"),
        "versions": {
            "nvcc": (re.findall(r"V[\d.]+", output_of("nvcc", "--version")) or [""])[0],
            "cmake": output_of("cmake", "--version").split("\n")[0],
            "compiler": output_of("c++", "--version").split("\n")[0],
            "python": platform.python_version(),
            "torch": output_of("python3", "-c", "import torch; print(torch.__version__, torch.backends.cudnn.version())"),
        },
        "passed": sum(p["passed"] for p in parts.values()), "failed": sum(p["failed"] for p in parts.values()),
        "parts": parts,
        "convolution_ratios": {
            "geometric_mean": {f"{dtype} {entry}": geometric_mean(
                [r["peer_over_own"] for r in ratios if (r["dtype"], r["entry"]) == (dtype, entry)])
                for dtype, entry in sorted({(r["dtype"], r["entry"]) for r in ratios})},
            "cases": ratios},
        "network_ratios": network_ratios(args.work),
        "measurements": {path.stem: json.loads(path.read_text())
                         for path in sorted([*args.work.glob("bench.*.json"), *args.work.glob("peers.*.json")])},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower().replace("nvidia ", "")).strip("-")
    path = args.out / f"gpu-{slug}-{result['date']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{path}: {result['passed']} passed, {result['failed']} failed in {', '.join(parts) or 'no part'}")
    return 1 if result["failed"] or any(not p["passed"] for p in parts.values()) else 0  # zero checks are no success


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step")
    step.add_argument("--work", type=pathlib.Path, required=True)
    step.add_argument("--part", required=True)
    step.add_argument("--name", required=True)
    step.add_argument("--exit", type=int, required=True)
    step.add_argument("--seconds", type=int, required=True)
    step.add_argument("--log", type=pathlib.Path, required=True)
    losses = commands.add_parser("losses")
    losses.add_argument("first", type=pathlib.Path)
    losses.add_argument("second", type=pathlib.Path)
    merging = commands.add_parser("merge")
    merging.add_argument("--work", type=pathlib.Path, required=True)
    merging.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    sys.exit({"step": note_step, "losses": compare_losses, "merge": merge}[args.command](args))


if __name__ == "__main__":
    main()
