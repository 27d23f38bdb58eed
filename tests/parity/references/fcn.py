"""FCN on VGG16 and on ResNets, and torchvision's dilated FCN."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case, without_dropout


def bilinear_deconvolution(x, factor):
    """The original's fixed transposed convolution: kernel 2f, stride f, one bilinear filter per class."""
    k = 2 * factor
    ramp = 1 - (torch.arange(k, dtype=torch.float32) - (factor - 0.5)).abs() / factor
    weight = (ramp[:, None] * ramp[None, :]).expand(x.shape[1], 1, k, k)
    return F.conv_transpose2d(x, weight, stride=factor, groups=x.shape[1])


class FcnVgg(nn.Module):
    def __init__(self, classes, stride, at_once=False):
        super().__init__()
        layers, cin = [], 3
        for widths in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
            for cout in widths:
                layers += [nn.Conv2d(cin, cout, 3, padding=100 if cin == 3 else 1), nn.ReLU()]
                cin = cout
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.fc6, self.fc7 = nn.Conv2d(512, 4096, 7), nn.Conv2d(4096, 4096, 1)
        self.score_fr = nn.Conv2d(4096, classes, 1)
        if stride <= 16:
            self.score_pool4 = nn.Conv2d(512, classes, 1)
        if stride <= 8:
            self.score_pool3 = nn.Conv2d(256, classes, 1)
        self.stride, self.at_once = stride, at_once

    def forward(self, image):
        pools, x = [], image
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        x = self.score_fr(F.relu(self.fc7(F.relu(self.fc6(x)))))
        skips = []
        if self.stride <= 16:
            skips.append((self.score_pool4, pools[3], 0.01, 5))
        if self.stride <= 8:
            skips.append((self.score_pool3, pools[2], 0.0001, 9))
        for score, pool, scale, offset in skips:
            x = bilinear_deconvolution(x, 2)
            s = score(pool * scale if self.at_once else pool)
            x = x + s[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]]
        x = bilinear_deconvolution(x, self.stride)
        offset = {32: 19, 16: 27, 8: 31}[self.stride]
        return {"out": x[:, :, offset : offset + image.shape[2], offset : offset + image.shape[3]]}


class FcnResNet(nn.Module):
    """Needs torchvision for the backbone."""

    def __init__(self, layers, classes, stride):
        super().__init__()
        import torchvision

        self.backbone = getattr(torchvision.models, f"resnet{layers}")(weights=None)
        del self.backbone.fc
        c = [w * (4 if layers >= 50 else 1) for w in (64, 128, 256, 512)]
        self.score5 = nn.Conv2d(c[3], classes, 1)
        if stride <= 16:
            self.score4 = nn.Conv2d(c[2], classes, 1)
        if stride <= 8:
            self.score3 = nn.Conv2d(c[1], classes, 1)

    def forward(self, image):
        b = self.backbone
        x = b.maxpool(b.relu(b.bn1(b.conv1(image))))
        features = []
        for stage in (b.layer1, b.layer2, b.layer3, b.layer4):
            x = stage(x)
            features.append(x)
        x = self.score5(features[3])
        for name, lateral in (("score4", features[2]), ("score3", features[1])):
            if hasattr(self, name):
                s = getattr(self, name)(lateral)
                x = F.interpolate(x, size=s.shape[2:], mode="bilinear", align_corners=False) + s
        return {"out": F.interpolate(x, size=image.shape[2:], mode="bilinear", align_corners=False)}


def vgg(name, classes, stride, height, width, at_once=False, heavy=True):
    model = {"name": f"fcn{stride}s", "num_classes": classes, "at_once": at_once, "dropout": 0}
    return Case(name, model, lambda: FcnVgg(classes, stride, at_once), 1, height, width, heavy=heavy)


def resnet(name, layers, classes, stride, height, width, heavy=False):
    model = {"name": f"fcn{stride}s", "backbone": f"resnet{layers}", "num_classes": classes}
    return Case(name, model, lambda: FcnResNet(layers, classes, stride), 2, height, width, deep=True, heavy=heavy)


def torchvision_fcn(name, layers, classes, aux, batch, height, width, heavy=False):
    def build():
        import torchvision

        make = getattr(torchvision.models.segmentation, f"fcn_resnet{layers}")
        return without_dropout(make(weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux))

    model = {"name": f"fcn_resnet{layers}", "num_classes": classes, "aux_loss": aux, "dropout": 0}
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


CASES = [
    resnet("fcn8s resnet18", 18, 11, 8, 101, 67),
    resnet("fcn16s resnet34", 34, 11, 16, 97, 129),
    resnet("fcn8s resnet18, large", 18, 11, 8, 201, 303),
    resnet("fcn8s resnet50", 50, 21, 8, 129, 97),
    resnet("fcn32s resnet50", 50, 21, 32, 101, 131),
    torchvision_fcn("fcn_resnet50 + aux", 50, 21, True, 2, 65, 97),
    vgg("fcn8s vgg16", 21, 8, 65, 97, heavy=False),
    vgg("fcn32s vgg16", 21, 32, 65, 97),
    vgg("fcn16s vgg16", 21, 16, 101, 67),
    vgg("fcn8s vgg16 at once", 11, 8, 65, 97, at_once=True),
    resnet("fcn8s resnet101", 101, 21, 8, 65, 97, heavy=True),
    torchvision_fcn("fcn_resnet101", 101, 21, False, 2, 65, 97, heavy=True),
    torchvision_fcn("fcn_resnet50, 520", 50, 21, True, 1, 520, 520, heavy=True),
    torchvision_fcn("fcn_resnet50, 360x480", 50, 21, True, 1, 360, 480, heavy=True),
    torchvision_fcn("fcn_resnet50, 201x303", 50, 21, True, 1, 201, 303, heavy=True),
]
