"""torchvision's classification networks. Their logits have one pixel here."""
import functools

from . import Case, without_dropout


def narrow_projections(net):
    """Blocks that narrow a map do so without an activation; with the gain of one, activations grow from block to block until most
    are clipped at 6 and the gradients of the rest hang on rounding errors."""
    import torch

    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1) and m.out_channels < m.in_channels:
                m.weight.mul_(0.3)


def case(name, classes, batch, height, width, heavy=False, deep=True, frozen=False):
    """`frozen`: the statistics of batch norm are constants. Rounding errors then do not grow from layer to layer, and gradients of
    many layers can be compared without float64."""

    def build():
        import torchvision

        options = {}
        if frozen:
            eps = 1e-3 if name.startswith("mobilenet_v3") else 1e-5
            options["norm_layer"] = functools.partial(torchvision.ops.misc.FrozenBatchNorm2d, eps=eps)
        net = getattr(torchvision.models, name)(weights=None, num_classes=classes, **options)
        net.register_forward_hook(lambda module, inputs, logits: {"out": logits[:, :, None, None]})
        return without_dropout(net)

    model = {"name": name, "num_classes": classes, "norm": "frozen" if frozen else "batch"}
    if not name.startswith("res"):
        model["dropout"] = 0
    form = ", frozen" if frozen else "" if classes == 1000 else ", small"
    prepare = narrow_projections if frozen else None
    return Case(name + form, model, build, batch, height, width, deep=deep, heavy=heavy, prepare=prepare)


CASES = [
    case("resnet18", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_large", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_small", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_large", 10, 3, 65, 97, heavy=True),
    case("vgg16_bn", 10, 2, 65, 97, heavy=True),
] + [
    case(name, 1000, 2, 224, 224, heavy=True)
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "vgg16", "vgg16_bn",
                 "vgg19", "vgg19_bn", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
]
