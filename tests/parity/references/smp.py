"""segmentation_models_pytorch's own DeepLab v3 and v3+ and PSPNet, where it is installed. (U-Net: unet_backbone.py.)"""
import torch.nn as nn

from . import Case, without_dropout
from .segnet import VGG_CONVS


class Smp(nn.Module):
    """A network of segmentation_models_pytorch whose result has a name; its state_dict is that of the network."""

    def __init__(self, network, encoder, classes, **options):
        super().__init__()
        import segmentation_models_pytorch as smp

        net = getattr(smp, network)(encoder, encoder_weights=None, classes=classes, **options)
        self.encoder, self.decoder, self.segmentation_head = without_dropout(net).encoder, net.decoder, net.segmentation_head

    def forward(self, image):
        return {"out": self.segmentation_head(self.decoder(self.encoder(image)))}


def case(network, model, encoder, classes, batch, height, width, output_stride=0, heavy=False):
    """`output_stride`: 0 for the default."""
    section = {"name": model, "form": "smp", "backbone": encoder, "num_classes": classes, "dropout": 0, "output_stride": output_stride}
    options = {}
    if output_stride and model == "pspnet":
        options = {"encoder_depth": output_stride.bit_length() - 1, "upsampling": output_stride}
    elif output_stride:
        options = {"encoder_output_stride": output_stride}
    return Case(
        f"smp {model} {encoder}" + (f", stride {output_stride}" if output_stride else ""),
        section,
        lambda: Smp(network, encoder, classes, **options),
        batch,
        height,
        width,
        deep=True,
        heavy=heavy,
        without_gradient=lambda name: name.removeprefix("encoder.") in VGG_CONVS and encoder == "vgg16_bn",
    )


# The mean over an image has batch statistics only in a batch.
CASES = [
    case("DeepLabV3", "deeplabv3", "resnet18", 11, 4, 64, 96, heavy=True),
    case("DeepLabV3", "deeplabv3", "resnet50", 21, 2, 512, 512, heavy=True),
    case("DeepLabV3", "deeplabv3", "mobilenet_v2", 11, 3, 64, 96, heavy=True),
    case("DeepLabV3Plus", "deeplabv3plus", "resnet18", 11, 4, 96, 64),
    case("DeepLabV3Plus", "deeplabv3plus", "mobilenet_v2", 11, 3, 64, 96, heavy=True),
    case("DeepLabV3Plus", "deeplabv3plus", "resnet50", 21, 3, 64, 96, output_stride=8, heavy=True),
    case("DeepLabV3Plus", "deeplabv3plus", "resnet50", 21, 2, 512, 512, heavy=True),
    case("PSPNet", "pspnet", "resnet18", 11, 3, 64, 96),
    case("PSPNet", "pspnet", "resnet34", 11, 3, 192, 256, output_stride=32, heavy=True),
    case("PSPNet", "pspnet", "mobilenet_v2", 5, 3, 96, 64, output_stride=16, heavy=True),
    case("PSPNet", "pspnet", "vgg16_bn", 5, 3, 64, 96, heavy=True),
    case("PSPNet", "pspnet", "resnet50", 21, 2, 512, 512, heavy=True),
]
