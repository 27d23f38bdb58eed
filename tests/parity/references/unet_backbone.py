"""U-Net on a classification backbone: segmentation_models_pytorch's own where it is installed, and the same written down here on
torchvision's backbones."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Case
from .segnet import VGG_CONVS


class ResNetMaps(nn.Module):
    """torchvision's ResNet as a list of six maps, of strides 1 (the image), 2, 4, ... 32."""

    def __init__(self, name):
        super().__init__()
        import torchvision

        net = getattr(torchvision.models, name)(weights=None)
        for child in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(child, getattr(net, child))
        last = net.layer1[0].conv3 if hasattr(net.layer1[0], "conv3") else net.layer1[0].conv2
        width = last.out_channels
        self.channels = [3, 64, width, 2 * width, 4 * width, 8 * width]

    def forward(self, image):
        maps = [image, F.relu(self.bn1(self.conv1(image)))]
        x = F.max_pool2d(maps[1], 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class VggMaps(nn.Module):
    """torchvision's VGG16 with batch norm: what stands before each pool, and the last pool."""

    channels = [64, 128, 256, 512, 512, 512]

    def __init__(self, name):
        super().__init__()
        import torchvision

        self.features = getattr(torchvision.models, name)(weights=None).features

    def forward(self, x):
        maps = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return maps + [x]


class MobileNetMaps(nn.Module):
    channels = [3, 16, 24, 32, 96, 1280]

    def __init__(self, name):
        super().__init__()
        import torchvision

        self.features = getattr(torchvision.models, name)(weights=None).features

    def forward(self, x):
        maps = [x]
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (1, 3, 6, 13, 18):
                maps.append(x)
        return maps


def encoder(name):
    return (VggMaps if name.startswith("vgg") else MobileNetMaps if name.startswith("mobilenet") else ResNetMaps)(name)


class ScSe(nn.Module):
    def __init__(self, channels, per_pixel):
        super().__init__()
        inner = channels // 16
        self.cSE = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid()
        )
        if per_pixel:
            self.sSE = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x):
        y = x * self.cSE(x)
        return y + x * self.sSE(x) if hasattr(self, "sSE") else y


class Attention(nn.Module):
    def __init__(self, kind, channels):
        super().__init__()
        self.attention = nn.Identity() if kind == "none" else ScSe(channels, kind == "scse")

    def forward(self, x):
        return self.attention(x)


def conv_block(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class Block(nn.Module):
    def __init__(self, cin, skip, cout, attention):
        super().__init__()
        self.conv1, self.attention1 = conv_block(cin + skip, cout), Attention(attention, cin + skip)
        self.conv2, self.attention2 = conv_block(cout, cout), Attention(attention, cout)

    def forward(self, x, finer, join):
        x = F.interpolate(x, size=finer.shape[2:], mode="nearest")
        if join:
            x = self.attention1(torch.cat([x, finer], 1))
        return self.attention2(self.conv2(self.conv1(x)))


class Decoder(nn.Module):
    def __init__(self, channels, attention, center):
        super().__init__()
        cin = channels[5]
        self.center = nn.Sequential(conv_block(cin, cin), conv_block(cin, cin)) if center else nn.Identity()
        self.blocks = nn.ModuleList()
        for i, cout in enumerate((256, 128, 64, 32, 16)):
            self.blocks.append(Block(cin, channels[4 - i] if i < 4 else 0, cout, attention))
            cin = cout

    def forward(self, maps):
        x = self.center(maps[5])
        for i, block in enumerate(self.blocks):
            x = block(x, maps[4 - i], i < 4)
        return x


class UNet(nn.Module):
    def __init__(self, backbone, classes, attention):
        super().__init__()
        self.encoder = encoder(backbone)
        self.decoder = Decoder(self.encoder.channels, attention, backbone.startswith("vgg"))
        self.segmentation_head = nn.Sequential(nn.Conv2d(16, classes, 3, padding=1))

    def forward(self, image):
        return {"out": self.segmentation_head(self.decoder(self.encoder(image)))}


def library(backbone, classes, attention):
    """segmentation_models_pytorch's own. Versions before 0.5 take multiples of 32 only."""
    import segmentation_models_pytorch as smp

    class Wrapped(smp.Unet):
        def forward(self, image):
            return {"out": super().forward(image)}

    attention = None if attention == "none" else attention
    return Wrapped(backbone, encoder_weights=None, classes=classes, decoder_attention_type=attention)


def calm_gates(net):
    """Random networks make activations of ten thousands, and gates that are 0 or 1 and jump on rounding errors: PyTorch in float32 is
    then 5e-3 from PyTorch in float64. Here what goes into a sigmoid is at most 1 on some image."""

    def calm(conv, _, result):
        scale = 1 / max(1.0, result.abs().max().item())
        conv.weight.mul_(scale)
        conv.bias.mul_(scale)
        return result * scale

    hooks = [m.register_forward_hook(calm) for name, m in net.named_modules() if name.endswith(("cSE.3", "sSE.0"))]
    with torch.no_grad():
        net.eval()(torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()


def case(backbone, attention, classes, batch, height, width, of_library=False, heavy=False):
    model = {"name": "unet", "backbone": backbone, "attention": attention, "num_classes": classes}
    build = library if of_library else UNet
    name = f"unet {backbone} {attention}" + (" (smp)" if of_library else "")
    return Case(
        name,
        model,
        lambda: build(backbone, classes, attention),
        batch,
        height,
        width,
        deep=True,
        heavy=heavy,
        prepare=calm_gates,
        without_gradient=lambda name: name.removeprefix("encoder.") in VGG_CONVS and backbone == "vgg16_bn",
    )


CASES = [
    case("resnet18", "scse", 5, 2, 32, 64),
    case("resnet18", "se", 5, 2, 33, 47),
    case("mobilenet_v2", "none", 5, 2, 33, 47),
    case("vgg16_bn", "scse", 5, 2, 65, 97, heavy=True),
    case("mobilenet_v2", "scse", 21, 1, 201, 303, heavy=True),
    case("resnet34", "none", 11, 1, 101, 67, heavy=True),
    case("resnet50", "scse", 21, 2, 65, 97, heavy=True),
    case("resnet34", "none", 11, 1, 360, 480, heavy=True),
    case("resnet34", "scse", 21, 1, 512, 512, heavy=True),
    case("resnet18", "scse", 21, 1, 201, 303, heavy=True),
    case("resnet18", "scse", 5, 2, 32, 64, of_library=True),
    case("mobilenet_v2", "scse", 5, 2, 32, 64, of_library=True, heavy=True),
    case("vgg16_bn", "none", 5, 2, 64, 96, of_library=True, heavy=True),
    case("vgg16_bn", "scse", 5, 2, 64, 96, of_library=True, heavy=True),
    case("mobilenet_v2", "none", 11, 1, 201, 303, of_library=True, heavy=True),
    case("resnet50", "none", 21, 2, 96, 64, of_library=True, heavy=True),
    case("resnet34", "scse", 11, 1, 360, 480, of_library=True, heavy=True),
    case("resnet34", "none", 21, 1, 512, 512, of_library=True, heavy=True),
    case("resnet101", "none", 21, 1, 201, 303, of_library=True, heavy=True),
]
