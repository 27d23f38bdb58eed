#!/usr/bin/env python3
"""Twenty training steps from the same start on the same batches: the losses of `atrous train` against PyTorch, to 1e-3 relative.

A U-Net with batch norm, SGD with momentum, Nesterov and AdamW; labels hold some ignored pixels. Once with exact sums and once as
configs train by default, with Winograd convolutions. Learning rates are moderate: a large one amplifies single ReLUs that rounding
switches. Exit code 0 if all agree, 1 if not, 77 if PyTorch cannot be imported.
"""
import argparse
import json
import os
import sys

import common
import summary
import torch

from references.unet import UNet

STEPS, BATCH, CLASSES, HEIGHT, WIDTH = 20, 2, 5, 65, 97
TOLERANCE = 1e-3
OPTIMIZERS = [
    ("sgd", {"name": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
     lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-4)),
    ("sgd nesterov", {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True},
     lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
    ("adamw", {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
     lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01)),
]


def make_batches(g):
    """Images whose brightness follows smooth regions, so that there is something to learn."""
    field = torch.randn(STEPS * BATCH, CLASSES, 6, 8, generator=g)
    field = torch.nn.functional.interpolate(field, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)
    labels = field.argmax(1)
    colors = torch.randn(CLASSES, 3, generator=g)
    images = colors[labels].permute(0, 3, 1, 2) + 0.5 * torch.randn(STEPS * BATCH, 3, HEIGHT, WIDTH, generator=g)
    labels[:, :3, :5] = 255
    return images.reshape(STEPS, BATCH, 3, HEIGHT, WIDTH).contiguous(), labels.reshape(STEPS, BATCH, HEIGHT, WIDTH).contiguous()


def losses_of_torch(net, optimizer, images, labels):
    net.train()
    criterion = torch.nn.CrossEntropyLoss(ignore_index=255)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = criterion(net(images[step])["out"], labels[step])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def losses_of_atrous(binary, folder, start, optimizer, images, labels, exact):
    path = {name: os.path.join(folder, name) for name in ("config.json", "start.safetensors", "batches.safetensors", "run")}
    common.save(path["start.safetensors"], start)
    common.save(path["batches.safetensors"], {"images": images, "labels": labels})
    config = {
        "model": {"name": "unet", "num_classes": CLASSES, "base_width": 8, "weights": path["start.safetensors"]},
        "data": {"dataset": "tensors", "root": path["batches.safetensors"], "batch_size": BATCH},
        "optimizer": optimizer,
        "exact": exact,
        "train": {"max_steps": STEPS, "log_every": 1},
    }
    common.write_json(path["config.json"], config)
    common.atrous(binary, "train", "--config", path["config.json"], "--out", path["run"])
    with open(os.path.join(path["run"], "metrics.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    return [line["loss"] for line in lines if "loss" in line and "lr" in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    options = parser.parse_args()
    images, labels = make_batches(torch.Generator().manual_seed(5))
    passed = failed = 0
    largest = {}
    print(f"{'optimizer':22} {'first loss':>11} {'last loss':>11} {'worst relative difference':>26}")
    for name, config, make in OPTIMIZERS:
        torch.manual_seed(11)
        net = UNet(3, CLASSES, 8)
        start = {key: t.clone() for key, t in net.state_dict().items()}
        theirs = losses_of_torch(net, make(net.parameters()), images, labels)
        for exact in (True, False):
            with common.temporary_folder() as folder:
                ours = losses_of_atrous(options.atrous, folder, start, config, images, labels, exact)
            label = f"{name}, {'exact' if exact else 'default'}"
            if len(ours) != STEPS:
                print(f"{label:22} FAILED: {len(ours)} losses logged, {STEPS} expected")
                failed += 1
                continue
            worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
            agrees = worst <= TOLERANCE
            passed, failed = passed + agrees, failed + (not agrees)
            summary.take_larger(largest, {"loss": worst})
            note = "" if agrees else "  FAILED"
            print(f"{label:22} {theirs[0]:11.6f} {theirs[-1]:11.6f} {worst:26.1e}{note}", flush=True)
    return summary.finish(passed, failed, 0, largest)


if __name__ == "__main__":
    sys.exit(main())
