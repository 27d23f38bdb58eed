#!/usr/bin/env python3
"""The dense CRF against pydensecrf: labels, probabilities and time, one thread against one thread.

pydensecrf approximates the spatial kernel on a lattice as well, where atrous sums it exactly. So three things are checked. The bilateral
kernel alone: both compute the same thing, so at least 99.99 % of the labels must be the same and the probabilities close. Both kernels,
each on a lattice (`spatial=lattice`): the same. Both kernels as atrous has them by default, so with an exact spatial one: 99.9 %
with a network's probabilities (--probs), 99.5 % with those made up here, which are far noisier. The picture is made up unless --image
gives some.

Exit code 0 if all agree, 1 if not, 77 if numpy or pydensecrf cannot be imported.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

import summary

SKIPPED = 77
try:
    import numpy as np
    import pydensecrf.densecrf
    from pydensecrf.utils import unary_from_softmax
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(SKIPPED)

SPATIAL = ["exact", "lattice"]
NORMALIZATIONS = ["symmetric", "before", "after", "none"]
PYDENSECRF = {"symmetric": pydensecrf.densecrf.NORMALIZE_SYMMETRIC, "before": pydensecrf.densecrf.NORMALIZE_BEFORE,
              "after": pydensecrf.densecrf.NORMALIZE_AFTER, "none": pydensecrf.densecrf.NO_NORMALIZATION}


def save(path, arrays):
    header, at = {}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": {"f": "F32", "u": "U8"}[a.dtype.kind], "shape": a.shape, "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            f.write(np.ascontiguousarray(a).tobytes())


def load(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        entries = json.loads(f.read(size))
        data = f.read()
    return {name: np.frombuffer(data[slice(*e["data_offsets"])], np.float32).reshape(e["shape"])
            for name, e in entries.items() if name != "__metadata__"}


def zoom(coarse, height, width):
    """Bilinear enlargement of [h, w, C]."""
    for axis, size in enumerate((height, width)):
        at = np.linspace(0, coarse.shape[axis] - 1, size)
        low = np.minimum(at.astype(int), coarse.shape[axis] - 2)
        part = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        coarse = np.take(coarse, low, axis) * (1 - part) + np.take(coarse, low + 1, axis) * part
    return coarse


def picture(height, width, r):
    """Soft shapes, a few edges and noise."""
    image = zoom(r.uniform(30, 220, (7, 9, 3)), height, width)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(12):
        y, x, radius = r.uniform(0, height), r.uniform(0, width), r.uniform(10, height / 4)
        image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = r.uniform(0, 255, 3)
    return np.clip(image + r.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def probabilities(height, width, classes, r):
    """Like a network's of output stride 8: regions, uncertain at that resolution, enlarged."""
    regions = zoom(r.normal(0, 2, (12, 16, classes)), height // 8, width // 8)
    logits = zoom(regions + r.normal(0, 0.7, regions.shape), height, width)
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def theirs(image, p, o, repetitions):
    height, width, classes = p.shape
    best = float("inf")
    for _ in range(repetitions):
        start = time.process_time()
        crf = pydensecrf.densecrf.DenseCRF2D(width, height, classes)
        crf.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(p.transpose(2, 0, 1))))
        how = {"kernel": pydensecrf.densecrf.DIAG_KERNEL, "normalization": PYDENSECRF[o["normalization"]]}
        if o["gaussian"][0]:
            crf.addPairwiseGaussian(sxy=o["gaussian"][1], compat=o["gaussian"][0], **how)
        crf.addPairwiseBilateral(sxy=o["bilateral"][1], srgb=o["bilateral"][2], rgbim=image, compat=o["bilateral"][0], **how)
        q = np.array(crf.inference(o["iterations"]))
        best = min(best, time.process_time() - start)
    return q.reshape(classes, height, width).transpose(1, 2, 0), best


def ours(program, image, p, o, repetitions, threads=1):
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        numbers = [o["iterations"], *o["gaussian"], *o["bilateral"], NORMALIZATIONS.index(o["normalization"]), SPATIAL.index(o["spatial"])]
        save(source, {"parameters": np.array(numbers, np.float32), "probabilities": p, "image": image})
        done = subprocess.run([program, source, target, str(repetitions)], capture_output=True, text=True, check=True,
                              env={**os.environ, "ATROUS_THREADS": str(threads)})
        report = json.loads(done.stdout)
        return load(target), report["build"] + report["refine"], report


def agrees(name, a, b, least_agreement, most_mean):
    agreement = float((a.argmax(-1) == b.argmax(-1)).mean())
    mean, most = float(np.abs(a - b).mean()), float(np.abs(a - b).max())
    good = agreement >= least_agreement and mean <= most_mean
    print(f"{'ok  ' if good else 'FAIL'} {name}: labels agree {100 * agreement:.3f} %, probabilities differ by {mean:.1e} on average, "
          f"{most:.1e} at most", flush=True)
    return good, most


def compare(name, program, image, p, o, repetitions, least_agreement=0.995):
    a, their_time = theirs(image, p, o, repetitions)
    results, our_time, report = ours(program, image, p, o, repetitions)
    same = o["spatial"] == "lattice" or not o["gaussian"][0]
    good, most = agrees(name, a, results["refined"], *((0.9999, 1e-5) if same else (least_agreement, 1e-3)))
    print(f"     processor time: pydensecrf {1e3 * their_time:.0f} ms, atrous {1e3 * our_time:.0f} ms ({1e3 * report['build']:.0f} of them to build; "
          f"{report['vertices'] / a[..., 0].size:.2f} vertices a pixel): {their_time / our_time:.1f} times faster", flush=True)
    # Where the spatial kernel is approximated on one side alone, the difference says nothing of the rest.
    return good, {"probability": most} if same else {}


def scaling(program, args, o):
    """Milliseconds on the clock, construction included, over threads, pixels and classes. No check: it is for a quiet machine."""
    def row(name, height, width, classes, threads):
        r = np.random.default_rng(1)
        p = probabilities(height, width, classes, r)
        _, _, report = ours(program, picture(height, width, r), p, o, max(args.repetitions, 3), threads)
        pixels = height * width
        print(f"{name:24} {height}x{width} {classes:3} classes {threads} threads: {1e3 * report['wall']:7.1f} ms, "
              f"{1e9 * report['wall'] / pixels / classes:.0f} ns a pixel and class, {report['vertices'] / pixels:.2f} vertices and "
              f"{report['state_bytes'] / pixels:.0f} bytes of lattice a pixel", flush=True)

    for threads in (1, 2):
        row("threads", 375, 500, 21, threads)
    for height, width in ((188, 250), (750, 1000), (1500, 2000)):
        row("pixels", height, width, 21, 1)
    for classes in (2, 5, 10, 42, 84):
        row("classes", 375, 500, classes, 1)


def main():
    parser = argparse.ArgumentParser()
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "..", "..", "build", "release", "tests", "crf_ops")
    parser.add_argument("--program", default=default, help="crf_ops of the build")
    parser.add_argument("--image", nargs="*", default=[], help="pictures (needs Pillow); default: a made-up one")
    parser.add_argument("--probs", nargs="*", default=[], help="for each --image a network's probabilities, as `atrous crf` takes them")
    parser.add_argument("--size", nargs=2, type=int, default=[150, 200], help="height and width of the made-up picture")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--scaling", action="store_true", help="only time atrous over threads, pixels and classes")
    args = parser.parse_args()
    images = {}
    for path in args.image:
        from PIL import Image
        images[os.path.basename(path)] = np.array(Image.open(path).convert("RGB"))
    if not images:
        images["made-up picture"] = picture(*args.size, np.random.default_rng(1))
    both = {"iterations": 10, "gaussian": [3, 3], "bilateral": [4, 49, 5], "normalization": "symmetric", "spatial": "exact"}
    if args.scaling:
        scaling(args.program, args, both)
        return 0
    compared, largest = [], {}

    def check(*arguments):
        good, errors = compare(*arguments)
        compared.append(good)
        summary.take_larger(largest, errors)

    if args.probs and len(args.probs) != len(args.image):
        parser.error("--probs: one file for each --image")
    for i, (name, image) in enumerate(images.items()):
        if args.probs:
            p = np.ascontiguousarray(load(args.probs[i])["probs"].transpose(1, 2, 0))
        else:
            p = probabilities(*image.shape[:2], args.classes, np.random.default_rng(2))
        check(f"{name}, both kernels", args.program, image, p, both, args.repetitions, 0.999 if args.probs else 0.995)
        check(f"{name}, both on lattices", args.program, image, p, {**both, "spatial": "lattice"}, args.repetitions)
        for normalization in NORMALIZATIONS[: 1 if args.image else 4]:
            alone = {**both, "gaussian": [0, 3], "normalization": normalization}
            if normalization == "none":
                alone["bilateral"] = [0.01, 49, 5]
            check(f"{name}, bilateral, {normalization}", args.program, image, p, alone, args.repetitions)
    return summary.finish(sum(compared), len(compared) - sum(compared), 0, largest)


if __name__ == "__main__":
    sys.exit(main())
