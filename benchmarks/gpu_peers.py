#!/usr/bin/env python3
"""Convolutions and networks in PyTorch on a GPU: what atrous is compared with (scripts/gpu_check.sh, part peers).

  convolutions  forward, input gradient and filter gradient, in bf16 and tf32: shapes of segmentation networks with 16 images, and
                every convolution in the files of `atrous bench kernels --json`
  networks      training steps of U-Net with 32 and 64 channels, eager and compiled, 1, 4 and 16 images, in bf16 and tf32

Everything that helps PyTorch is on: channels_last, cudnn.benchmark, set_to_none, fused optimizer. Timed with events on the GPU, inputs
in rotation. What --seconds leaves no time for is listed as left out. Exit code 77: no PyTorch, or no GPU.
"""
import argparse
import json
import pathlib
import re
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch_nets import UNet
except ImportError as problem:
    print(f"no PyTorch: {problem}")
    sys.exit(77)

DTYPES = {"bf16": torch.bfloat16, "tf32": torch.float32}


def conv(n, size, c, k, r, stride=1, dilation=1, groups=1):
    """A problem as `atrous bench kernels` writes it."""
    pad = dilation * (r // 2)
    return (f"n{n} h{size} w{size} c{c} k{k} r{r} s{r} stride {stride}x{stride} pad {pad}x{pad} "
            f"dilation {dilation}x{dilation} groups {groups}")


# Levels of U-Nets, bottlenecks of ResNets, strided, atrous, stems, depthwise.
SHAPES = [conv(16, 512, 32, 32, 3), conv(16, 512, 64, 64, 3), conv(16, 256, 128, 128, 3), conv(16, 128, 256, 256, 3),
          conv(16, 64, 512, 512, 3), conv(16, 32, 1024, 1024, 3), conv(16, 128, 64, 256, 1), conv(16, 128, 256, 64, 1),
          conv(16, 64, 1024, 256, 1), conv(16, 32, 2048, 256, 1), conv(16, 128, 128, 128, 3, stride=2),
          conv(16, 64, 256, 256, 3, dilation=12), conv(16, 512, 3, 64, 7, stride=2), conv(16, 512, 3, 64, 3),
          conv(16, 128, 256, 256, 3, groups=256),
          "transposed n16 h64 w64 c128 k64 r2 s2 stride 2x2 pad 0x0 dilation 1x1 groups 1"]
PROBLEM = re.compile(r"(transposed )?n(\d+) h(\d+) w(\d+) c(\d+) k(\d+) r(\d+) s(\d+) "
                     r"stride (\d+)x(\d+) pad (\d+)x(\d+) dilation (\d+)x(\d+) groups (\d+)")


def median_seconds(call, rounds=20):
    """Median over rounds of several calls each, long enough for the events' resolution."""
    for i in range(3):
        call(i)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def timed(calls):
        begin.record()
        for i in range(calls):
            call(i)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / calls

    calls = max(1, min(100, int(2e-3 / timed(3))))
    times = [timed(calls) for _ in range(rounds)]
    low, median, high = statistics.quantiles(times, n=4)
    return {"median_s": median, "low_s": low, "high_s": high}


def time_convolution(problem, dtype):
    """Seconds of each pass."""
    transposed, *numbers = PROBLEM.fullmatch(problem).groups()
    n, h, w, c, k, r, s, sy, sx, py, px, dy, dx, groups = map(int, numbers)

    def random(*shape):
        return torch.randn(shape, device="cuda", dtype=dtype).contiguous(memory_format=torch.channels_last)

    sets = 3
    x = [random(n, c, h, w) for _ in range(sets)]
    weight = random(*((c, k // groups) if transposed else (k, c // groups)), r, s)
    arguments = ([sy, sx], [py, px], [dy, dx], bool(transposed), [0, 0], groups)
    y = [torch.ops.aten.convolution(x[i], weight, None, *arguments) for i in range(sets)]
    gradient = [torch.randn_like(t) for t in y]
    del y

    def backward(mask):
        return lambda i: torch.ops.aten.convolution_backward(gradient[i % sets], x[i % sets], weight, None, *arguments, mask)

    return {"forward": median_seconds(lambda i: torch.ops.aten.convolution(x[i % sets], weight, None, *arguments)),
            "backward_input": median_seconds(backward([True, False, False])),
            "backward_weight": median_seconds(backward([False, True, False]))}


def problems_of(files):
    """Convolutions of the files that `atrous bench kernels` wrote, without their dtype."""
    found = []
    for path in files:
        for case in json.loads(path.read_text())["cases"]:
            problem = re.sub(r"^(f32|bf16) ", "", case["problem"])
            if case["op"] == "conv2d" and PROBLEM.fullmatch(problem) and problem not in found:
                found.append(problem)
    return found


def convolutions(args, deadline, save):
    files = [pathlib.Path(name) for name in args.cases.split(",") if name]
    for problem in problems_of(files) + SHAPES:
        for name, dtype in DTYPES.items():
            if time.monotonic() > deadline:
                save(left_out={"dtype": name, "problem": problem})
                continue
            try:
                for entry, timing in time_convolution(problem, dtype).items():
                    save(timing={"dtype": name, "entry": entry, "problem": problem, **timing})
            except RuntimeError as problem_of_torch:
                save(left_out={"dtype": name, "problem": problem, "error": str(problem_of_torch)[:300]})


def time_network(base, batch, dtype, compiled, size=256, classes=21):
    torch.manual_seed(1)
    net = UNet(classes, base).cuda().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, fused=True)
    forward = torch.compile(net) if compiled else net
    images = [torch.randn(batch, 3, size, size, device="cuda").contiguous(memory_format=torch.channels_last) for _ in range(4)]
    labels = [torch.randint(classes, (batch, size, size), device="cuda") for _ in range(4)]

    def step(i):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=dtype == "bf16"):
            loss = F.cross_entropy(forward(images[i % 4]), labels[i % 4], ignore_index=255)
        loss.backward()
        optimizer.step()

    return median_seconds(step)


def networks(args, deadline, save):
    # Eager first: compiling takes most of the time.
    for compiled in (False, True):
        for dtype in DTYPES:
            for base in (32, 64):
                for batch in (1, 4, 16):
                    case = {"network": f"unet{base}", "mode": "train", "batch": batch, "size": 256, "dtype": dtype, "compiled": compiled}
                    if time.monotonic() > deadline:
                        save(left_out=case)
                        continue
                    torch.compiler.reset()
                    try:
                        save(timing={**case, **time_network(base, batch, dtype, compiled)})
                    except RuntimeError as problem:
                        save(left_out={**case, "error": str(problem)[:300]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["convolutions", "networks"])
    parser.add_argument("--cases", default="", help="files of `atrous bench kernels --json`, separated by commas")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("PyTorch finds no GPU")
        sys.exit(77)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    result = {"peer": f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}",
              "device": torch.cuda.get_device_name(), "timings": [], "left_out": []}

    def save(timing=None, left_out=None):
        """Written after every timing: a run that is cut short leaves what it had."""
        if timing:
            result["timings"].append(timing)
        if left_out:
            result["left_out"].append(left_out)
        args.json.write_text(json.dumps(result, indent=1) + "\n")

    {"convolutions": convolutions, "networks": networks}[args.what](args, time.monotonic() + args.seconds, save)
    print(f"{len(result['timings'])} timings, {len(result['left_out'])} left out")
    sys.exit(0 if result["timings"] else 1)


if __name__ == "__main__":
    main()
