"""torchvision's DeepLab v3."""
from . import Case, without_dropout


def case(name, backbone, classes, aux, batch, height, width, heavy=False, **options):
    network = f"deeplabv3_{backbone}"

    def build():
        import torchvision

        make = getattr(torchvision.models.segmentation, network)
        return without_dropout(make(weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux))

    model = {"name": network, "num_classes": classes, "aux_loss": aux, "dropout": 0}
    return Case(name, model, build, batch, height, width, deep=True, heavy=heavy)


# The mean over the image of one image has no batch statistics: torchvision refuses to train on a batch of one.
CASES = [
    case("deeplabv3_resnet50 + aux", "resnet50", 21, True, 3, 65, 97),
    case("deeplabv3_resnet101", "resnet101", 11, False, 3, 65, 97, heavy=True),
    case("deeplabv3_resnet50, 520", "resnet50", 21, True, 2, 520, 520, heavy=True),
    case("deeplabv3_resnet50, 513", "resnet50", 21, True, 2, 513, 513, heavy=True),
    case("deeplabv3_resnet50, 360x480", "resnet50", 11, True, 2, 360, 480, heavy=True),
    case("deeplabv3_resnet50, 201x303", "resnet50", 21, True, 3, 201, 303, heavy=True),
    case("deeplabv3_resnet101, 201x303", "resnet101", 21, True, 3, 201, 303, heavy=True),
]
