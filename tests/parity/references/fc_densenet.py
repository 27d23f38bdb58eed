"""FC-DenseNet, written the plain way: concatenations that copy."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case

POOLS = 5
FORMS = {56: (12, [4] * 11), 67: (16, [5] * 11), 103: (16, [4, 5, 7, 10, 12, 15, 12, 10, 7, 5, 4])}


class Layer(nn.Module):
    def __init__(self, cin, cout, kernel):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(cin), nn.Conv2d(cin, cout, kernel, padding=kernel // 2)

    def forward(self, x):
        return self.conv(F.relu(self.norm(x)))


class DenseBlock(nn.Module):
    def __init__(self, cin, count, growth):
        super().__init__()
        self.layers = nn.ModuleList(Layer(cin + i * growth, growth, 3) for i in range(count))
        self.added = count * growth

    def forward(self, x):
        fresh = []
        for layer in self.layers:
            fresh.append(layer(torch.cat([x] + fresh, 1)))
        return torch.cat(fresh, 1)


class TransitionUp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convTrans = nn.ConvTranspose2d(channels, channels, 3, stride=2)

    def forward(self, x, height, width):
        x = self.convTrans(x)
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top : top + height, left : left + width]


class FcDenseNet(nn.Module):
    def __init__(self, layers, classes, narrow=1):
        super().__init__()
        growth, blocks = FORMS[layers]
        growth, channels = growth // narrow, 48 // narrow
        self.firstconv = nn.Conv2d(3, channels, 3, padding=1)
        self.denseBlocksDown, self.transDownBlocks = nn.ModuleList(), nn.ModuleList()
        skips = []
        for count in blocks[:POOLS]:
            self.denseBlocksDown.append(DenseBlock(channels, count, growth))
            channels += count * growth
            skips.append(channels)
            self.transDownBlocks.append(Layer(channels, channels, 1))
        self.bottleneck = nn.Sequential()
        self.bottleneck.add_module("bottleneck", DenseBlock(channels, blocks[POOLS], growth))
        self.transUpBlocks, self.denseBlocksUp = nn.ModuleList(), nn.ModuleList()
        added = blocks[POOLS] * growth
        for skip, count in zip(reversed(skips), blocks[POOLS + 1 :]):
            self.transUpBlocks.append(TransitionUp(added))
            channels = added + skip
            added = count * growth
            self.denseBlocksUp.append(DenseBlock(channels, count, growth))
        self.finalConv = nn.Conv2d(channels + added, classes, 1)

    def forward(self, image):
        x, skips = self.firstconv(image), []
        for block, down in zip(self.denseBlocksDown, self.transDownBlocks):
            skips.append(torch.cat([x, block(x)], 1))
            x = down(skips[-1])
            x = F.max_pool2d(x, [min(2, n) for n in x.shape[2:]])
        x = self.bottleneck(x)
        for up, block in zip(self.transUpBlocks, self.denseBlocksUp):
            skip = skips.pop()
            x = torch.cat([up(x, *skip.shape[2:]), skip], 1)
            fresh = block(x)
            x, all_of_it = fresh, torch.cat([x, fresh], 1)
        return {"out": self.finalConv(all_of_it)}


def before_norm(name):
    """Biases that only batch norms see. The scores see all of the finest level, and borders of transposed convolutions what those
    double."""
    if name.endswith("convTrans.bias"):
        return not name.startswith("transUpBlocks.4.")
    only_skipped = name.startswith(("denseBlocksDown", "transDownBlocks")) and not name.startswith("denseBlocksDown.0.")
    return only_skipped and name.endswith("conv.bias")


def case(layers, classes, batch, height, width, narrow=1, heavy=False):
    model = {"name": "fc_densenet", "layers": layers, "num_classes": classes, "dropout": 0, "width_multiplier": 1 / narrow}
    name = f"fc_densenet{layers}" + (f", 1/{narrow} wide" if narrow > 1 else "")
    return Case(
        name,
        model,
        lambda: FcDenseNet(layers, classes, narrow),
        batch,
        height,
        width,
        deep=True,
        heavy=heavy,
        without_gradient=before_norm,
    )


CASES = [
    case(56, 11, 2, 64, 96, narrow=4),
    case(103, 11, 2, 65, 79, narrow=4),
    case(67, 11, 1, 201, 303, heavy=True),
    case(56, 11, 1, 360, 480, heavy=True),
    case(103, 11, 1, 360, 480, heavy=True),
    case(103, 21, 1, 512, 512, heavy=True),
]
