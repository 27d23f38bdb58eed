#!/usr/bin/env python3
"""The ops on boxes against torchvision's: box_iou, nms, Matcher, BoxCoder, AnchorGenerator, clipping; topk and the losses against torch.

Random trials; in half of them boxes and scores are small integers, so that scores, overlaps and thresholds tie everywhere. Overlaps,
matches, kept boxes, anchors and clipped boxes agree bit for bit. What has gone through exp or log agrees to 1e-6 of the size of the
boxes, losses and their gradients to 1e-6.

Exit code 0 if all agree, 1 if not, 77 if torch or torchvision cannot be imported.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import common
import summary
import torch
import torch.nn.functional as F

try:
    from torchvision.models.detection._utils import BoxCoder, Matcher
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.image_list import ImageList
    from torchvision.ops import box_iou, clip_boxes_to_image, nms
except ImportError:
    print("skipped: no torchvision")
    sys.exit(common.SKIPPED)

CLIP = (600, 800)  # height, width


def draw_boxes(n, integers, g):
    if integers:
        corner, size = torch.randint(0, 12, (n, 2), generator=g).float(), torch.randint(1, 6, (n, 2), generator=g).float()
    else:
        corner, size = torch.rand(n, 2, generator=g) * 700, torch.rand(n, 2, generator=g) * 300 + 2
    return torch.cat([corner, corner + size], 1)


def draw(trial):
    """The inputs of one trial, as box_ops reads them."""
    g = torch.Generator().manual_seed(trial)
    pick = lambda *choices: choices[torch.randint(0, len(choices), (1,), generator=g).item()]
    integers = trial % 2 == 0
    n, truths, k = pick(1, 7, 60, 300), pick(1, 3, 20), pick(1, 3)
    groups = pick(1, 5)
    boxes = draw_boxes(n, integers, g)
    scores = torch.randint(0, 8, (n,), generator=g).float() / 8 if integers else torch.rand(n, generator=g)
    high = pick(500, 700)
    return {
        "boxes": boxes,
        "truths": draw_boxes(truths, integers, g),
        "others": draw_boxes(n, integers, g),
        "scores": scores,
        "groups": torch.randint(0, groups, (n,), generator=g),
        "deltas": torch.randn(n, 4 * k, generator=g) * pick(0.3, 3.0),
        "targets": torch.rand(n, 4 * k, generator=g),
        "match": torch.tensor([high, pick(300, 400, high), pick(0, 1)]),
        "nms": torch.tensor([pick(0, 200, 300, 500, 700, 1000), groups, pick(0, 5)]),
        "coder": torch.tensor(pick([1000] * 4, [10000, 10000, 5000, 5000])),
        "grid": torch.tensor([pick(1, 13, 25), pick(1, 21), pick(4, 61), pick(8, 64)]),
        "sizes": torch.tensor(pick([32.0], [64.0, 100.0], [128.0, 256.0, 512.0])),
        "ratios": torch.tensor(pick([0.5, 1.0, 2.0], [1.0], [0.3, 3.0])),
        "beta": torch.tensor([pick(0, 111, 1000)]),
    }


def kept_boxes(boxes, scores, groups, threshold):
    """torchvision's nms, class by class; then by falling score, equal scores by rising index."""
    kept = torch.cat([torch.where(groups == c)[0][nms(boxes[groups == c], scores[groups == c], threshold)] for c in groups.unique()])
    kept = kept.sort().values
    return kept[scores[kept].sort(descending=True, stable=True).indices]


def expected_anchors(d):
    height, width, stride_y, stride_x = d["grid"].tolist()
    generator = AnchorGenerator((tuple(d["sizes"].tolist()),), (tuple(d["ratios"].tolist()),))
    images = ImageList(torch.zeros(1, 3, height * stride_y, width * stride_x), [(height * stride_y, width * stride_x)])
    return generator(images, [torch.zeros(1, 1, height, width)])[0]


def losses(d):
    """{name: value or gradient}"""
    result = {}
    for reduction in ("mean", "sum"):
        for name, loss in (
            ("bce", lambda x: F.binary_cross_entropy_with_logits(x, d["targets"], reduction=reduction)),
            ("l1", lambda x: F.smooth_l1_loss(x, d["targets"], beta=d["beta"].item() / 1000, reduction=reduction)),
        ):
            x = d["deltas"].clone().requires_grad_()
            value = loss(x)
            value.backward()
            result[f"{name}_{reduction}"] = value.detach().reshape(1)
            result[f"{name}_{reduction}_gradient"] = x.grad
    return result


def differences(d, ours):
    """Names of the results of a trial that differ, and the largest difference of those that need not have the same bits."""
    iou = box_iou(d["truths"], d["boxes"])
    high, low, low_quality = d["match"].tolist()
    matches = Matcher(high / 1000, low / 1000, allow_low_quality_matches=bool(low_quality))(iou)
    threshold, _, max_keep = d["nms"].tolist()
    kept = kept_boxes(d["boxes"], d["scores"], d["groups"], threshold / 1000)
    kept = kept[: max_keep or len(kept)]
    padding = torch.full((len(ours["kept"]) - len(kept),), -1)
    coder = BoxCoder(tuple(w / 1000 for w in d["coder"].tolist()))
    decoded = coder.decode(d["deltas"], [d["boxes"]]).reshape(d["deltas"].shape)
    half = len(d["scores"]) // 2
    top = [s.sort(descending=True, stable=True).indices[:17] + o for s, o in ((d["scores"][:half], 0), (d["scores"][half:], half))]
    sizes = d["boxes"][:, 2:] - d["boxes"][:, :2]
    exact = {
        "iou": iou,
        "matches": matches,
        "kept": torch.cat([kept, padding]),
        "kept_count": torch.tensor([len(kept)]),
        "clipped": clip_boxes_to_image(ours["decoded"].reshape(-1, 4), CLIP).reshape(d["deltas"].shape),
        "usable": ((sizes >= 3).all(1) & (d["scores"] > 0.25)).to(torch.uint8),
        "top": torch.cat(top).reshape(1, -1),
        "anchors": expected_anchors(d),
    }
    close = {"decoded": decoded, "encoded": coder.encode_single(d["others"], d["boxes"]), **losses(d)}
    wrong = [name for name, e in exact.items() if not torch.equal(ours[name], e)]
    errors = {name: ((ours[name] - e).abs().max() / e.abs().max().clamp_min(1)).item() for name, e in close.items()}
    return wrong + [name for name, e in errors.items() if not e <= 1e-6], max(errors.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box-ops", default=common.default_program("box_ops"), help="the program box_ops")
    parser.add_argument("--trials", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    trials = [draw(trial) for trial in range(options.trials)]
    with tempfile.TemporaryDirectory(prefix="atrous_parity_") as folder:
        given, made = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        common.save(given, {f"{i}.{name}": t for i, d in enumerate(trials) for name, t in d.items()})
        subprocess.run([options.box_ops, given, made], check=True)
        ours = common.load(made)
    failed, largest = 0, {}
    for i, d in enumerate(trials):
        prefix = f"{i}."
        wrong, error = differences(d, {name[len(prefix):]: t for name, t in ours.items() if name.startswith(prefix)})
        summary.take_larger(largest, {"value": error})
        if wrong:
            failed += 1
            print(f"trial {i}: {', '.join(wrong)} differ")
    return summary.finish(len(trials) - failed, failed, 0, largest)


if __name__ == "__main__":
    sys.exit(main())
