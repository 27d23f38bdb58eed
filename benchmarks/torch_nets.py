#!/usr/bin/env python3
"""The networks of `atrous bench nets` in PyTorch, as its peer.

Prints a line with the version and one with the number of parameters, or "none: " and why there is no such peer.
Then answers each line of standard input: "step" with the seconds that one step took, "memory" with the peak of
resident memory less what it was before the network was built, in bytes (-1: unknown).
Everything that helps PyTorch is on: channels_last, inference_mode, set_to_none, MKL-DNN (its default). With
--math bf16 forward pass and loss run under torch.autocast, which computes convolutions and their outputs in bf16.
"""
import argparse
import importlib
import json
import math
import struct
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


def crop(x, offset, height, width):
    return x[:, :, offset:offset + height, offset:offset + width]


class Fcn8sVgg16(nn.Module):
    """The original FCN-8s. Its fixed bilinear deconvolutions are computed as what they are, interpolation of the
    map with a zero around it: much less work than transposed convolutions of 21 by 21 channels."""

    def __init__(self, classes):
        super().__init__()
        stages, cin = [], 3
        for width, convs in zip([64, 128, 256, 512, 512], [2, 2, 3, 3, 3]):
            layers = []
            for _ in range(convs):
                layers += [nn.Conv2d(cin, width, 3, padding=100 if cin == 3 else 1), nn.ReLU(inplace=True)]
                cin = width
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2, 2, ceil_mode=True)))
        self.stages = nn.ModuleList(stages)
        self.connected = nn.Sequential(nn.Conv2d(512, 4096, 7), nn.ReLU(inplace=True), nn.Dropout(0.5),
                                       nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
                                       nn.Conv2d(4096, classes, 1))
        self.score4 = nn.Conv2d(512, classes, 1)
        self.score3 = nn.Conv2d(256, classes, 1)

    @staticmethod
    def deconvolution(x, factor, offset, height, width):
        large = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=factor, mode="bilinear", align_corners=False)
        return crop(large, offset + factor // 2, height, width)

    def doubled_plus(self, x, score, pool, offset):
        height, width = 2 * (x.shape[2] + 1), 2 * (x.shape[3] + 1)
        return self.deconvolution(x, 2, 0, height, width) + crop(score(pool), offset, height, width)

    def forward(self, x):
        height, width = x.shape[-2:]
        pools = []
        for stage in self.stages:
            x = stage(x)
            pools.append(x)
        x = self.doubled_plus(self.connected(x), self.score4, pools[3], 5)
        x = self.doubled_plus(x, self.score3, pools[2], 9)
        return self.deconvolution(x, 8, 31, height, width)


def conv_norm(cin, cout, kernel=1, stride=1, dilation=1, groups=1, activation=nn.ReLU):
    layers = [nn.Conv2d(cin, cout, kernel, stride, dilation * (kernel // 2), dilation, groups, bias=False),
              nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


def separable(cin, cout, dilation=1):
    return nn.Sequential(conv_norm(cin, cin, 3, dilation=dilation, groups=cin), conv_norm(cin, cout))


class InvertedResidual(nn.Module):
    def __init__(self, cin, cout, expansion, stride, dilation):
        super().__init__()
        wide = cin * expansion
        self.shortcut = stride == 1 and cin == cout
        self.layers = nn.Sequential(
            *([conv_norm(cin, wide, activation=nn.ReLU6)] if expansion != 1 else []),
            conv_norm(wide, wide, 3, stride, dilation, groups=wide, activation=nn.ReLU6),
            conv_norm(wide, cout, activation=None))

    def forward(self, x):
        return x + self.layers(x) if self.shortcut else self.layers(x)


class DeepLabV3PlusMobileNetV2(nn.Module):
    """Output stride 16; all blocks of the last stage have rate 2. The paper's decoder of separable convolutions."""

    def __init__(self, classes):
        super().__init__()
        blocks, cin = [conv_norm(3, 32, 3, 2, activation=nn.ReLU6)], 32
        for expansion, width, count, stride, dilation in [(1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1),
                                                          (6, 64, 4, 2, 1), (6, 96, 3, 1, 1), (6, 160, 3, 1, 2),
                                                          (6, 320, 1, 1, 2)]:
            for i in range(count):
                blocks.append(InvertedResidual(cin, width, expansion, stride if i == 0 else 1, dilation))
                cin = width
        self.low, self.deep = nn.Sequential(*blocks[:4]), nn.Sequential(*blocks[4:])
        self.mean = conv_norm(320, 256)
        self.branches = nn.ModuleList([conv_norm(320, 256)] + [separable(320, 256, rate) for rate in (6, 12, 18)])
        self.project = nn.Sequential(conv_norm(5 * 256, 256), nn.Dropout(0.1))
        self.low_level = conv_norm(24, 48)
        self.refine = nn.Sequential(separable(256 + 48, 256), separable(256, 256))
        self.score = nn.Conv2d(256, classes, 1)

    def forward(self, x):
        size = x.shape[-2:]
        low = self.low(x)
        deep = self.deep(low)
        mean = self.mean(F.adaptive_avg_pool2d(deep, 1)).expand(-1, -1, *deep.shape[-2:])
        context = self.project(torch.cat([mean] + [branch(deep) for branch in self.branches], 1))
        context = F.interpolate(context, size=low.shape[-2:], mode="bilinear", align_corners=True)
        x = self.score(self.refine(torch.cat([context, self.low_level(low)], 1)))
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class TorchvisionLogits(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def deeplabv3_resnet50(classes):
    from torchvision.models.segmentation import deeplabv3_resnet50 as build
    return TorchvisionLogits(build(weights=None, weights_backbone=None, num_classes=classes, aux_loss=False))


def maskrcnn_resnet50_fpn(args):
    """As torchvision builds it on published weights: constant norms, the stem and the first stage fixed."""
    from torchvision.models import resnet50
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.ops import FrozenBatchNorm2d
    body = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
    return MaskRCNN(_resnet_fpn_extractor(body, 3), args.classes, min_size=min(args.height, args.width),
                    max_size=max(args.height, args.width))


def read_safetensors(path):
    types = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    result = {}
    for name, entry in header.items():
        count = math.prod(entry["shape"])  # 1 for a scalar; nothing here is empty
        flat = torch.frombuffer(data, dtype=types[entry["dtype"]], offset=entry["data_offsets"][0], count=count)
        result[name] = flat.reshape(entry["shape"]).clone()
    return result


def segmentation_steps(net, args):
    shape = (args.batch, 3, args.height, args.width)
    images = [torch.randn(shape).contiguous(memory_format=torch.channels_last) for _ in range(4)]
    labels = [torch.randint(args.classes, (args.batch, args.height, args.width)) for _ in range(4)]

    def infer(i):
        net(images[i])

    def loss(i):
        return F.cross_entropy(net(images[i]), labels[i], ignore_index=255)

    return infer, loss


def detection_steps(net, args):
    """The weights and images of the other side: a detector has as much to do as it finds."""
    start = read_safetensors(args.start)
    net.load_state_dict({name[8:]: t for name, t in start.items() if name.startswith("weights.")})
    images, targets = [], []
    for b in range(4):
        which = [f".{b}.{i}" for i in range(args.batch)]
        images.append([start["image" + w].permute(2, 0, 1) for w in which])
        targets.append([{"boxes": start["boxes" + w], "labels": start["labels" + w].long(),
                         "masks": start["masks" + w]} for w in which])

    def infer(i):
        net(images[i])

    def loss(i):
        return sum(net(images[i], targets[i]).values())

    return infer, loss


def unet_efficientnet_lite0(args):
    """segmentation_models_pytorch's, without stochastic depth."""
    import segmentation_models_pytorch as smp
    net = smp.Unet("timm-tf_efficientnet_lite0", encoder_weights=None, classes=args.classes)
    for module in net.modules():
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.0
    return net


NETWORKS = {
    "unet32": lambda args: UNet(args.classes, 32),
    "fcn8s_resnet18": lambda args: Fcn8sResNet18(args.classes),
    "fcn8s_vgg16": lambda args: Fcn8sVgg16(args.classes),
    "deeplabv3plus_mobilenet_v2": lambda args: DeepLabV3PlusMobileNetV2(args.classes),
    "deeplabv3_resnet50": lambda args: deeplabv3_resnet50(args.classes),
    "maskrcnn_resnet50_fpn": maskrcnn_resnet50_fpn,
    "unet_efficientnet_lite0": unet_efficientnet_lite0,
}
LIBRARIES = {"deeplabv3_resnet50": "torchvision", "maskrcnn_resnet50_fpn": "torchvision",
             "unet_efficientnet_lite0": "segmentation_models_pytorch"}
DETECTORS = {"maskrcnn_resnet50_fpn"}


def status(key):
    """A line of /proc/self/status such as "VmHWM:  1234 kB", in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
    raise OSError(key)


def forget_peak():
    """The peak of resident memory (VmHWM) starts afresh from what is resident now: proc(5), clear_refs."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5\n")


def growth_since(before):
    return -1 if before is None else status("VmHWM") - before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--mode", choices=["infer", "train"], required=True)
    parser.add_argument("--math", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", help="safetensors with weights and images, for detectors")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    library = LIBRARIES.get(args.network)
    if library:
        try:
            importlib.import_module(library)
        except Exception as error:
            print(f"none: {args.network} needs {library} in the Python of PyTorch ({error})".replace("\n", " "))
            return
    try:
        before = status("VmRSS")
        forget_peak()
    except OSError:
        before = None
    net = NETWORKS[args.network](args).to(memory_format=torch.channels_last).train(args.mode == "train")
    steps = detection_steps if args.network in DETECTORS else segmentation_steps
    infer, loss = steps(net, args)
    learning_rate = 1e-7 if args.network in DETECTORS else 1e-3
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=0.9)

    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.math == "bf16")

    def train_step(i):
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            value = loss(i)
        value.backward()
        optimizer.step()

    def infer_step(i):
        with torch.inference_mode(), autocast():
            infer(i)

    if before is not None:
        forget_peak()  # what was read to start from is no memory of a step
    step = train_step if args.mode == "train" else infer_step
    print(f"PyTorch {torch.__version__}" + (" autocast bf16" if args.math == "bf16" else ""))
    print(sum(p.numel() for p in net.parameters()), flush=True)
    count = 0
    for line in sys.stdin:
        if line.strip() == "memory":
            print(growth_since(before), flush=True)
            continue
        start = time.perf_counter()
        step(count % 4)
        print(time.perf_counter() - start, flush=True)
        count += 1


if __name__ == "__main__":
    main()
