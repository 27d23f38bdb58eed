#!/usr/bin/env python3
"""Sizes alone: what the rules of atrous make of every image from 33x33 to 800x800, against PyTorch and torchvision. No network runs.

Resized images of detectors and the batches that hold them, pooling (also with ceil_mode), convolution, transposed convolution, the
feature maps of backbones and the anchors on those of detectors. All heights and widths are swept in steps of one pixel beside a
few fixed ones, and together on a grid with odd steps; rules that treat rows and columns alike take two heights at a time.
PyTorch computes on its "meta" device: shapes without values.

torchvision 0.14 computes the scale of a resized image in single precision, 0.29 in double: they are compared with
model.detection.exact_scale off and on (detection_references.py).

Exit code 0 if all agree, 1 if not, 77 if PyTorch or torchvision cannot be imported.
"""
import argparse
import contextlib
import subprocess
import sys
import warnings

import common
import detection_references as detection
import summary
import torch
from torch import nn

try:
    import torchvision
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.image_list import ImageList
    from torchvision.models.detection.transform import GeneralizedRCNNTransform
    from torchvision.ops import FeaturePyramidNetwork
    from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
except ImportError:
    print("skipped: no torchvision")
    sys.exit(common.SKIPPED)

SMALLEST, LARGEST = 33, 800
SIDES = range(SMALLEST, LARGEST + 1)


def image_sizes():
    """A grid with odd steps, and every height and width beside common ones (424: 800 / 424 is not exact)."""
    sizes = [(h, w) for h in range(SMALLEST, LARGEST + 1, 13) for w in range(SMALLEST, LARGEST + 1, 17)]
    for fixed in (97, 424, 640, 800):
        sizes += [(side, fixed) for side in SIDES] + [(fixed, side) for side in SIDES]
    return sorted(set(sizes))


def two_at_a_time():
    """Every side once, as (height, width): for rules that treat both alike."""
    sides = list(SIDES)
    half = len(sides) // 2
    return list(zip(sides[:half], reversed(sides[half:])))


def meta(h, w, channels=1):
    return torch.empty((1, channels, h, w), device="meta")


def extent(t):
    return list(t.shape[-2:])


@contextlib.contextmanager
def without_resampling():
    """torch.nn.functional.interpolate computes the size as always; the pixels are not read, which is a hundred times as fast."""
    kept = torch._C._nn.upsample_bilinear2d
    torch._C._nn.upsample_bilinear2d = lambda x, size, *_: x.new_empty((*x.shape[:2], *size))
    try:
        yield
    finally:
        torch._C._nn.upsample_bilinear2d = kept


def resize():
    exact = detection.exact_scale()
    for min_size, max_size in ((800, 1333), (600, 1000), (224, 256)):
        transform = GeneralizedRCNNTransform(min_size, max_size, [0.0], [1.0]).eval()
        for h, w in image_sizes():
            yield f"resize {h} {w} {min_size} {max_size} {int(exact)}", extent(transform.resize(meta(h, w)[0], None)[0])


def batches():
    transform = GeneralizedRCNNTransform(800, 1333, [0.0], [1.0])
    for h, w in two_at_a_time():
        for other in ((40, 40), (640, 33), (33, 799)):
            batch = transform.batch_images([meta(h, w)[0], meta(*other)[0]])
            yield f"batch {h} {w} {other[0]} {other[1]}", extent(batch)


def pooling():
    # kernel, stride, padding, dilation: those of the networks, and others where ceil_mode drops a window.
    windows = [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (1, 2, 0, 1), (3, 2, 0, 1), (2, 3, 1, 1), (5, 3, 2, 1), (3, 2, 1, 2), (4, 7, 2, 3), (7, 5, 3, 1)]
    for k, s, p, d in windows:
        for ceil in (0, 1):
            module = nn.MaxPool2d(k, s, p, d, ceil_mode=bool(ceil))
            for h, w in two_at_a_time():
                yield f"max {k} {s} {p} {d} {ceil} {h} {w}", extent(module(meta(h, w)))
            if d > 1:
                continue
            module = nn.AvgPool2d(k, s, p, ceil_mode=bool(ceil))
            for h, w in two_at_a_time():
                yield f"avg {k} {s} {p} {d} {ceil} {h} {w}", extent(module(meta(h, w)))


def convolution():
    for k, s, p, d in [(3, 1, 1, 1), (3, 2, 1, 1), (7, 2, 3, 1), (1, 2, 0, 1), (3, 1, 0, 1), (3, 1, 12, 12), (4, 3, 2, 1), (3, 2, 2, 2), (5, 4, 1, 3), (2, 2, 0, 1)]:
        module = nn.Conv2d(1, 1, k, s, p, d, bias=False).to("meta")
        for h, w in two_at_a_time():
            yield f"conv {k} {s} {p} {d} {h} {w}", extent(module(meta(h, w)))
    for k, s, p, o, d in [(2, 2, 0, 0, 1), (4, 2, 1, 0, 1), (3, 2, 1, 1, 1), (16, 8, 4, 0, 1), (64, 32, 16, 0, 1), (3, 3, 0, 2, 2), (5, 1, 2, 0, 1)]:
        module = nn.ConvTranspose2d(1, 1, k, s, p, o, dilation=d, bias=False).to("meta")
        for h, w in two_at_a_time():
            yield f"transposed {k} {s} {p} {o} {d} {h} {w}", extent(module(meta(h, w)))


def without_norms(net):
    """Norms change no size, and not every release computes them on the meta device."""
    for name, child in net.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(net, name, nn.Identity())
        else:
            without_norms(child)
    return net.eval()


def build(constructor, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return without_norms(constructor(**arguments)).to("meta")


def resnet_maps(net, x):
    x = net.relu(net.conv1(x))
    maps = [x]
    x = net.maxpool(x)
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        maps.append(x)
    return maps


def falling_sizes(features, x):
    """The sizes that the features of a network pass through, each once."""
    sizes = [extent(x)]
    for layer in features:
        x = layer(x)
        if extent(x) != sizes[-1]:
            sizes.append(extent(x))
    return sizes[1:]


def flat(sizes):
    return [side for size in sizes for side in size]


def feature_maps():
    """A third of the sides for each network, another third for the next."""
    models = torchvision.models
    sides = two_at_a_time()
    for i, stride in enumerate((32, 16, 8)):
        net = build(models.resnet50, replace_stride_with_dilation=[False, stride <= 8, stride <= 16])
        for h, w in sides[i::3]:
            yield f"maps resnet50 {stride} {h} {w}", flat([(h, w)] + [extent(m) for m in resnet_maps(net, meta(h, w, 3))])
    net = build(models.vgg16).features
    for h, w in sides[::3]:
        yield f"maps vgg16 32 {h} {w}", flat([(h, w)] + falling_sizes(net, meta(h, w, 3)))
    for i, (name, constructor) in enumerate((("mobilenet_v2", models.mobilenet_v2), ("mobilenet_v3_large", models.mobilenet_v3_large))):
        net = build(constructor).features
        for h, w in sides[i + 1 :: 3]:
            yield f"maps {name} 32 {h} {w}", flat([(h, w)] + falling_sizes(net, meta(h, w, 3)))


def anchors():
    """Batches of detectors have multiples of 32 pixels as sides."""
    sides = range(32, 1344 + 1, 32)
    sizes = sorted({(h, w) for h in sides for w in (32, 800, 1216, 1344)} | {(h, w) for w in sides for h in (32, 800)})
    body = build(torchvision.models.resnet18)
    fpn = FeaturePyramidNetwork([64, 128, 256, 512], 8, LastLevelMaxPool()).to("meta")
    vgg = build(torchvision.models.vgg16).features[:30]  # without the last pool
    pyramid = AnchorGenerator(tuple((s,) for s in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    single = AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),))
    for h, w in sizes:
        stages = resnet_maps(body, meta(h, w, 3))[1:]
        levels = list(fpn({str(i): m for i, m in enumerate(stages)}).values())
        yield f"anchors resnet18 {h} {w}", anchors_of(pyramid, h, w, [extent(m) for m in levels])
        yield f"anchors vgg16 {h} {w}", anchors_of(single, h, w, [extent(vgg(meta(h, w, 3)))])


def anchors_of(generator, h, w, sizes):
    batch = ImageList(torch.empty((1, 1, h, w)), [(h, w)])
    made = generator(batch, [torch.empty((1, 1, *size)) for size in sizes])[0]
    numbers, end = flat(sizes) + [len(made)], 0
    for size, per_cell in zip(sizes, generator.num_anchors_per_location()):
        end += size[0] * size[1] * per_cell
        numbers += made[end - 1].to(torch.int64).tolist()
    return numbers


RULES = {"resized images": resize, "batches": batches, "pooling": pooling, "convolution": convolution, "feature maps": feature_maps, "anchors": anchors}


def answers(program, questions):
    result = subprocess.run([program], input="\n".join(questions) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{program} ended with {result.returncode}: {result.stderr}")
    return [[int(n) for n in line.split()] for line in result.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=common.default_program("size_rules"), metavar="BINARY")
    parser.add_argument("--filter", default="", help="only rules whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    passed = failed = 0
    for name, rule in RULES.items():
        if options.filter not in name:
            continue
        with torch.no_grad(), without_resampling():
            cases = list(rule())
        ours = answers(options.program, [question for question, _ in cases])
        if len(ours) != len(cases):
            raise RuntimeError(f"{len(ours)} answers to {len(cases)} questions")
        wrong = [(question, mine, theirs) for (question, theirs), mine in zip(cases, ours) if mine != theirs]
        for question, mine, theirs in wrong[:5]:
            print(f"  {question}: {mine} instead of {theirs}")
        print(f"{name:16} {len(cases):6} sizes, {len(wrong)} differ", flush=True)
        passed, failed = passed + len(cases) - len(wrong), failed + len(wrong)
    return summary.finish(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
