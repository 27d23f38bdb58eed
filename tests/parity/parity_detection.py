#!/usr/bin/env python3
"""Same weights, same images: detections, losses and gradients of atrous against torchvision, through `atrous forward`.

Each network gets random weights and running statistics; the last layers are scaled so that scores spread and detections occur.
Inference is compared stage by stage (resized image, maps of the RPN, anchors, proposals, features of regions, heads), each stage of
torchvision on what atrous gave to it, and then as a whole: the same detections, boxes within 1e-2 pixels, scores within 1e-4,
masks within 1e-3. Training takes samples in order ("first") instead of at random: the losses agree to 1e-4, the gradient of every
parameter to 1e-3 by norm.

Where two numbers nearly tie, rounding decides: which of two boxes scores higher, whether an overlap is above 0.5, whether a
ReLU is on, on which pixel the corner of a mask falls. That happens by chance, a wrong formula always: a case passes if one of a few
random draws agrees. A mask whose box ends within 2e-3 of a whole pixel may be pasted one pixel aside. In training something switches in
almost every draw: where two float32 runs disagree, both are compared with float64, and atrous may be at most twice as far from it as
PyTorch in float32 is.

Exit code 0 if all agree, 1 if not, 77 if PyTorch or torchvision cannot be imported.
"""
import argparse
import glob
import os
import sys

import common
import torch

import detection_references as detection
import summary

BOXES, SCORES, MASKS = 1e-2, 1e-4, 1e-3  # pixels, probabilities, probabilities
LOSSES, GRADIENTS = 1e-4, 1e-3  # relative
STAGES = 2e-4  # of the largest value of a stage
DRAWS = 5
ERRORS = ("stages", "boxes", "scores", "masks", "losses", "gradient")  # columns of the table


def calibrate(net, images):
    """Divides the last layers by the spread of what they give, so that scores neither saturate nor agree."""
    heads = net.roi_heads
    wanted = {net.rpn.head.cls_logits: 2.0, net.rpn.head.bbox_pred: 0.3, heads.box_predictor.cls_score: 2.0, heads.box_predictor.bbox_pred: 1.0}
    if heads.mask_predictor is not None:
        wanted[heads.mask_predictor.mask_fcn_logits] = 2.0
    if hasattr(net.backbone, "fpn"):
        for block in net.backbone.fpn.layer_blocks:
            wanted[block[-1]] = 1.0
    done, hooks = set(), []

    def rescale(module, _, out):
        if module in done or out.numel() < 2:
            return out
        done.add(module)
        factor = wanted[module] / out.std().item()
        module.weight.data *= factor
        if module.bias is not None:
            module.bias.data *= factor
        return out * factor

    for module in wanted:
        hooks.append(module.register_forward_hook(rescale))
    net.eval()
    with torch.no_grad():
        net(images)
    for h in hooks:
        h.remove()


def photographs():
    folder = os.environ.get("ATROUS_DATA_DIR", "")
    found = [p for kind in ("png", "jpg") for p in glob.glob(os.path.join(folder, "pennfudan", "**", f"*.{kind}"), recursive=True)]
    return sorted(p for p in found if folder and "Mask" not in p)


def read_photograph(path, height, width):
    import numpy
    from PIL import Image

    with Image.open(path) as picture:
        pixels = numpy.asarray(picture.convert("RGB").resize((width, height)), dtype=numpy.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def make_images(case, g):
    images, files = [], photographs() if case.real else []
    for i, (height, width) in enumerate(case.sizes):
        if files:
            images.append(read_photograph(files[(7 * i + height) % len(files)], height, width))
        else:
            smooth = torch.rand(1, 3, 2 + height // 16, 2 + width // 16, generator=g)
            smooth = torch.nn.functional.interpolate(smooth, (height, width), mode="bilinear", align_corners=False)[0]
            images.append((0.8 * smooth + 0.2 * torch.rand(3, height, width, generator=g)).contiguous())
    return images


def make_targets(case, images, g):
    """Boxes of all sizes with elliptic masks."""
    targets = []
    for image, count in zip(images, case.objects):
        height, width = image.shape[1:]
        boxes, masks = [], []
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        for _ in range(count):
            w, h, cx, cy = (torch.rand(4, generator=g) * torch.tensor([0.6, 0.6, 0.5, 0.5]) + torch.tensor([0.1, 0.1, 0.25, 0.25])).tolist()
            w, h, cx, cy = w * width, h * height, cx * width, cy * height
            boxes.append([max(cx - w / 2, 0), max(cy - h / 2, 0), min(cx + w / 2, width), min(cy + h / 2, height)])
            masks.append(((x - cx) / (w / 2)) ** 2 + ((y - cy) / (h / 2)) ** 2 <= 1)
        targets.append(
            {
                "boxes": torch.tensor(boxes).reshape(-1, 4),
                "labels": torch.randint(1, case.model["num_classes"], (count,), generator=g),
                "masks": torch.stack(masks).to(torch.uint8) if masks else torch.zeros((0, height, width), dtype=torch.uint8),
            }
        )
    return targets


def relative(ours, theirs):
    if ours.shape != theirs.shape:
        raise RuntimeError(f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)}")
    if theirs.numel() == 0:
        return 0.0
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()


class Disagreement(Exception):
    pass


def check(what, error, limit):
    if not error <= limit:
        raise Disagreement(f"{what}: {error:.1e}")
    return error


def compare_stages(net, images, ours):
    """torchvision's stages, each on what atrous gave to it. Returns the largest error."""
    worst, heads = 0.0, net.roi_heads
    stage = lambda name: ours["stage." + name]  # noqa: E731
    batch, _ = net.transform(images)
    worst = max(worst, check("image", relative(stage("image"), batch.tensors), STAGES))
    features = net.backbone(batch.tensors)
    features = {"0": features} if torch.is_tensor(features) else features
    objectness, deltas = net.rpn.head(list(features.values()))
    for i, (o, d) in enumerate(zip(objectness, deltas)):
        worst = max(worst, check(f"objectness {i}", relative(stage(f"rpn.objectness.{i}"), o), STAGES))
        worst = max(worst, check(f"deltas {i}", relative(stage(f"rpn.deltas.{i}"), d), STAGES))
    anchors = net.rpn.anchor_generator(batch, list(features.values()))[0]
    check("anchors", (stage("anchors") - anchors).abs().max().item(), 1e-4)
    proposals, _ = net.rpn(batch, features)
    given = [stage(f"proposals.{i}") for i in range(len(images))]
    for a, b in zip(given, proposals):
        if a.shape != b.shape:
            raise Disagreement(f"{len(a)} proposals instead of {len(b)}")
        # Two that score alike may change places.
        distance = (a[:, None] - b[None]).abs().amax(2)
        check("proposals", max(distance.amin(1).max().item(), distance.amin(0).max().item()), BOXES)
    pooled = heads.box_roi_pool(features, given, batch.image_sizes)
    worst = max(worst, check("box features", relative(stage("box_features"), pooled), STAGES))
    logits, box_deltas = heads.box_predictor(heads.box_head(pooled))
    worst = max(worst, check("class logits", relative(stage("class_logits"), logits), STAGES))
    worst = max(worst, check("box deltas", relative(stage("box_deltas"), box_deltas), STAGES))
    return worst


def whole_pixel_corner(box):
    """Whether rounding may move a mask of this box by a pixel: its corners, moved out by 1/28 of a half side, are cut to integers."""
    c, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * (30 / 28)
    corners = torch.cat([c - half, c + half])
    return (corners - corners.round()).abs().min().item() < 2e-3


def compare_detections(ours, theirs, masks):
    """Errors of boxes, scores and masks; the same objects, in any order where scores nearly tie."""
    errors = [0.0, 0.0, 0.0]
    for i, t in enumerate(theirs):
        boxes, labels, scores = ours[f"boxes.{i}"], ours[f"labels.{i}"], ours[f"scores.{i}"]
        if len(labels) != len(t["labels"]):
            raise Disagreement(f"{len(labels)} detections instead of {len(t['labels'])}")
        if (scores[1:] > scores[:-1]).any():
            raise Disagreement("scores that are not in order")
        free = torch.ones(len(labels), dtype=torch.bool)
        for k in range(len(labels)):
            fits = free & (labels == t["labels"][k])
            distance = (boxes - t["boxes"][k]).abs().amax(1)
            distance[~fits] = float("inf")
            j = distance.argmin().item()
            free[j] = False
            errors[0] = max(errors[0], check("box", distance[j].item(), BOXES))
            errors[1] = max(errors[1], check("score", abs(scores[j] - t["scores"][k]).item(), SCORES))
            if masks and not whole_pixel_corner(t["boxes"][k]):
                difference = (ours[f"masks.{i}"][j] - t["masks"][k]).abs().max().item()
                errors[2] = max(errors[2], check("mask", difference, MASKS))
    return errors


def train(net, images, targets):
    net.zero_grad()
    losses = net(images, [dict(t) for t in targets])
    sum(losses.values()).backward()
    return {k: v.detach() for k, v in losses.items()}, {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def loss_error(ours, theirs):
    return max((abs(ours[k] - v) / v.abs().clamp_min(1e-6)).item() for k, v in theirs.items())


def gradient_error(ours, theirs):
    """The largest relative error, and whose it is. Norms below a millionth of the largest are rounding (biases before a batch norm);
    what has no gradient here (no sample of that kind) must be zero there."""
    largest = max(g.norm().item() for g in theirs.values())
    worst = (0.0, "")
    for name, g in theirs.items():
        mine = ours.get("grad." + name, torch.zeros_like(g)).to(g.dtype)
        error = (mine - g).norm().item() / max(g.norm().item(), 1e-6 * largest, 1e-30)
        if not error <= worst[0]:
            worst = (error, name)
    return worst


def compare_training(net, case, images, targets, ours):
    net.train()
    losses, gradients = train(net, images, targets)
    if set(losses) != {k for k in ours if k.startswith("loss_")}:
        raise RuntimeError(f"losses {sorted(k for k in ours if k.startswith('loss_'))} instead of {sorted(losses)}")
    first, (second, name) = loss_error(ours, losses), gradient_error(ours, gradients)
    note = ""
    if first > LOSSES or second > GRADIENTS:
        exact_losses, exact = train(net.double(), [i.double() for i in images], [{**t, "boxes": t["boxes"].double()} for t in targets])
        own_first, own_second = loss_error({k: v.double() for k, v in losses.items()}, exact_losses), gradient_error({"grad." + k: v for k, v in gradients.items()}, exact)[0]
        first, (second, name) = loss_error({k: v.double() for k, v in ours.items()}, exact_losses), gradient_error(ours, exact)
        note = f"  (from float64; PyTorch's float32: {own_first:.1e}, {own_second:.1e})"
        net.float()
        check("losses", first, max(LOSSES, 2 * own_first))
        check(f"gradient of {name}", second, max(GRADIENTS, 2 * own_second))
    else:
        check("losses", first, LOSSES)
        check(f"gradient of {name}", second, GRADIENTS)
    return first, second, note


def compare(binary, folder, case, seed):
    g = torch.Generator().manual_seed(seed + 1)
    net = case.build()
    common.randomise(net, seed)
    images = make_images(case, g)
    targets = make_targets(case, images, g)
    with case.patched():
        calibrate(net, images)
        paths = {name: os.path.join(folder, name) for name in ("config.json", "weights.st", "in.st", "out.st", "train_in.st", "train_out.st")}
        common.write_json(paths["config.json"], {"model": case.model})
        common.save(paths["weights.st"], net.state_dict())
        command = ["forward", "--config", paths["config.json"], "--weights", paths["weights.st"]]
        inputs = {f"input.{i}": image for i, image in enumerate(images)}
        common.save(paths["in.st"], inputs)
        common.atrous(binary, *command, "--input", paths["in.st"], "--output", paths["out.st"], "--stages")
        ours = common.load(paths["out.st"])
        with torch.no_grad():
            stages = compare_stages(net, images, ours)
            theirs = net(images)
        found = sum(len(t["labels"]) for t in theirs)
        if found < 5:
            raise RuntimeError(f"only {found} detections")
        errors = compare_detections(ours, theirs, case.masks)
        for i, t in enumerate(targets):
            inputs.update({f"{k}.{i}": v for k, v in t.items()})
        common.save(paths["train_in.st"], inputs)
        common.atrous(binary, *command, "--input", paths["train_in.st"], "--output", paths["train_out.st"], "--train-mode", "--backward")
        losses = compare_training(net, case, images, targets, common.load(paths["train_out.st"]))
    return (found, stages, *errors, *losses)


def run(binary, case, seed):
    """{what: difference} or None, a note, and why draws before did not agree."""
    reasons = []
    for draw in range(DRAWS):
        try:
            with common.temporary_folder() as folder:
                found, *errors, note = compare(binary, folder, case, seed + 1000 * draw)
                errors = {"found": found, **dict(zip(ERRORS, errors, strict=True))}
        except Disagreement as e:
            reasons.append(str(e))
            continue
        except (RuntimeError, KeyError) as e:
            return None, "", [*reasons, repr(e)]
        return errors, note, reasons
    return None, "", reasons


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    parser.add_argument("--all", action="store_true", help="also networks at their published size")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    if detection.torchvision is None:
        print("skipped: no torchvision")
        return common.SKIPPED
    common.use_threads()
    passed = failed = 0
    largest = {}
    print(f"{'network':36} {'found':>5} " + " ".join(f"{name:>8}" for name in ERRORS))
    for seed, case in enumerate(detection.cases()):
        if options.filter not in case.name or (case.heavy and not options.all):
            continue
        errors, note, reasons = run(options.atrous, case, seed)
        why = "; ".join(reasons)
        if errors is None:
            print(f"{case.name:36} FAILED: {why}", flush=True)
            failed += 1
        else:
            row = f"{errors['found']:5} " + " ".join(f"{errors[name]:8.1e}" for name in ERRORS)
            print(f"{case.name:36} {row}{note}" + (f"  (draw {len(reasons) + 1}, before: {why})" if why else ""), flush=True)
            summary.take_larger(largest, {name: errors[name] for name in ERRORS})
            passed += 1
    return summary.finish(passed, failed, 0, largest)


if __name__ == "__main__":
    sys.exit(main())
