#!/usr/bin/env python3
"""Outputs of layers: `atrous features` against PyTorch's forward hooks, for torchvision's networks with the same random weights.

Every kind of layer that atrous runs together with others in inference is among them: convolutions whose norm would be folded in, norms before
their activation, blocks with a shortcut, depthwise filters, squeeze and excitation, fully connected layers; maps and their means (--pool).

Exit code 0 if all agree, 1 if not, 77 if PyTorch or torchvision cannot be imported.
"""
import argparse
import json
import os
import sys

import common
import summary
import torch

try:
    import torchvision
except ImportError:
    print("skipped: no torchvision")
    sys.exit(common.SKIPPED)

# Of the largest value of a layer, against PyTorch in double precision; more only where PyTorch in single precision is off by half as much.
TOLERANCE = 2e-5
LAYERS = {
    "resnet18": ["conv1", "bn1", "layer1.0", "layer1.0.conv1", "layer1.0.bn2", "layer2.0.downsample.1", "layer4.1", "fc"],
    "mobilenet_v2": ["features.0.1", "features.1.conv.0.0", "features.3", "features.3.conv.1.1", "features.18", "classifier.1"],
    "mobilenet_v3_large": ["features.0.0", "features.4.block.2", "features.4.block.2.fc1", "features.6", "features.16.1", "classifier.0"],
    "vgg16": ["features.0", "features.28", "classifier.0", "classifier.6"],
}
MEAN, STD = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def write_image(path, pixels):
    """u8 [H, W, 3] as PPM."""
    with open(path, "wb") as f:
        f.write(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.numpy().tobytes())


def outputs_of(net, layers, pixels):
    """{layer: output} by PyTorch's hooks."""
    found = {}
    modules = dict(net.named_modules())
    hooks = [modules[layer].register_forward_hook(lambda _module, _inputs, output, layer=layer: found.__setitem__(layer, output.detach().double().clone())) for layer in layers]
    image = (pixels.permute(2, 0, 1)[None].float() / 255 - MEAN) / STD
    with torch.no_grad():
        net(image.to(next(net.parameters()).dtype))
    for hook in hooks:
        hook.remove()
    return found


def relative(value, want):
    return ((value - want).abs().max() / want.abs().max()).item()


def compare(binary, folder, name, layers):
    """The largest difference of any layer, relative to the layer's largest value."""
    net = getattr(torchvision.models, name)().eval()
    common.randomise(net, 7)
    weights, image, config, out = (os.path.join(folder, file) for file in (name + ".pth", "image.ppm", name + ".json", "out.safetensors"))
    torch.save(net.state_dict(), weights)
    pixels = torch.randint(0, 256, (75, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    write_image(image, pixels)
    with open(config, "w") as f:
        json.dump({"model": {"name": name, "num_classes": 1000}, "data": {"image_height": 75, "image_width": 64}}, f)
    single = outputs_of(net, layers, pixels)
    expected = outputs_of(net.double(), layers, pixels)
    worst = 0.0
    for pool in (False, True):
        chosen = [flag for layer in layers for flag in ("--layer", layer)] + (["--pool"] if pool else [])
        common.atrous(binary, "features", "--config", config, "--weights", weights, "--output", out, *chosen, image)
        got = common.load(out)
        if len(got) != len(layers):
            raise RuntimeError(f"{len(got)} tensors for {len(layers)} layers")
        for layer in layers:
            want = expected[layer][0].flatten(1).mean(1) if pool and expected[layer].dim() == 4 else expected[layer][0]
            value = got[layer if pool else f"{layer}/{image}"].reshape(want.shape)
            error, pytorch = relative(value.double(), want), relative(single[layer], expected[layer])
            if not error <= max(TOLERANCE, min(2 * pytorch, 10 * TOLERANCE)):
                raise RuntimeError(f"{layer}{' pooled' if pool else ''}: relative difference {error:.1e}, PyTorch's in single precision {pytorch:.1e}")
            worst = max(worst, error)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    options = parser.parse_args()
    common.use_threads()
    passed = failed = 0
    largest = {}
    with common.temporary_folder() as folder:
        for name, layers in LAYERS.items():
            try:
                error = compare(options.atrous, folder, name, layers)
                print(f"ok    {name}: {len(layers)} layers, {error:.1e}")
                summary.take_larger(largest, {"relative": error})
                passed += 1
            except RuntimeError as error:
                print(f"FAIL  {name}: {error}")
                failed += 1
    return summary.finish(passed, failed, 0, largest)


if __name__ == "__main__":
    sys.exit(main())
