"""The DeepLab family in the papers' forms."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case, without_dropout
from .pspnet import dilated_resnet


def conv_bn(cin, cout, kernel=1, rate=1, groups=1):
    conv = nn.Conv2d(cin, cout, kernel, padding=kernel // 2 * rate, dilation=rate, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(cout), nn.ReLU()]


def separable(cin, cout, rate=1):
    return nn.Sequential(*conv_bn(cin, cin, 3, rate, cin), *conv_bn(cin, cout))


def resize(x, like):
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


class Aspp(nn.Module):
    """The mean over the image is first in the concatenation, last among the names."""

    def __init__(self, cin, rates, separable_rates):
        super().__init__()
        branch = lambda rate: separable(cin, 256, rate) if separable_rates else nn.Sequential(*conv_bn(cin, 256, 3, rate))
        mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn(cin, 256))
        self.convs = nn.ModuleList([nn.Sequential(*conv_bn(cin, 256)), *map(branch, rates), mean])
        self.project = nn.Sequential(*conv_bn(256 * (2 + len(rates)), 256))

    def forward(self, x):
        parts = [branch(x) for branch in self.convs]
        return self.project(torch.cat([resize(parts[-1], x)] + parts[:-1], 1))


class ResNetFeatures(nn.Module):
    def __init__(self, layers, output_stride, multi_grid=()):
        super().__init__()
        net = dilated_resnet(layers, output_stride, multi_grid)
        for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
            setattr(self, name, getattr(net, name))
        self.channels = (64, 512) if layers < 50 else (256, 2048)

    def forward(self, image):
        low = self.layer1(F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1))
        return low, self.layer4(self.layer3(self.layer2(low)))


class DeepLabV3Plus(nn.Module):
    def __init__(self, backbone, classes, rates):
        super().__init__()
        self.backbone = backbone
        low, deep = backbone.channels
        self.decoder = nn.Module()
        self.decoder.aspp = Aspp(deep, rates, True)
        self.decoder.low_level = nn.Sequential(*conv_bn(low, 48))
        self.decoder.refine = nn.Sequential(separable(256 + 48, 256), separable(256, 256))
        self.classifier = nn.Sequential(nn.Conv2d(256, classes, 1))

    def forward(self, image):
        low, deep = self.backbone(image)
        x = torch.cat([resize(self.decoder.aspp(deep), low), self.decoder.low_level(low)], 1)
        return {"out": resize(self.classifier(self.decoder.refine(x)), image)}


class XceptionSeparable(nn.Sequential):
    """`active`: ReLU behind both norms; else none."""

    def __init__(self, cin, cout, stride, rate, active):
        relu = nn.ReLU if active else nn.Identity
        depthwise = nn.Conv2d(cin, cin, 3, stride, padding=rate, dilation=rate, groups=cin, bias=False)
        norm = lambda c: nn.BatchNorm2d(c, eps=1e-3)
        super().__init__(depthwise, norm(cin), relu(), nn.Conv2d(cin, cout, 1, bias=False), norm(cout), relu())


class XceptionBlock(nn.Module):
    def __init__(self, cin, couts, stride, rates, shortcut):
        super().__init__()
        self.shortcut = shortcut
        for i, (cout, rate) in enumerate(zip(couts, rates)):
            separable_conv = XceptionSeparable(cin if i == 0 else couts[i - 1], cout, stride if i == 2 else 1, rate, shortcut == "none")
            setattr(self, f"sep{i + 1}", separable_conv)
        if shortcut == "conv":
            self.skip = nn.Sequential(nn.Conv2d(cin, couts[2], 1, stride, bias=False), nn.BatchNorm2d(couts[2], eps=1e-3))

    def forward(self, x):
        before = nn.Identity() if self.shortcut == "none" else F.relu
        second = self.sep2(before(self.sep1(before(x))))
        y = self.sep3(before(second))
        if self.shortcut == "conv":
            y = y + self.skip(x)
        elif self.shortcut == "sum":
            y = y + x
        return second, y


class Xception65(nn.Module):
    channels = (256, 2048)

    def __init__(self, output_stride, multi_grid=(1, 1, 1)):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32, eps=1e-3)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64, eps=1e-3)
        plan = [((c,) * 3, 2, "conv") for c in (128, 256, 728)] + [((728,) * 3, 1, "sum")] * 16
        plan += [((728, 1024, 1024), 2, "conv"), ((1536, 1536, 2048), 1, "none")]
        cin, at, rate = 64, 2, 1
        for n, (couts, stride, shortcut) in enumerate(plan):
            keep = at < output_stride
            rates = [rate * g for g in multi_grid] if shortcut == "none" else [rate] * 3
            setattr(self, f"block{n + 1}", XceptionBlock(cin, couts, stride if keep else 1, rates, shortcut))
            at, rate = (at * stride, rate) if keep else (at, rate * stride)
            cin = couts[2]

    def forward(self, image):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(image))))))
        for n in range(1, 22):
            second, x = getattr(self, f"block{n}")(x)
            if n == 2:
                low = second
        return low, x


class DeepLabV3(nn.Module):
    def __init__(self, backbone, classes, rates):
        super().__init__()
        self.backbone = backbone
        self.aspp = Aspp(backbone.channels[1], rates, False)
        self.classifier = nn.Sequential(nn.Conv2d(256, classes, 1))

    def forward(self, image):
        return {"out": resize(self.classifier(self.aspp(self.backbone(image)[1])), image)}


class LargeFov(nn.Module):
    """DeepLab v1 for one rate, v2 on VGG16 for several."""

    def __init__(self, classes, rates):
        super().__init__()
        layers, cin = [], 3
        for stage, widths in enumerate(((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)):
            rate = 2 if stage == 4 else 1
            for cout in widths:
                layers += [nn.Conv2d(cin, cout, 3, padding=rate, dilation=rate), nn.ReLU()]
                cin = cout
            layers.append(nn.MaxPool2d(3, 2 if stage < 3 else 1, 1))
        self.features = nn.Sequential(*layers)
        self.suffixes = [""] if len(rates) == 1 else [f"_{i + 1}" for i in range(len(rates))]
        for suffix, rate in zip(self.suffixes, rates):
            setattr(self, "fc6" + suffix, nn.Conv2d(512, 1024, 3, padding=rate, dilation=rate))
            setattr(self, "fc7" + suffix, nn.Conv2d(1024, 1024, 1))
            setattr(self, "fc8" + suffix, nn.Conv2d(1024, classes, 1))

    def scores(self, image):
        x = self.features(image)
        fc = lambda layer, suffix, y: getattr(self, layer + suffix)(y)
        return sum(fc("fc8", s, F.relu(fc("fc7", s, F.relu(fc("fc6", s, x))))) for s in self.suffixes)

    def forward(self, image):
        return {"out": resize(self.scores(image), image)}


class DeepLabV2ResNet(nn.Module):
    def __init__(self, layers, classes, input_scales):
        super().__init__()
        self.backbone = ResNetFeatures(layers, 8)
        cin = self.backbone.channels[1]
        self.aspp = nn.ModuleDict({f"c{i}": nn.Conv2d(cin, classes, 3, padding=r, dilation=r) for i, r in enumerate((6, 12, 18, 24))})
        self.input_scales = input_scales or [1]

    def forward(self, image):
        fused = None
        for s in self.input_scales:
            scaled = image if s == 1 else F.interpolate(image, scale_factor=s, mode="bilinear", align_corners=False, recompute_scale_factor=True)
            deep = self.backbone(scaled)[1]
            scores = sum(conv(deep) for conv in self.aspp.values())
            fused = scores if fused is None else torch.maximum(fused, resize(scores, fused))
        return {"out": resize(fused, image)}


def rates_at(output_stride):
    return [rate * 16 // output_stride for rate in (6, 12, 18)]


def v1_or_v2(name, network, classes, rates, height, width, heavy=False):
    model = {"name": network, "num_classes": classes, "dropout": 0, **({"backbone": "vgg16"} if network == "deeplabv2" else {})}
    return Case(name, model, lambda: LargeFov(classes, rates), 1, height, width, heavy=heavy)


def v2(name, layers, classes, batch, height, width, input_scales=(), heavy=False):
    model = {"name": "deeplabv2", "backbone": f"resnet{layers}", "num_classes": classes, "input_scales": list(input_scales)}
    build = lambda: DeepLabV2ResNet(layers, classes, input_scales)
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


def v3(name, layers, classes, batch, height, width, output_stride=16, heavy=False):
    model = {"name": "deeplabv3", "backbone": f"resnet{layers}", "num_classes": classes, "dropout": 0, "output_stride": output_stride}
    grid = () if layers == 18 else (1, 2, 4)
    build = lambda: DeepLabV3(ResNetFeatures(layers, output_stride, grid), classes, rates_at(output_stride))
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


def xception(name, classes, batch, height, width, output_stride=16, multi_grid=(1, 1, 1), heavy=False):
    model = {"name": "deeplabv3plus", "backbone": "xception65", "num_classes": classes, "dropout": 0}
    model.update(output_stride=output_stride, multi_grid=list(multi_grid))
    build = lambda: DeepLabV3Plus(Xception65(output_stride, multi_grid), classes, rates_at(output_stride))
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


def v3plus(name, layers, classes, batch, height, width, output_stride=16, multi_grid=(), heavy=False):
    model = {"name": "deeplabv3plus", "backbone": f"resnet{layers}", "num_classes": classes, "dropout": 0}
    model.update(output_stride=output_stride, multi_grid=list(multi_grid))
    build = lambda: DeepLabV3Plus(ResNetFeatures(layers, output_stride, multi_grid), classes, rates_at(output_stride))
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


# The mean over an image has batch statistics only in a batch.
CASES = [
    v3plus("deeplabv3plus resnet18", 18, 11, 4, 97, 81),
    v3plus("deeplabv3plus resnet50, stride 8", 50, 21, 3, 65, 49, 8, (1, 2, 4), heavy=True),
    v3plus("deeplabv3plus resnet50, 513", 50, 21, 2, 513, 513, heavy=True),
    v3plus("deeplabv3plus resnet50, 360x480", 50, 11, 2, 360, 480, heavy=True),
    v3plus("deeplabv3plus resnet101, 201x303", 101, 21, 3, 201, 303, heavy=True),
    xception("deeplabv3plus xception65", 5, 3, 49, 33),
    xception("deeplabv3plus xception65, stride 8", 5, 3, 65, 49, 8, (1, 2, 4), heavy=True),
    xception("deeplabv3plus xception65, 201x303", 21, 3, 201, 303, heavy=True),
    v3("deeplabv3 resnet34", 34, 11, 4, 97, 81),
    v3("deeplabv3 resnet50, stride 8", 50, 21, 3, 65, 49, 8, heavy=True),
    v3("deeplabv3 resnet50, 513", 50, 21, 2, 513, 513, heavy=True),
    v3("deeplabv3 resnet101, 360x480", 101, 11, 2, 360, 480, heavy=True),
    v1_or_v2("deeplabv1", "deeplabv1", 21, [12], 65, 49),
    v1_or_v2("deeplabv1, 201x303", "deeplabv1", 21, [12], 201, 303, heavy=True),
    v1_or_v2("deeplabv2 vgg16", "deeplabv2", 21, [6, 12, 18, 24], 65, 97, heavy=True),
    v2("deeplabv2 resnet18, 3 scales", 18, 11, 2, 97, 81, [1, 0.75, 0.5]),
    v2("deeplabv2 resnet101, 201x303", 101, 21, 1, 201, 303, heavy=True),
    v2("deeplabv2 resnet50, 360x480, 3 scales", 50, 21, 1, 360, 480, [1, 0.75, 0.5], heavy=True),
]
