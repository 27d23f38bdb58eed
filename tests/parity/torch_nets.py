"""The networks of atrous, written in PyTorch from their descriptions. Only for comparison."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class DoubleConv(nn.Module):
    def __init__(self, cin, mid, cout, norm, pad):
        super().__init__()
        layers = []
        for a, b in ((cin, mid), (mid, cout)):
            layers.append(nn.Conv2d(a, b, 3, padding=pad, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(b))
            layers.append(nn.ReLU())
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, cin, cout, norm, pad):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(cin, cout, cout, norm, pad))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, skip, below, cout, norm, pad, bilinear, crop):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(below, skip, 2, stride=2)
        self.conv = DoubleConv(2 * skip, skip if bilinear else cout, cout, norm, pad)
        self.valid, self.crop = pad == 0, crop

    def forward(self, x, skip):
        x = self.up(x)
        dy, dx = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        if self.valid:
            skip = skip[:, :, self.crop : self.crop + x.shape[2], self.crop : self.crop + x.shape[3]]
        else:
            x = F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
        return self.conv(torch.cat([skip, x], 1))


class UNet(nn.Module):
    def __init__(self, channels, classes, width, depth=5, norm=True, valid=False, bilinear=False):
        super().__init__()
        pad, half = (0 if valid else 1), (2 if bilinear else 1)
        w = [width << level for level in range(depth)]
        self.inc = DoubleConv(channels, w[0], w[0], norm, pad)
        self.depth = depth
        for level in range(1, depth):
            out = w[level] // half if level == depth - 1 else w[level]
            self.add_module(f"down{level}", Down(w[level - 1], out, norm, pad))
        crop = 4  # where the doubled map begins in the skip: after two unpadded convolutions, in pixels half as large
        for i, level in enumerate(range(depth - 2, -1, -1)):
            out = w[0] if level == 0 else w[level] // half
            self.add_module(f"up{i + 1}", Up(w[level], w[level + 1], out, norm, pad, bilinear, crop))
            crop = 2 * (crop + 4)
        self.outc = nn.Sequential()
        self.outc.add_module("conv", nn.Conv2d(w[0], classes, 1))

    def forward(self, x):
        skips = [self.inc(x)]
        for level in range(1, self.depth):
            skips.append(getattr(self, f"down{level}")(skips[-1]))
        x = skips.pop()
        for i in range(1, self.depth):
            x = getattr(self, f"up{i}")(x, skips.pop())
        return {"out": self.outc(x)}


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
