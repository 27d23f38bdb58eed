"""torchvision's DeepLab v3 and LR-ASPP."""
from . import Case, without_dropout


def case(name, network, classes, aux, batch, height, width, heavy=False):
    def build():
        import torchvision

        options = {"weights": None, "weights_backbone": None, "num_classes": classes}
        if not network.startswith("lraspp"):
            options["aux_loss"] = aux
        return without_dropout(getattr(torchvision.models.segmentation, network)(**options))

    model = {"name": network, "num_classes": classes}
    if not network.startswith("lraspp"):
        model.update(aux_loss=aux, dropout=0)
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


RESNET50, RESNET101 = "deeplabv3_resnet50", "deeplabv3_resnet101"
MOBILENET, LRASPP = "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"

# The mean over the image of one image has no batch statistics: torchvision refuses to train DeepLab on a batch of one.
CASES = [
    case("deeplabv3_resnet50 + aux", RESNET50, 21, True, 3, 65, 97),
    case("deeplabv3_mobilenet_v3 + aux", MOBILENET, 21, True, 3, 65, 97),
    case("lraspp_mobilenet_v3", LRASPP, 21, False, 2, 65, 97),
    case("deeplabv3_resnet101", RESNET101, 11, False, 3, 65, 97, heavy=True),
    case("deeplabv3_resnet50, 520", RESNET50, 21, True, 2, 520, 520, heavy=True),
    case("deeplabv3_resnet50, 513", RESNET50, 21, True, 2, 513, 513, heavy=True),
    case("deeplabv3_resnet50, 360x480", RESNET50, 11, True, 2, 360, 480, heavy=True),
    case("deeplabv3_resnet50, 201x303", RESNET50, 21, True, 3, 201, 303, heavy=True),
    case("deeplabv3_resnet101, 201x303", RESNET101, 21, True, 3, 201, 303, heavy=True),
] + [
    case(f"{network.split('_')[0]}_mobilenet_v3, {height}x{width}", network, 21, network == MOBILENET, 2, height, width, heavy=True)
    for network in (MOBILENET, LRASPP)
    for height, width in ((520, 520), (513, 513), (360, 480), (201, 303))
]
