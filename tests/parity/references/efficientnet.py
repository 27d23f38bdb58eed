"""timm's EfficientNets as classification networks, and segmentation_models_pytorch's networks on them.

The library's encoders pad symmetrically and have eps 1e-5. In the published form (`tensorflow`), its convolutions of stride 2 are
replaced by timm's Conv2dSame and eps is 1e-3."""
import functools

import torch.nn as nn

from . import Case, without_dropout
from .smp import Smp

SYMMETRIC = {"conv_padding": "symmetric", "norm_eps": 1e-5}


def calm(net):
    """No stochastic depth, and blocks whose maps stay of one size: random ones grow from block to block."""
    import torch

    for m in net.modules():
        if type(m).__name__ == "DropPath":
            m.drop_prob = 0.0
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.out_channels < m.in_channels:
                m.weight.mul_(0.5)


def classifier(timm_name, model, batch, height, width, classes=10, heavy=False, frozen=False):
    def build():
        import timm
        from torchvision.ops.misc import FrozenBatchNorm2d

        net = without_dropout(timm.create_model(timm_name, num_classes=classes, drop_rate=0.0))
        if frozen:
            freeze_norms(net, FrozenBatchNorm2d)
        net.register_forward_hook(lambda module, inputs, logits: {"out": logits[:, :, None, None]})
        return net

    section = {"num_classes": classes, "dropout": 0, "norm": "frozen" if frozen else "batch", **model}
    return Case("timm " + timm_name + (", frozen" if frozen else ""), section, build, batch, height, width, deep=not frozen, heavy=heavy, prepare=calm)


def freeze_norms(net, frozen_kind):
    """Constant statistics, and the activation behind each norm."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                frozen = frozen_kind(child.num_features, eps=child.eps)
                norm_act = FrozenNormAct(frozen, child.act)
                setattr(module, name, norm_act)


class FrozenNormAct(nn.Module):
    """The tensors of the norm, without a prefix."""

    def __init__(self, norm, act):
        super().__init__()
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self.eps, self.act = norm.eps, act

    def forward(self, x):
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return self.act(x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None])


class TensorflowSmp(Smp):
    """With the published padding and eps."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        from timm.layers import Conv2dSame

        for module in list(self.encoder.modules()):
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Conv2d) and child.stride != (1, 1):
                    same = Conv2dSame(child.in_channels, child.out_channels, child.kernel_size, child.stride, groups=child.groups, bias=False)
                    setattr(module, name, same)


def segmentation(network, encoder, model, batch, height, width, classes=5, output_stride=0, tensorflow=False, heavy=False):
    section = {"num_classes": classes, **({} if tensorflow or "efficientnet" not in encoder else SYMMETRIC), **model}
    options = {"encoder_output_stride": output_stride} if output_stride else {}
    if output_stride:
        section["output_stride"] = output_stride
    name = f"smp {network} {encoder}" + (f", stride {output_stride}" if output_stride else "") + (", tensorflow" if tensorflow else "")
    kind = TensorflowSmp if tensorflow else Smp
    return Case(name, section, functools.partial(kind, network, encoder, classes, **options), batch, height, width, deep=True, heavy=heavy, prepare=calm)


LITE = [(f"tf_efficientnet_lite{i}", {"name": f"efficientnet_lite{i}"}) for i in range(5)]
SCALED = [(f"tf_efficientnet_b{i}", {"name": f"efficientnet_b{i}"}) for i in range(8)]


def unet(backbone):
    return {"name": "unet", "backbone": backbone}


def deeplab(backbone):
    return {"name": "deeplabv3plus", "form": "smp", "backbone": backbone, "dropout": 0}


# Odd and even sizes: TensorFlow's padding differs at the even ones.
CASES = (
    [classifier(*LITE[0], 3, 65, 96), classifier(*SCALED[0], 3, 64, 97), classifier(*LITE[0], 2, 66, 95, frozen=True), classifier(*SCALED[0], 2, 62, 97, frozen=True)]
    + [classifier(name, model, 2, 70, 93, heavy=True) for name, model in LITE[1:] + SCALED[1:]]
    + [classifier(*LITE[0], 2, 224, 224, classes=1000, heavy=True), classifier(*SCALED[0], 2, 224, 224, classes=1000, heavy=True)]
    + [classifier("efficientnet_b0", {"name": "efficientnet_b0", **SYMMETRIC}, 3, 64, 96)]
    + [segmentation("Unet", f"timm-tf_efficientnet_lite{i}", unet(f"efficientnet_lite{i}"), 2, 64, 96, heavy=i > 0) for i in range(5)]
    + [segmentation("Unet", f"timm-efficientnet-b{i}", unet(f"efficientnet_b{i}"), 2, 64, 96, heavy=i > 0) for i in range(8)]
    + [segmentation("Unet", "timm-tf_efficientnet_lite0", unet("efficientnet_lite0"), 2, 64, 96, tensorflow=True)]
    + [segmentation("Unet", "timm-efficientnet-b0", unet("efficientnet_b0"), 2, 96, 64, tensorflow=True, heavy=True)]
    + [segmentation("Unet", "resnext50_32x4d", unet("resnext50_32x4d"), 2, 64, 96, heavy=True)]
    + [segmentation("DeepLabV3Plus", f"timm-tf_efficientnet_lite{i}", deeplab(f"efficientnet_lite{i}"), 3, 64, 96, heavy=i > 0) for i in range(5)]
    + [segmentation("DeepLabV3Plus", f"timm-efficientnet-b{i}", deeplab(f"efficientnet_b{i}"), 3, 64, 96, heavy=True) for i in range(8)]
    + [segmentation("DeepLabV3Plus", "timm-tf_efficientnet_lite0", deeplab("efficientnet_lite0"), 3, 64, 96, output_stride=8, tensorflow=True, heavy=True)]
    + [segmentation("DeepLabV3Plus", "timm-efficientnet-b0", deeplab("efficientnet_b0"), 3, 64, 96, output_stride=8, heavy=True)]
    + [segmentation("DeepLabV3", "timm-efficientnet-b0", {**deeplab("efficientnet_b0"), "name": "deeplabv3"}, 3, 64, 96, heavy=True)]
    + [segmentation("PSPNet", "timm-tf_efficientnet_lite0", {**deeplab("efficientnet_lite0"), "name": "pspnet"}, 3, 64, 96, heavy=True)]
    + [segmentation("PSPNet", "resnext50_32x4d", {**deeplab("resnext50_32x4d"), "name": "pspnet"}, 3, 64, 96, heavy=True)]
    + [segmentation("DeepLabV3Plus", "resnext50_32x4d", deeplab("resnext50_32x4d"), 3, 64, 96, heavy=True)]
)
