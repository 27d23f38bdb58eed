"""PSPNet on torchvision's ResNets, with one rate per dilated stage."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case, without_dropout


def conv_bn(cin, cout, kernel, stride=1):
    conv = nn.Conv2d(cin, cout, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(cout), nn.ReLU()]


def dilated_resnet(layers, output_stride, multi_grid=()):
    """torchvision's network, all blocks of a dilated stage at the stage's rate; the last one's times `multi_grid`."""
    import torchvision

    net = getattr(torchvision.models, f"resnet{layers}")(weights=None)
    del net.fc, net.avgpool
    stride, rate = 4, 1
    for stage in (net.layer2, net.layer3, net.layer4):
        keep = stride < output_stride
        stride, rate = (2 * stride, rate) if keep else (stride, 2 * rate)
        for i, block in enumerate(stage):
            factor = multi_grid[i] if multi_grid and stage is net.layer4 else 1
            for conv in (m for m in block.modules() if isinstance(m, nn.Conv2d)):
                if not keep:
                    conv.stride = (1, 1)
                if conv.kernel_size == (3, 3):
                    conv.dilation = conv.padding = (rate * factor, rate * factor)
    return net


class PyramidPooling(nn.Module):
    def __init__(self, cin):
        super().__init__()
        self.features = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(bin), *conv_bn(cin, cin // 4, 1)) for bin in (1, 2, 3, 6))

    def forward(self, x):
        return torch.cat([x] + [F.interpolate(f(x), x.shape[2:], mode="bilinear", align_corners=True) for f in self.features], 1)


class PspNet(nn.Module):
    def __init__(self, layers, classes, aux=False, deep_stem=True, output_stride=8):
        super().__init__()
        net = dilated_resnet(layers, output_stride)
        if deep_stem:
            self.layer0 = nn.Sequential(*conv_bn(3, 64, 3, 2), *conv_bn(64, 64, 3), *conv_bn(64, 128, 3))
            first = net.layer1[0]
            first.conv1 = nn.Conv2d(128, 64, first.conv1.kernel_size, padding=first.conv1.padding, bias=False)
            if first.downsample is None:
                first.downsample = nn.Sequential(*conv_bn(128, 64, 1)[:2])
            first.downsample[0] = nn.Conv2d(128, first.downsample[0].out_channels, 1, bias=False)
        else:
            self.conv1, self.bn1, self.relu = net.conv1, net.bn1, net.relu
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        channels = 512 * (4 if layers >= 50 else 1)
        self.ppm = PyramidPooling(channels)
        head = lambda cin, mid: nn.Sequential(*conv_bn(cin, mid, 3), nn.Dropout2d(0.1), nn.Conv2d(mid, classes, 1))
        self.cls = head(2 * channels, channels // 4)
        if aux:
            self.aux = head(channels // 2, channels // 8)

    def forward(self, image):
        x = self.layer0(image) if hasattr(self, "layer0") else self.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(F.max_pool2d(x, 3, 2, 1))))
        up = lambda y: F.interpolate(y, image.shape[2:], mode="bilinear", align_corners=True)
        result = {"out": up(self.cls(self.ppm(self.layer4(x))))}
        if hasattr(self, "aux") and self.training:
            result["aux"] = up(self.aux(x))
        return result


def case(name, layers, classes, batch, height, width, aux=False, stem="deep", output_stride=8, heavy=False):
    model = {"name": "pspnet", "backbone": f"resnet{layers}", "num_classes": classes, "aux_loss": aux, "dropout": 0}
    model.update(stem=stem, output_stride=output_stride)
    build = lambda: without_dropout(PspNet(layers, classes, aux, stem == "deep", output_stride))
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


# The mean over an image has batch statistics only in a batch.
CASES = [
    case("pspnet resnet18 + aux", 18, 11, 4, 97, 81, aux=True),
    case("pspnet resnet50, 7x7 stem", 50, 21, 3, 65, 49, stem="plain"),
    case("pspnet resnet34, stride 16", 34, 5, 3, 101, 67, aux=True, output_stride=16, heavy=True),
    case("pspnet resnet50, 473", 50, 21, 2, 473, 473, aux=True, heavy=True),
    case("pspnet resnet50, 360x480", 50, 11, 2, 360, 480, aux=True, heavy=True),
    case("pspnet resnet50, 201x303", 50, 21, 3, 201, 303, aux=True, heavy=True),
    case("pspnet resnet18, 513", 18, 11, 3, 513, 513, aux=True, heavy=True),
    case("pspnet resnet101, 201x303", 101, 21, 3, 201, 303, aux=True, heavy=True),
]
