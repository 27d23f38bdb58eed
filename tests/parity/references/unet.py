"""U-Net, in the forms of nets/unet.h."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case


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


def case(name, channels, classes, width, batch, height, image_width, deep=False, **form):
    model = {"name": "unet", "num_classes": classes, "in_channels": channels, "base_width": width, "dropout": 0}
    model["depth"] = form.get("depth", 5)
    model["norm"] = "batch" if form.get("norm", True) else "none"
    model["padding"] = "valid" if form.get("valid") else "same"
    model["upsampling"] = "bilinear" if form.get("bilinear") else "transposed"
    return Case(name, model, lambda: UNet(channels, classes, width, **form), batch, height, image_width, deep=deep)


CASES = [
    case("unet batch norm", 3, 11, 8, 2, 65, 97),
    case("unet batch norm, even", 3, 11, 8, 1, 64, 96),
    case("unet base 16, deep", 3, 11, 16, 2, 96, 128, deep=True),
    case("unet bilinear", 3, 5, 8, 2, 101, 67, bilinear=True),
    case("unet bilinear, 1 channel", 1, 2, 4, 1, 201, 303, bilinear=True, depth=4),
    case("unet plain", 1, 2, 8, 1, 65, 97, norm=False),
    case("unet depth 3, 5 channels", 5, 3, 6, 3, 31, 33, depth=3),
    case("unet paper", 1, 2, 4, 1, 572, 572, norm=False, valid=True),
    case("unet paper, odd extents", 3, 2, 8, 1, 199, 234, norm=False, valid=True),
]
