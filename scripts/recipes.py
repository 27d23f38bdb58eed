#!/usr/bin/env python3
"""Trains every recipe of configs/ that has an `expected` again and says what came out: to be run when arithmetic has changed.

    scripts/recipes.py [--seeds N] [--build FOLDER] [--out FOLDER] [--list] [NAME...]

Data sets are looked for in ATROUS_DATA_DIR, in a folder named like `data.dataset`; generated shapes are generated. A recipe whose data is
not there is skipped, saying so. NAMEs choose recipes whose path contains one of them. With --seeds N each is trained with the seeds 1 to N, and
the table gives mean and spread (largest minus smallest). These are whole trainings: minutes to hours each. Exit code 1 if a recipe misses what
it expects, 77 if none could run.
"""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SKIPPED = 77
# What docs/results.md generates for a recipe.
SHAPES = {
    "configs/shapes/unet_small.json": ["--train", "360", "--val", "60", "--size", "96x128", "--seed", "7"],
    "configs/shapes/resnet18_classes.json": ["--folders", "--train", "1000", "--val", "200", "--size", "72x96", "--classes", "6"],
    "configs/shapes/maskrcnn_resnet18.json": ["--train", "600", "--val", "100", "--size", "96x128", "--seed", "7"],
}


def recipes(names):
    """{path: config} of those that expect something."""
    found = {}
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, "configs"))):
        for file in sorted(files):
            path = os.path.relpath(os.path.join(folder, file), ROOT)
            if not file.endswith(".json") or (names and not any(name in path for name in names)):
                continue
            with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                config = json.load(f)
            if config.get("expected"):
                found[path] = config
    return found


def data_of(path, config, atrous, out):
    """The folder of the data set; None if it is not there."""
    if config["data"]["dataset"].startswith("shapes") or path in SHAPES:
        if path not in SHAPES:
            raise SystemExit(f"{path} is trained on generated shapes, but SHAPES in this script does not say which")
        folder = os.path.join(out, "data", path.replace("/", "_").removesuffix(".json"))
        if not os.path.isdir(folder):
            subprocess.run([atrous, "data", "make-shapes", "--out", folder, *SHAPES[path]], check=True, stdout=subprocess.DEVNULL)
        return folder
    folder = os.path.join(os.environ.get("ATROUS_DATA_DIR", ""), config["data"]["dataset"])
    return folder if os.environ.get("ATROUS_DATA_DIR") and os.path.isdir(folder) else None


def train(atrous, path, data, seed, out):
    """{metric: score of the best validation}. Exit code 1: less than expected, which the table says."""
    run = os.path.join(out, path.replace("/", "_").removesuffix(".json") + f"_seed{seed}")
    command = [atrous, "train", "--config", os.path.join(ROOT, path), "--set", f"data.root={data}", "--set", f"seed={seed}", "--out", run]
    with open(run + ".log", "w", encoding="utf-8") as log:
        code = subprocess.run([*command, "--resume"], stdout=log, stderr=subprocess.STDOUT).returncode
    best = os.path.join(run, "best.json")
    if code not in (0, 1) or not os.path.exists(best):
        raise SystemExit(f"{path}, seed {seed}: the run ended with exit code {code}. See {run}.log")
    with open(best, encoding="utf-8") as f:
        return json.load(f)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), metavar="FOLDER")
    parser.add_argument("--out", default=os.path.join(ROOT, "runs", "recipes"), metavar="FOLDER", help="runs that are there already go on or count as they are")
    parser.add_argument("--list", action="store_true", help="only list the recipes and where their data is")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    atrous = os.path.join(options.build, "cli", "atrous")
    found = recipes(options.names)
    if not found:
        parser.error("no recipe that expects something has such a name")
    os.makedirs(options.out, exist_ok=True)
    missed = ran = 0
    print("| recipe | metric | expected at least | " + ("scores | mean | spread |" if options.seeds > 1 else "score |"))
    print("|---|---|---|---|" + ("---|---|" if options.seeds > 1 else ""))
    for path, config in found.items():
        data = data_of(path, config, atrous, options.out) if not options.list or not config["data"]["dataset"].startswith("shapes") else "generated"
        if data is None or options.list:
            where = f"skipped: no {config['data']['dataset']} in ATROUS_DATA_DIR" if data is None else data
            print(f"| {path} | {', '.join(config['expected'])} | | {where} |", flush=True)
            continue
        runs = [train(atrous, path, data, seed, options.out) for seed in range(1, options.seeds + 1)]
        ran += 1
        for metric, (target, tolerance) in config["expected"].items():
            scores = [run[metric] for run in runs]
            scored = [s for s in scores if s is not None]  # null: nothing was scored
            bad = len(scored) < len(scores) or min(scored) < target - tolerance
            missed += bad
            row = f"| {path} | {metric} | {target:.3f} - {tolerance:.3f} | {', '.join('-' if s is None else f'{s:.3f}' for s in scores)} |"
            if options.seeds > 1:
                row += f" {sum(scored) / len(scored):.3f} | {max(scored) - min(scored):.3f} |" if scored else " - | - |"
            print(row + ("  MISSED" if bad else ""), flush=True)
    if options.list:
        return 0
    return 1 if missed else 0 if ran else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
