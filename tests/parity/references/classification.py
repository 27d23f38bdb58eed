"""torchvision's classification networks. Their logits have one pixel here."""
from . import Case, without_dropout


def case(name, classes, batch, height, width, heavy=False, deep=True):
    def build():
        import torchvision

        net = getattr(torchvision.models, name)(weights=None, num_classes=classes)
        net.register_forward_hook(lambda module, inputs, logits: {"out": logits[:, :, None, None]})
        return without_dropout(net)

    model = {"name": name, "num_classes": classes}
    if not name.startswith("res"):
        model["dropout"] = 0
    return Case(f"{name}{'' if classes == 1000 else ', small'}", model, build, batch, height, width, deep=deep, heavy=heavy)


CASES = [
    case("resnet18", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 3, 65, 97),
    case("mobilenet_v3_large", 10, 3, 65, 97, heavy=True),
    case("vgg16_bn", 10, 2, 65, 97, heavy=True),
] + [
    case(name, 1000, 2, 224, 224, heavy=True)
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "vgg16", "vgg16_bn",
                 "vgg19", "vgg19_bn", "mobilenet_v2", "mobilenet_v3_large")
]
