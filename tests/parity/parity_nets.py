#!/usr/bin/env python3
"""Same weights, same input: the logits and all gradients of atrous against PyTorch, through `atrous forward`.

Each network gets random weights and random running statistics. Logits agree to 1e-4 of the largest in evaluation and in training
mode (batch statistics), and every parameter's gradient to 1e-3 relative, by norm. What `atrous import-weights` and
`export-weights` make of the weights loads back into PyTorch with strict names and gives bit-equal logits.

A gradient jumps where a ReLU or a maximum switches, and rounding alone can switch one. That happens by chance, a wrong formula
always: so a case passes if one of five random draws agrees. In large or deep networks with batch statistics something switches in
almost every draw; PyTorch in float32 then differs from PyTorch in float64 by 3e-3 to 4e-2. Those cases (`deep`) are compared
with float64, and atrous may be at most twice as far from it as PyTorch in float32 is.

Exit code 0 if all agree, 1 if not, 77 if PyTorch cannot be imported.
"""
import argparse
import os
import sys

import common
import torch

import references
import summary

LOGITS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
DRAWS = 5
NAMES = {"out": "logits"}  # of outputs in the files of `atrous forward`, where they differ from those of the cases


def agrees(errors, deep):
    own_logits, own_gradient = errors["own"] if deep else (0, 0)
    return (
        errors["eval"] <= LOGITS_TOLERANCE
        and errors["train"] <= max(LOGITS_TOLERANCE, 2 * own_logits)
        and errors["gradient"] <= max(GRADIENT_TOLERANCE, 2 * own_gradient)
    )


def largest_difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()


def gradients_of(net, image):
    grads = {f"grad.{name}": p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    grads["grad_input"] = image.grad
    return grads


def gradient_error(ours, expected, case):
    """The largest relative error, and whose it is. A bias in front of a batch norm has no gradient but rounding: norms below a
    millionth of the largest count as that, and what the case says has none is measured by the largest."""
    largest = max(t.norm().item() for t in expected.values())
    worst = (0.0, "")
    for name, t in expected.items():
        floor = largest if case.without_gradient(name.removeprefix("grad.")) else 1e-6 * largest
        error = (ours[name].to(t.dtype) - t).norm().item() / max(t.norm().item(), floor)
        if not error <= worst[0]:
            worst = (error, name)
    return worst


def check_round_trip(binary, folder, case, paths, image, expected):
    """What atrous saves loads in PyTorch with strict names and gives the same logits."""
    checkpoint, exported = os.path.join(folder, "checkpoint.st"), os.path.join(folder, "exported.st")
    common.atrous(binary, "import-weights", "--config", paths["config.json"], "--input", paths["weights.st"], "--output", checkpoint)
    common.atrous(binary, "export-weights", "--weights", checkpoint, "--output", exported)
    again = case.build().eval()
    again.load_state_dict(common.load(exported), strict=True)
    with torch.no_grad():
        logits = again(image)["out"]
    if not torch.equal(logits, expected):
        raise RuntimeError(f"weights that went through atrous give other logits: {largest_difference(logits, expected):.1e}")


def compare(binary, folder, case, seed, gradients):
    """Returns {what: error} for the logits in both modes and the worst gradient, and the name of that parameter.
    Without `gradients` only for the logits in evaluation mode."""
    net = case.build()
    common.randomise(net, seed)
    case.prepare(net)
    g = torch.Generator().manual_seed(seed + 1)
    image = torch.randn(case.batch, case.model.get("in_channels", 3), case.height, case.width, generator=g)
    paths = {name: os.path.join(folder, name) for name in ("config.json", "weights.st", "in.st", "out.st")}
    common.write_json(paths["config.json"], {"model": case.model})
    common.save(paths["weights.st"], net.state_dict())
    command = ["forward", "--config", paths["config.json"], "--weights", paths["weights.st"]]
    command += ["--input", paths["in.st"], "--output", paths["out.st"]]

    common.save(paths["in.st"], {"input": image})
    common.atrous(binary, *command)
    ours = common.load(paths["out.st"])
    net.eval()
    with torch.no_grad():
        theirs = net(image)
    errors = {"eval": max(largest_difference(ours[NAMES.get(key, key)], t) for key, t in theirs.items())}

    check_round_trip(binary, folder, case, paths, image, theirs["out"])
    if not gradients:
        return errors | {"train": 0.0, "gradient": 0.0, "own": (0.0, 0.0)}, ""

    net.train()
    image.requires_grad_(True)
    theirs = net(image)
    seeds = {key: torch.randn(t.shape, generator=g) for key, t in theirs.items()}
    torch.autograd.backward(list(theirs.values()), [seeds[key] for key in theirs])
    files = {"input": image} | {f"grad_{NAMES.get(key, key)}": t for key, t in seeds.items()}
    common.save(paths["in.st"], files)
    common.atrous(binary, *command, "--train-mode", "--backward")
    ours = common.load(paths["out.st"])
    errors["train"] = largest_difference(ours["logits"], theirs["out"].detach())
    expected = gradients_of(net, image)
    errors["gradient"], worst = gradient_error(ours, expected, case)
    errors["own"] = (0.0, 0.0)
    if case.deep and (errors["train"] > LOGITS_TOLERANCE or errors["gradient"] > GRADIENT_TOLERANCE):
        net.double().zero_grad()
        exact_image = image.detach().double().requires_grad_(True)
        exact = net(exact_image)
        torch.autograd.backward(list(exact.values()), [seeds[key].double() for key in exact])
        truth, logits = gradients_of(net, exact_image), exact["out"].detach()
        errors["train"] = largest_difference(ours["logits"].double(), logits)
        errors["gradient"], worst = gradient_error(ours, truth, case)
        own_logits = largest_difference(theirs["out"].detach().double(), logits)
        errors["own"] = (own_logits, gradient_error(expected, truth, case)[0])
    missing = [name for name in ours if name.startswith("grad.") and name not in expected]
    if missing:
        raise RuntimeError(f"gradients that PyTorch does not have: {missing}")
    return errors, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    parser.add_argument("--all", action="store_true", help="also the networks with hundreds of MiB of weights")
    parser.add_argument("--eval-only", action="store_true", help="logits in evaluation mode and the way of the weights there and back, no gradients: ten times as fast")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    common.use_threads()
    failed = passed = skipped = 0
    largest = {}
    print(f"{'network':28} {'input':>15} {'eval':>9} {'train':>9} {'gradient':>9}")
    cases = [c for c in references.all_cases() if options.filter in c.name and (options.all or not c.heavy)]
    for seed, case in enumerate(cases):
        size = f"{case.batch}x{case.model.get('in_channels', 3)}x{case.height}x{case.width}"
        try:
            case.build()
        except ImportError as e:
            print(f"{case.name:28} {size:>15} skipped: {e}")
            skipped += 1
            continue
        try:
            for draw in range(DRAWS):
                with common.temporary_folder() as folder:
                    errors, worst = compare(options.atrous, folder, case, seed + 1000 * draw, not options.eval_only)
                ok = agrees(errors, case.deep)
                if ok:
                    break
        except (RuntimeError, KeyError) as e:
            print(f"{case.name:28} {size:>15} FAILED: {e}")
            failed += 1
            continue
        note = "" if ok else f"  FAILED ({worst})"
        if errors["own"][1]:
            note += "  (from float64; PyTorch's float32: {:.1e}, {:.1e})".format(*errors["own"])
        if draw:
            note += f"  (draw {draw + 1})"
        numbers = ["eval"] if options.eval_only else ["eval", "train", "gradient"]
        print(f"{case.name:28} {size:>15} " + " ".join(f"{errors[n]:9.1e}" for n in numbers) + note, flush=True)
        passed, failed = passed + ok, failed + (not ok)
        summary.take_larger(largest, {n: errors[n] for n in numbers})
    return summary.finish(passed, failed, skipped, largest)


if __name__ == "__main__":
    sys.exit(main())
