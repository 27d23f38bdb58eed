"""torchvision's classification networks. Their logits have one pixel here."""
from . import Case, without_dropout


def case(name, classes, batch, height, width, heavy=False, deep=True):
    def build():
        import torch
        import torchvision

        class Pixel(torch.nn.Module):
            """The network's own names, its logits as a map."""

            def __init__(self):
                super().__init__()
                self.net = getattr(torchvision.models, name)(weights=None, num_classes=classes)

            def forward(self, image):
                return {"out": self.net(image)[:, :, None, None]}

            def state_dict(self, *args, **kwargs):
                return self.net.state_dict(*args, **kwargs)

            def named_parameters(self, *args, **kwargs):
                return self.net.named_parameters(*args, **kwargs)

        return without_dropout(Pixel())

    model = {"name": name, "num_classes": classes}
    if not name.startswith("res"):
        model["dropout"] = 0
    return Case(f"{name}{'' if classes == 1000 else ', small'}", model, build, batch, height, width, deep=deep, heavy=heavy)


CASES = [
    case("resnet18", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 3, 65, 97),
    case("mobilenet_v3_large", 10, 3, 65, 97),
    case("vgg16_bn", 10, 2, 65, 97, heavy=True),
] + [
    case(name, 1000, 2, 224, 224, heavy=True)
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "vgg16", "vgg16_bn",
                 "vgg19", "vgg19_bn", "mobilenet_v2", "mobilenet_v3_large")
]
