#!/usr/bin/env python3
"""The networks of `atrous bench nets` in PyTorch, as its peer.

Prints one line with the version, then answers each line on standard input with the seconds that one step took.
Everything that helps PyTorch is on: channels_last, inference_mode, set_to_none, MKL-DNN (its default).
"""
import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def double_conv(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True),
        nn.Conv2d(cout, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Padded U-Net with batch norm, five levels, transposed-convolution up-sampling."""

    def __init__(self, classes, base, levels=5):
        super().__init__()
        widths = [base * 2 ** i for i in range(levels)]
        self.down = nn.ModuleList(double_conv(a, b) for a, b in zip([3] + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[:-1])
        self.merge = nn.ModuleList(double_conv(2 * w, w) for w in widths[:-1])
        self.score = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for up, merge, skip in reversed(list(zip(self.up, self.merge, skips))):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.score(x)


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Fcn8sResNet18(nn.Module):
    """ResNet-18 of output stride 32; 1x1 scores of its last three stages, summed from coarse to fine."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
                                  nn.MaxPool2d(3, 2, 1))
        widths = [64, 64, 128, 256, 512]
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(a, b, 1 if i == 0 else 2), BasicBlock(b, b, 1))
            for i, (a, b) in enumerate(zip(widths, widths[1:])))
        self.scores = nn.ModuleList(nn.Conv2d(w, classes, 1) for w in widths[2:])

    def forward(self, x):
        size = x.shape[-2:]
        x = self.stages[0](self.stem(x))
        total = None
        features = []
        for stage in list(self.stages)[1:]:
            x = stage(x)
            features.append(x)
        for score, feature in reversed(list(zip(self.scores, features))):
            s = score(feature)
            if total is not None:
                s = s + F.interpolate(total, size=s.shape[-2:], mode="bilinear", align_corners=False)
            total = s
        return F.interpolate(total, size=size, mode="bilinear", align_corners=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=["unet32", "fcn8s_resnet18"], required=True)
    parser.add_argument("--mode", choices=["infer", "train"], required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net = UNet(args.classes, 32) if args.network == "unet32" else Fcn8sResNet18(args.classes)
    net = net.to(memory_format=torch.channels_last).train(args.mode == "train")
    shape = (args.batch, 3, args.size, args.size)
    images = [torch.randn(shape).contiguous(memory_format=torch.channels_last) for _ in range(4)]
    labels = [torch.randint(args.classes, (args.batch, args.size, args.size)) for _ in range(4)]
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def train_step(i):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(images[i]), labels[i], ignore_index=255)
        loss.backward()
        optimizer.step()

    def infer_step(i):
        with torch.inference_mode():
            net(images[i])

    step = train_step if args.mode == "train" else infer_step
    print(f"PyTorch {torch.__version__}", flush=True)
    for count, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        step(count % 4)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
