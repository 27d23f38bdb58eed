#!/usr/bin/env python3
"""Ops on regions of interest against torchvision: roi_align and roi_pool with their gradients, mask targets, pasting of masks.

Inputs go to the test program roi_ops and its results come back as safetensors. Values and gradients agree to 1e-5 of the largest.
Masks pasted by Detectron2's rule are compared with grid_sample, which is how Detectron2 does it.

Exit code 0 if all agree, 1 if not, 77 if PyTorch or torchvision cannot be imported.
"""
import argparse
import os
import subprocess
import sys

import common
import summary
import torch
import torch.nn.functional as F

try:
    import torchvision
    from torchvision.models.detection.roi_heads import paste_masks_in_image
except ImportError:
    print("skipped: no torchvision")
    sys.exit(common.SKIPPED)

TOLERANCE = 1e-5


def regions(g, count, images, height, width):
    """Boxes of many sizes, a fifth of them reaching far over the borders, and some without extent or with exchanged corners."""
    corner = torch.rand(count, 2, generator=g) * torch.tensor([width, height])
    side = torch.exp2(-5 * torch.rand(count, 2, generator=g)) * torch.tensor([width, height])
    boxes = torch.cat([corner - side / 2, corner + side / 2], 1)
    boxes[::5] = boxes[::5] * 7 - 3 * width
    boxes[3::20, 2:] = boxes[3::20, :2]
    boxes[4::20] = boxes[4::20][:, [2, 3, 0, 1]]
    image = torch.randint(0, images, (count, 1), generator=g).float()
    return torch.cat([image, boxes], 1)


def boxes_inside(g, count, height, width):
    """What a detector keeps: clipped to the image, one pixel or more."""
    size = torch.tensor([width, height])
    side = torch.exp2(-5 * torch.rand(count, 2, generator=g)) * size
    first = torch.rand(count, 2, generator=g) * (size - side)
    return torch.cat([first, first + side.clamp_min(1)], 1).clamp_min(0).minimum(torch.tensor([width, height]).repeat(2))


def nhwc(t):
    return t.permute(0, 2, 3, 1).contiguous()


def align_cases(g):
    """(name, shapes of the maps [N,C,H,W], scales, output size, sampling ratio, aligned)"""
    for aligned in (False, True):
        for ratio in (0, 1, 2, 3, 9):
            yield f"{ratio} {aligned}", [(2, 5, 19, 23)], [0.25], (3, 4), ratio, aligned
        yield f"odd scale {aligned}", [(2, 3, 30, 21)], [0.3], (5, 5), 0, aligned
        yield f"whole numbers {aligned}", [(1, 4, 16, 16)], [1.0], (4, 2), -1, aligned
        yield f"pyramid {aligned}", [(2, 32, 48, 40), (2, 32, 24, 20), (2, 32, 12, 10)], [0.25, 0.125, 0.0625], (7, 7), 2, aligned
    yield "box head", [(1, 64, 100, 84)], [0.25], (7, 7), 2, False
    yield "mask head", [(1, 64, 100, 84)], [0.25], (14, 14), 0, True


def add_align(g, inputs, expected):
    for name, shapes, scales, size, ratio, aligned in align_cases(g):
        name = f"align {name}"
        n, c = shapes[0][:2]
        height, width = shapes[0][2] / scales[0], shapes[0][3] / scales[0]
        rois = regions(g, 60, n, height, width)
        if name.startswith("align whole"):
            rois = rois.round()
        maps = [torch.randn(s, generator=g, requires_grad=True) for s in shapes]
        levels = torch.randint(0, len(maps), (len(rois),), generator=g)
        y = torch.zeros(len(rois), c, *size)
        for level, (x, scale) in enumerate(zip(maps, scales)):
            own = levels == level
            y[own] = torchvision.ops.roi_align(x, rois[own], size, scale, ratio, aligned)
        dy = torch.randn(y.shape, generator=g)
        y.backward(dy)
        inputs[f"{name}.rois"] = rois
        inputs[f"{name}.scales"] = torch.tensor(scales)
        inputs[f"{name}.align"] = torch.tensor([*size, ratio, int(aligned)])
        inputs[f"{name}.dy"] = nhwc(dy)
        if len(maps) > 1:
            inputs[f"{name}.levels"] = levels.int()
        for i, x in enumerate(maps):
            inputs[f"{name}.map{i}"] = nhwc(x.detach())
            expected[f"{name}.align_grad{i}"] = nhwc(x.grad)
        expected[f"{name}.align"] = nhwc(y.detach())


def add_pool(g, inputs, expected):
    for scale, size, shape in [(1.0, (3, 4), (2, 5, 19, 23)), (0.0625, (7, 7), (2, 32, 38, 50)), (0.3, (2, 5), (1, 3, 30, 21))]:
        name = f"pool {scale}"
        rois = regions(g, 60, shape[0], shape[2] / scale, shape[3] / scale)
        x = torch.randn(shape, generator=g, requires_grad=True)
        y = torchvision.ops.roi_pool(x, rois, size, scale)
        dy = torch.randn(y.shape, generator=g)
        y.backward(dy)
        inputs.update({f"{name}.rois": rois, f"{name}.scales": torch.tensor([scale]), f"{name}.pool": torch.tensor(size)})
        inputs.update({f"{name}.dy": nhwc(dy), f"{name}.map0": nhwc(x.detach())})
        expected.update({f"{name}.pool": nhwc(y.detach()), f"{name}.pool_grad": nhwc(x.grad)})


def add_targets(g, inputs, expected):
    for size, height, width in [(28, 120, 90), (7, 33, 61)]:
        name = f"targets {size}"
        masks = (torch.rand(4, height, width, generator=g) > 0.5).to(torch.uint8)
        rois = regions(g, 40, 4, height, width)
        inputs.update({f"{name}.masks": masks, f"{name}.rois": rois, f"{name}.targets": torch.tensor([size])})
        expected[f"{name}.targets"] = torchvision.ops.roi_align(masks[:, None].float(), rois, (size, size), 1.0)[:, 0]


def sampled(masks, boxes, height, width):
    """Each mask at the centres of the image's pixels, its box spanning [-1, 1]."""
    x0, y0, x1, y1 = boxes.split(1, 1)
    u = (torch.arange(width) + 0.5 - x0) / (x1 - x0) * 2 - 1
    v = (torch.arange(height) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack([u[:, None, :].expand(-1, height, -1), v[:, :, None].expand(-1, -1, width)], 3)
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0]


def add_paste(g, inputs, expected):
    for size, height, width in [(28, 97, 133), (7, 40, 30), (28, 480, 640)]:
        name = f"paste {size} {height}"
        masks = torch.rand(12, size, size, generator=g)
        boxes = boxes_inside(g, 12, height, width)
        inputs.update({f"{name}.predicted": masks, f"{name}.boxes": boxes, f"{name}.paste": torch.tensor([height, width])})
        values = paste_masks_in_image(masks[:, None], boxes, (height, width), padding=1)[:, 0]
        expected[f"{name}.torchvision"] = values
        expected[f"{name}.detectron2"] = sampled(masks, boxes, height, width)


def check_thresholds(results, expected):
    """Binary masks are the values compared with 1/2; a value that rounding decides may go either way."""
    wrong = 0
    for name in [n for n in expected if n.endswith((".torchvision", ".detectron2"))]:
        values, binary = expected[name], results.pop(name + "_u8").bool()
        passes = values > 0.5 if name.endswith("torchvision") else values >= 0.5
        wrong += ((binary != passes) & ((values - 0.5).abs() > TOLERANCE)).sum().item()
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=common.default_program("roi_ops"))
    arguments = parser.parse_args()
    g = torch.Generator().manual_seed(5)
    inputs, expected = {}, {}
    for add in (add_align, add_pool, add_targets, add_paste):
        add(g, inputs, expected)
    with common.temporary_folder() as folder:
        paths = [os.path.join(folder, name) for name in ("in.safetensors", "out.safetensors")]
        common.save(paths[0], inputs)
        subprocess.run([arguments.program, *paths], check=True)
        results = common.load(paths[1])
    wrong = check_thresholds(results, expected)
    if results.keys() != expected.keys():
        print(f"FAILED: results {sorted(results.keys() ^ expected.keys())} are missing or too many")
        return 1
    failed, worst = int(wrong > 0), 0.0
    if wrong:
        print(f"FAILED: {wrong} pixels of binary masks differ")
    for name, want in sorted(expected.items()):
        # `not <=`, so that NaN fails.
        error = ((results[name] - want).abs().max() / want.abs().max()).item()
        worst = worst if error <= worst else error
        if not error <= TOLERANCE:
            print(f"FAILED {name}: differs by {error:.1e} of the largest value")
            failed += 1
    return summary.finish(len(expected) - failed, failed, 0, {"value": worst})


if __name__ == "__main__":
    sys.exit(main())
