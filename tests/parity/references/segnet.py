"""SegNet and SegNet-Basic, under the names of nets/segnet.cpp."""
import torch.nn as nn
import torch.nn.functional as F

from . import Case


class SegNet(nn.Module):
    """Levels of (name of the convolution, name of its norm or None, whether a ReLU follows), down and up."""

    def __init__(self, basic, classes, width=1):
        super().__init__()
        self.basic, self.down, self.up = basic, [], []
        if basic:
            w = 64 // width
            for level in range(4):
                self.down.append([self.conv(f"conv{level + 1}", f"conv{level + 1}_bn", 3 if level == 0 else w, w, 7)])
                name = f"conv_decode{level + 1}"
                self.up.append([self.conv(name, name + "_bn", w, w, 7, relu=False)])
            self.up[0].append(self.conv("conv_classifier", None, w, classes, 1, relu=False))
            return
        self.features = nn.Module()
        counts, widths = (2, 2, 3, 3, 3), [w // width for w in (64, 128, 256, 512, 512)]
        index, cin = 0, 3
        for level, (count, w) in enumerate(zip(counts, widths)):
            self.down.append([])
            for _ in range(count):
                self.down[-1].append(self.conv(f"features.{index}", f"features.{index + 1}", cin, w, 3))
                index, cin = index + 3, w
            index += 1
        for level, (count, w) in enumerate(zip(counts, widths)):
            self.up.append([])
            for i in range(count, 0, -1):
                name, out = f"conv{level + 1}_{i}_D", w if i > 1 else widths[level - 1] if level else classes
                last = level == 0 and i == 1
                self.up[-1].append(self.conv(name, None if last else name + "_bn", w, out, 3, relu=not last))

    def conv(self, name, norm, cin, cout, kernel, relu=True):
        self.put(name, nn.Conv2d(cin, cout, kernel, padding=kernel // 2))
        if norm:
            self.put(norm, nn.BatchNorm2d(cout))
        return name, norm, relu

    def put(self, path, module):
        parent, _, name = path.rpartition(".")
        (getattr(self, parent) if parent else self).add_module(name, module)

    def run(self, level, x):
        for name, norm, relu in level:
            x = self.get_submodule(name)(x)
            x = self.get_submodule(norm)(x) if norm else x
            x = F.relu(x) if relu else x
        return x

    def forward(self, image):
        x = F.local_response_norm(image, 5, alpha=1e-4, beta=0.75, k=1.0) if self.basic else image
        pools = []
        for level in self.down:
            x = self.run(level, x)
            size = x.shape[2:]
            x, indices = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
            pools.append((indices, size))
        for level, (indices, size) in zip(reversed(self.up), reversed(pools)):
            full = x.new_zeros(*x.shape[:2], size[0] * size[1])
            x = full.scatter(2, indices.flatten(2), x.flatten(2)).reshape(*x.shape[:2], *size)
            x = self.run(level, x)
        return {"out": x}


VGG_CONVS = {f"features.{i}.bias" for i in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)}


def before_norm(name):
    """Biases of convolutions with a batch norm behind them."""
    if name.startswith("features."):
        return name in VGG_CONVS
    return name.endswith(".bias") and not name.endswith("_bn.bias") and name not in ("conv_classifier.bias", "conv1_1_D.bias")


def case(form, classes, batch, height, width, narrow=1, heavy=False):
    model = {"name": "segnet", "form": form, "num_classes": classes, "width_multiplier": 1 / narrow}
    name = f"segnet {form}" + (f", 1/{narrow} wide" if narrow > 1 else "")
    build = lambda: SegNet(form == "basic", classes, narrow)
    return Case(
        name,
        model,
        build,
        batch,
        height,
        width,
        deep=True,
        heavy=heavy,
        without_gradient=before_norm,
    )


CASES = [
    case("vgg16", 11, 2, 33, 47, narrow=8),
    case("vgg16", 11, 2, 64, 32, narrow=4),
    case("basic", 11, 2, 33, 47, narrow=4),
    case("vgg16", 11, 1, 360, 480, heavy=True),
    case("vgg16", 21, 1, 512, 512, heavy=True),
    case("vgg16", 11, 1, 201, 303, heavy=True),
    case("basic", 11, 1, 360, 480, heavy=True),
    case("basic", 11, 1, 201, 303, heavy=True),
]
