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


def give_heads(net):
    """Makes the network return {"out": logits}, in training also those of its auxiliary heads, of GoogLeNet's two the later one as `aux`. By
    the modules, as torchvision 0.14 gives GoogLeNet's two under each other's names."""
    heads = {}
    for key, name in (("aux", "AuxLogits"), ("aux", "aux2"), ("aux2", "aux1")):
        if getattr(net, name, None) is not None:
            getattr(net, name).register_forward_hook(lambda module, inputs, logits, key=key: heads.__setitem__(key, logits))

    def gather(module, inputs, outputs):
        found = {"out": outputs[0] if isinstance(outputs, tuple) else outputs, **heads}
        heads.clear()
        return {key: t[:, :, None, None] for key, t in found.items()}

    net.register_forward_hook(gather)


def with_frozen_statistics(net, eps):
    import torch
    import torchvision

    for name, child in net.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            setattr(net, name, torchvision.ops.misc.FrozenBatchNorm2d(child.num_features, eps=eps))
        else:
            with_frozen_statistics(child, eps)


def inception_case(name, classes, batch, size, aux=False, transform=False, heavy=False, frozen=False):
    def build():
        import torchvision

        net = getattr(torchvision.models, name)(weights=None, num_classes=classes, aux_logits=aux, transform_input=transform, init_weights=False)
        if frozen:
            with_frozen_statistics(net, 1e-3)
        give_heads(net)
        return without_dropout(net)

    model = {"name": name, "num_classes": classes, "dropout": 0, "norm": "frozen" if frozen else "batch"}
    if aux:
        model["aux_loss"] = True
    if transform:
        model["transform_input"] = True
    form = (", with aux" if aux else "") + (", transform" if transform else "") + (", frozen" if frozen else "") + ("" if classes == 1000 else ", small")
    return Case(name + form, model, build, batch, size, size, deep=not frozen, heavy=heavy)


def alexnet_case(classes, batch, height, width, heavy=False):
    def build():
        import torchvision

        net = torchvision.models.alexnet(weights=None, num_classes=classes)
        net.register_forward_hook(with_heads)
        return without_dropout(net)

    return Case("alexnet" + ("" if classes == 1000 else ", small"), {"name": "alexnet", "num_classes": classes, "dropout": 0},
                build, batch, height, width, heavy=heavy)


def two_group_alexnet_case(classes, batch, height, width, heavy=False):
    """The paper's network in the order of Caffe's model: pools (which round up) in front of the response normalisation."""

    def build():
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = nn.Conv2d(3, 96, 11, 4)
                self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
                self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
                self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
                self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
                self.fc6, self.fc7, self.fc8 = nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)
                self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
                self.norm = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)

            def forward(self, x):
                x = self.norm(self.pool(torch.relu(self.conv1(x))))
                x = self.norm(self.pool(torch.relu(self.conv2(x))))
                x = torch.relu(self.conv4(torch.relu(self.conv3(x))))
                x = self.pool(torch.relu(self.conv5(x)))
                x = nn.functional.adaptive_avg_pool2d(x, 6).flatten(1)
                x = self.fc8(torch.relu(self.fc7(torch.relu(self.fc6(x)))))
                return {"out": x[:, :, None, None]}

        return Net()

    name = "alexnet caffe" + ("" if classes == 1000 else ", small")
    return Case(name, {"name": "alexnet", "form": "caffe", "num_classes": classes, "dropout": 0}, build, batch, height, width, heavy=heavy)


def lenet_case(channels, size, batch):
    def build():
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                side = ((size - 4 + 1) // 2 - 4 + 1) // 2
                self.conv1, self.conv2 = nn.Conv2d(channels, 20, 5), nn.Conv2d(20, 50, 5)
                self.fc1, self.fc2 = nn.Linear(50 * side * side, 500), nn.Linear(500, 10)
                self.pool = nn.MaxPool2d(2, ceil_mode=True)

            def forward(self, x):
                x = self.pool(self.conv2(self.pool(self.conv1(x)))).flatten(1)
                return {"out": self.fc2(torch.relu(self.fc1(x)))[:, :, None, None]}

        return Net()

    model = {"name": "lenet5", "num_classes": 10, "in_channels": channels} | ({} if size == 28 else {"input_size": size})
    return Case(f"lenet5 {channels}x{size}x{size}", model, build, batch, size, size)


CASES = [
    case("resnet18", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 3, 65, 97),
    case("mobilenet_v2", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_large", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_small", 10, 2, 65, 97, deep=False, frozen=True),
    case("mobilenet_v3_large", 10, 3, 65, 97, heavy=True),
    case("vgg16_bn", 10, 2, 65, 97, heavy=True),
    lenet_case(1, 28, 3),
    lenet_case(3, 33, 2),
    alexnet_case(10, 2, 97, 131, heavy=True),
    alexnet_case(1000, 2, 224, 224, heavy=True),
    two_group_alexnet_case(10, 2, 115, 147, heavy=True),
    two_group_alexnet_case(1000, 2, 227, 227, heavy=True),
    inception_case("googlenet", 10, 3, 97),
    inception_case("googlenet", 10, 3, 97, aux=True),
    inception_case("googlenet", 10, 3, 15),
    inception_case("googlenet", 10, 2, 97, aux=True, transform=True, frozen=True),
    inception_case("inception_v3", 10, 2, 97, transform=True, frozen=True),
    inception_case("googlenet", 1000, 2, 224, aux=True, transform=True, heavy=True),
    inception_case("inception_v3", 10, 3, 75),
    inception_case("inception_v3", 10, 3, 139, transform=True, heavy=True),
    inception_case("inception_v3", 1000, 2, 299, aux=True, heavy=True),
] + [
    case(name, 1000, 2, 224, 224, heavy=True)
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "vgg16", "vgg16_bn",
                 "vgg19", "vgg19_bn", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
]
