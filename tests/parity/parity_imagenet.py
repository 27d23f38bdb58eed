#!/usr/bin/env python3
"""Real weights on real photographs: the logits of EfficientNet-Lite0 against timm's `tf_efficientnet_lite0`, to 1e-4 of the largest.

--weights: the file of timm's names (safetensors); else tf_efficientnet_lite0.safetensors in the folder ATROUS_WEIGHTS. --images: a folder with
photographs (.jpg), searched with its subfolders; else coco_mini in ATROUS_DATA_DIR. The first 20 by name are used. Each is resized to 224x224 and normalised as (value - 127) / 128, and both networks get the same numbers.

Exit code 0 if all agree, 1 if not, 77 if PyTorch, timm or Pillow, the weights or the photographs are absent.
"""
import argparse
import os
import sys

import common
import summary
import torch

TOLERANCE = 1e-4
PHOTOGRAPHS = 20


def skip(why):
    print(f"skipped: {why}")
    sys.exit(common.SKIPPED)


def photographs(folder):
    found = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.lower().endswith((".jpg", ".jpeg")))
    return found[:PHOTOGRAPHS]


def pixels(path):
    import numpy
    from PIL import Image

    with Image.open(path) as picture:
        rgb = numpy.asarray(picture.convert("RGB").resize((224, 224), Image.BILINEAR), dtype=numpy.float32)
    return torch.from_numpy((rgb - 127) / 128).permute(2, 0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    parser.add_argument("--weights", default=os.path.join(os.environ.get("ATROUS_WEIGHTS", ""), "tf_efficientnet_lite0.safetensors"), metavar="FILE")
    parser.add_argument("--images", default=os.path.join(os.environ.get("ATROUS_DATA_DIR", ""), "coco_mini"), metavar="FOLDER")
    options = parser.parse_args()
    common.use_threads()
    if not os.path.isfile(options.weights):
        skip("no weights (--weights FILE)")
    paths = photographs(options.images)
    if not paths:
        skip("no photographs (--images FOLDER)")
    try:
        import PIL  # noqa: F401
        import timm
    except ImportError as e:
        skip(str(e))
    net = timm.create_model("tf_efficientnet_lite0").eval()
    net.load_state_dict(common.load(options.weights), strict=True)
    batch = torch.stack([pixels(p) for p in paths])
    with torch.no_grad():
        theirs = net(batch)
    with common.temporary_folder() as folder:
        config, inputs, out = (os.path.join(folder, name) for name in ("config.json", "in.st", "out.st"))
        common.write_json(config, {"model": {"name": "efficientnet_lite0", "num_classes": 1000}})
        common.save(inputs, {"input": batch})
        common.atrous(options.atrous, "forward", "--config", config, "--weights", options.weights, "--input", inputs, "--output", out)
        ours = common.load(out)["logits"].reshape(theirs.shape)
    passed = failed = 0
    largest = {}
    for path, a, b in zip(paths, ours, theirs):
        error = ((a - b).abs().max() / b.abs().max()).item()
        good = error <= TOLERANCE and a.argmax() == b.argmax()
        print(f"{'ok  ' if good else 'FAIL'}  {os.path.basename(path)}: {error:.1e}, class {int(a.argmax())} ({a.softmax(0).max().item():.2f})")
        passed, failed = passed + good, failed + (not good)
        summary.take_larger(largest, {"logits": error})
    return summary.finish(passed, failed, 0, largest)


if __name__ == "__main__":
    sys.exit(main())
