#!/usr/bin/env python3
"""Files that PyTorch writes, read by atrous: every tensor bit by bit, as `atrous weights convert` writes it again.

Every element type; views, tied and empty tensors; Parameters and subclasses; every pickle protocol; zip archives, also without checksums,
and the legacy form; state_dicts alone, in dictionaries and beside optimizer states; tensors that are not read beside others. Types that
atrous lacks are compared after PyTorch's own conversion. Names, types, shapes and ties are compared as `weights show --json` lists them.
Networks of torchvision and segmentation_models_pytorch are compared by their logits: Python saves them, `atrous forward --weights` reads them,
also without a config, which it then derives from the file, or from the config.json that segmentation_models_pytorch writes beside it. EfficientNets of torchvision and
efficientnet-pytorch (in segmentation_models_pytorch), whose tensors have other names here, go through `atrous import-weights` too. Files that would run code are
refused with exit code 5, by name.

Exit code 0 if all agree, 1 if not, 77 if PyTorch cannot be imported.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import warnings

import common
import summary
import torch
from torch import nn

LOGITS_TOLERANCE = 1e-4
# Name in `weights show`, and the type that it is read as.
TYPES = {"float64": ("f64", "float64"), "float32": ("f32", "float32"), "bfloat16": ("bf16", "bfloat16"), "int64": ("i64", "int64"), "int32": ("i32", "int32"),
         "uint8": ("u8", "uint8"), "float16": ("f16", "float32"), "float8_e4m3fn": ("f8_e4m3fn", "float32"), "float8_e5m2": ("f8_e5m2", "float32"),
         "int16": ("i16", "int32"), "int8": ("i8", "int32"), "uint16": ("u16", "int32"), "uint32": ("u32", "int64"), "bool": ("bool", "uint8")}
TYPES = {getattr(torch, name): row for name, row in TYPES.items() if hasattr(torch, name)}


class Kind:
    """A file: what is saved, how, and which tensors are expected by name; `unread`: names of those that are listed with a problem."""

    def __init__(self, name, content, expected=None, choice="", unread=(), tied=(), **save):
        self.name, self.content, self.expected = name, content, content if expected is None else expected
        self.choice, self.unread, self.tied, self.save = choice, set(unread), dict(tied), save


def random_bits(dtype, shape):
    """Any bit pattern of the type, NaN and subnormal numbers among them."""
    if dtype == torch.bool:
        return torch.rand(shape) < 0.5
    size = torch.empty(0, dtype=dtype).element_size()
    count = int(torch.Size(shape).numel())
    return torch.randint(0, 256, (count * size,), dtype=torch.uint8).view(dtype).reshape(shape)


def types():
    return {f"t.{row[0]}": random_bits(dtype, (5, 7)) for dtype, row in TYPES.items()}


def views():
    base = torch.arange(120, dtype=torch.float32)
    cube = base.reshape(2, 3, 4, 5)
    return {"whole": cube, "transposed": cube.transpose(1, 3), "permuted": cube.permute(3, 1, 0, 2), "slice": cube[1, 1:, :, ::2], "diagonal": base[:25].reshape(5, 5).diagonal(),
            "expanded": base[7:10].reshape(3, 1).expand(3, 6), "scalar": base[11], "empty": base[:0].reshape(0, 4), "narrow": base[100:], "half": base.half()[3:90:4],
            "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "one": cube[:, :1, :, :1]}


def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))


def attributes():
    parameter = nn.Parameter(torch.randn(3, 2))
    parameter.note = "kept"
    tensor = torch.randn(4)
    tensor.note = 1
    return {"parameter": nn.Parameter(torch.randn(2, 3)), "frozen": nn.Parameter(torch.randn(2), requires_grad=False), "with_state": parameter, "tensor": tensor}


def odd():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = {"complex": torch.randn(3, dtype=torch.complex64), "sparse": torch.eye(3).to_sparse(), "meta": torch.empty(3, 2, device="meta"),
                   "deep": torch.zeros([1] * 7), "quantised": torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)}
        if int(torch.__version__.split(".")[0]) >= 2:  # before, it is saved as its values
            tensors["negative"] = torch.randn(3, dtype=torch.complex64).conj().imag
        if hasattr(torch, "uint64"):
            tensors["u64"] = torch.ones(2, dtype=torch.uint64)
    return tensors


def training_files():
    """What training scripts save, and which dictionary of it."""
    net = network()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    weights, ema = net.state_dict(), network().state_dict()
    wrapped = nn.DataParallel(net).state_dict()
    lightning = {"model." + k: v for k, v in weights.items()}
    extra = {"epoch": 3, "best": 0.5, "optimizer": optimizer.state_dict(), "args": argparse.Namespace(lr=0.1, layers=[1, 2]), "log": collections.OrderedDict(a=[1.5, None, "x", 10**30])}
    try:
        import numpy
        extra["score"] = numpy.float64(0.25)
        extra["history"] = numpy.arange(5.0)
    except ImportError:
        pass
    yield Kind("state_dict", weights)
    yield Kind("data parallel", wrapped)
    yield Kind("mmengine", {"meta": {"epoch": 1, "CLASSES": ("a", "b")}, "state_dict": weights, "optimizer": optimizer.state_dict()}, weights)
    yield Kind("torchvision reference", {"model": weights, **extra}, weights)
    yield Kind("torchvision reference with EMA", {"model": weights, "model_ema": ema, **extra}, ema, choice="#model_ema")
    yield Kind("lightning", {"epoch": 1, "global_step": 5, "pytorch-lightning_version": "2.2.0", "state_dict": lightning, "callbacks": {"ModelCheckpoint": {"best": torch.tensor(0.5), "path": "x"}},
                             "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [], "hyper_parameters": {"lr": 0.1}}, lightning, choice="#state_dict")
    yield Kind("net", {"net": weights, "acc": 93.1, "epoch": 2}, weights)
    yield Kind("student and teacher", {"student": weights, "teacher": ema, **extra}, weights, choice="#student")
    yield Kind("nested", {"ema": {"state_dict": weights}, "step": 4}, weights)


def kinds():
    torch.manual_seed(3)
    yield Kind("types", types())
    yield Kind("types, legacy", types(), _use_new_zipfile_serialization=False)
    yield Kind("views", views(), tied={})
    yield Kind("views, legacy", views(), _use_new_zipfile_serialization=False)
    tied = torch.randn(4, 3)
    yield Kind("tied", {"a": tied, "b": tied, "c": tied.t(), "d": tied.view(4, 3)}, tied={"b": "a", "d": "a"})
    yield Kind("attributes", attributes())
    yield Kind("attributes, legacy", attributes(), _use_new_zipfile_serialization=False)
    for protocol in (2, 3, 4, 5):
        yield Kind(f"protocol {protocol}", dict(network().state_dict(), long=torch.zeros(300)), pickle_protocol=protocol)
        yield Kind(f"protocol {protocol}, legacy", network().state_dict(), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    yield from training_files()
    yield Kind("odd", {"w": torch.ones(2), "v": torch.ones(3), **odd()}, {"w": torch.ones(2), "v": torch.ones(3)}, unread=odd())
    # More entries than a directory without zip64 can count take seconds; several thousand do not.
    yield Kind("many", {f"layer.{i}.weight": torch.full((3,), float(i)) for i in range(3000)})


def converted(t):
    """As atrous reads it, in PyTorch's own conversion."""
    t = t.detach()
    return t.contiguous().to(getattr(torch, TYPES[t.dtype][1]))


def same_bits(a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.is_floating_point():  # NaN stays NaN; what it carries beyond that may change where a type is widened
        whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
        return bool(((a.view(whole) == b.view(whole)) | (a.isnan() & b.isnan())).all()) if a.numel() else True
    return torch.equal(a, b)


def compare(binary, folder, kind):
    """Saves, converts and lists the file; raises where something differs. Returns the number of tensors compared."""
    path, out = os.path.join(folder, "file.pth"), os.path.join(folder, "out.st")
    torch.save(kind.content, path, **kind.save)
    common.atrous(binary, "weights", "convert", "--input", path + kind.choice, "--output", out)
    ours = common.load(out)
    if set(ours) != set(kind.expected):
        raise RuntimeError(f"other names: {sorted(set(ours) ^ set(kind.expected))[:5]}")
    for name, t in kind.expected.items():
        if not same_bits(ours[name], converted(t)):
            raise RuntimeError(f"\"{name}\" differs: {ours[name].dtype} {list(ours[name].shape)} for {t.dtype} {list(t.shape)}")
    listed = {row["name"]: row for row in json.loads(subprocess.run([binary, "weights", "show", path + kind.choice, "--json", "-"], check=True, capture_output=True, text=True).stdout)["tensors"]}
    if {name for name, row in listed.items() if row["problem"]} != kind.unread:
        raise RuntimeError(f"not read: {[name for name, row in listed.items() if row['problem']]}")
    for name, t in kind.expected.items():
        row = listed[name]
        if (row["dtype"], row["shape"]) != (TYPES[t.dtype][0], list(t.shape)) or (kind.tied and row["same_as"] != kind.tied.get(name)):
            raise RuntimeError(f"listed as {row}")
    return len(kind.expected)


class Runs:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile(binary, folder):
    """(name, passed) for files that PyTorch would run."""
    ran = os.path.join(folder, "ran")
    path = os.path.join(folder, "hostile.pth")
    for name, value in (("posix.system", Runs(os.system, "touch " + ran)), ("builtins.eval", Runs(eval, "1")), ("builtins.exec", Runs(exec, "1")), ("subprocess.Popen", Runs(subprocess.Popen, ["true"])),
                        ("torch.storage._load_from_bytes", Runs(torch.storage._load_from_bytes, b"x"))):
        for legacy in (False, True):
            torch.save({"model": {"w": torch.ones(2)}, "x": value}, path, _use_new_zipfile_serialization=not legacy)
            result = subprocess.run([binary, "weights", "show", path], capture_output=True, text=True)
            said = result.stderr.replace("__builtin__", "builtins").replace("commands.Popen", "subprocess.Popen")  # names of Python 2
            yield name, result.returncode == 5 and f"this file would run code: {name}" in said and not os.path.exists(ran)


def logits(binary, folder):
    """{what: error} of torchvision's ResNet-18 and DeepLab v3, from files of this PyTorch."""
    import torchvision
    networks = [("resnet18", torchvision.models.resnet18(weights=None), {"name": "resnet18", "num_classes": 1000}, 64),
                ("deeplabv3", torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True),
                 {"name": "deeplabv3_resnet50", "num_classes": 21, "aux_loss": True}, 65)]
    errors = {}
    for name, net, model, size in networks:
        common.randomise(net, 5)
        net.eval()
        image = torch.randn(1, 3, size, size)
        paths = {part: os.path.join(folder, part) for part in ("config.json", "net.pth", "in.st", "out.st")}
        common.write_json(paths["config.json"], {"model": model})
        torch.save({"epoch": 1, "model": nn.DataParallel(net).state_dict()}, paths["net.pth"])
        common.save(paths["in.st"], {"input": image})
        common.atrous(binary, "forward", "--config", paths["config.json"], "--weights", paths["net.pth"], "--input", paths["in.st"], "--output", paths["out.st"])
        with torch.no_grad():
            theirs = net(image)
        theirs = theirs["out"] if isinstance(theirs, dict) else theirs
        ours = common.load(paths["out.st"])["logits"].reshape(theirs.shape)
        errors[name] = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    return errors


def compare_derived(binary, folder, name, net, path, size=64):
    """The relative error of the logits of a network whose config atrous derives from its file or folder, against double precision. Where
    PyTorch in single precision is off by more (gates of a random network multiply rounding errors), the ratio counts: 1 is the tolerance."""
    paths = {part: os.path.join(folder, part) for part in ("in.st", "out.st")}
    image = torch.randn(1, net_channels(net), size, size)
    common.save(paths["in.st"], {"input": image})
    common.atrous(binary, "forward", "--weights", path, "--input", paths["in.st"], "--output", paths["out.st"])
    outputs = []
    with torch.no_grad():
        for kind in (torch.float32, torch.float64):
            out = net.to(kind)(image.to(kind))
            outputs.append((out["out"] if isinstance(out, dict) else out).double())
    single, exact = outputs
    ours = common.load(paths["out.st"])["logits"].double().reshape(exact.shape)
    error, theirs = (((x - exact).abs().max() / exact.abs().max()).item() for x in (ours, single))
    if theirs > 1e-3:
        raise RuntimeError(f"{name}: PyTorch itself is off by {theirs:.1e}")
    return error if theirs < LOGITS_TOLERANCE / 4 else error * LOGITS_TOLERANCE / (4 * theirs)


def net_channels(net):
    return next(p for p in net.parameters() if p.dim() == 4).shape[1]


def derived(binary, folder):
    """{what: error} of files without a config of atrous: its networks are known by their tensors, and by a hub's config.json."""
    import torchvision
    segmentation = torchvision.models.segmentation
    nothing = {"weights": None, "weights_backbone": None}
    files = [("resnet34", torchvision.models.resnet34(weights=None, num_classes=7)), ("vgg16_bn", torchvision.models.vgg16_bn(weights=None, num_classes=3)),
             ("mobilenet_v2", torchvision.models.mobilenet_v2(weights=None, num_classes=5)),
             ("mobilenet_v3_small", torchvision.models.mobilenet_v3_small(weights=None, num_classes=5)),
             ("efficientnet_b0", torchvision.models.efficientnet_b0(weights=None, num_classes=5)), ("efficientnet_b5", torchvision.models.efficientnet_b5(weights=None, num_classes=5)),
             ("deeplabv3_resnet101", segmentation.deeplabv3_resnet101(**nothing, num_classes=21, aux_loss=True)),
             ("deeplabv3_mobilenet", segmentation.deeplabv3_mobilenet_v3_large(**nothing, num_classes=21)),
             ("fcn_resnet50", segmentation.fcn_resnet50(**nothing, num_classes=19)), ("lraspp", segmentation.lraspp_mobilenet_v3_large(**nothing, num_classes=21))]
    errors = {}
    for name, net in files:
        common.randomise(net.eval(), 6)
        path = os.path.join(folder, name + ".pth")
        torch.save(net.state_dict(), path)
        errors[name] = compare_derived(binary, folder, name, net, path)
        os.remove(path)
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        return errors
    hubs = [("unet", smp.Unet("resnet34", encoder_weights=None, classes=3)), ("unet scse", smp.Unet("resnet18", encoder_weights=None, classes=5, decoder_attention_type="scse")),
            ("unet grey", smp.Unet("mobilenet_v2", encoder_weights=None, classes=2, in_channels=1)),
            ("unet timm-efficientnet-b0", smp.Unet("timm-efficientnet-b0", encoder_weights=None, classes=3)), ("deeplabv3+ efficientnet-b1", smp.DeepLabV3Plus("efficientnet-b1", encoder_weights=None, classes=3)),
            ("deeplabv3+ lite0", smp.DeepLabV3Plus("timm-tf_efficientnet_lite0", encoder_weights=None, classes=3)),
            ("deeplabv3+", smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=4)),
            ("deeplabv3+ stride 8", smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=4, encoder_output_stride=8, decoder_atrous_rates=(6, 12, 18))),
            ("pspnet", smp.PSPNet("resnet18", encoder_weights=None, classes=4)), ("pspnet depth 4", smp.PSPNet("resnet18", encoder_weights=None, classes=4, encoder_depth=4, upsampling=16))]
    for name, net in hubs:
        common.randomise(net.eval(), 6)
        path = os.path.join(folder, "hub " + name)
        net.save_pretrained(path)
        errors["smp " + name] = compare_derived(binary, folder, name, net, path)
    return errors


def renamed(folder, binary):
    """{what: error} of EfficientNets under other programs' names: the program knows its own padding and eps; ours are in the config."""
    import segmentation_models_pytorch as smp
    import torchvision
    torchvision_form = {"conv_padding": "symmetric", "norm_eps": 1e-5}
    networks = [(f"torchvision efficientnet_b{i}", getattr(torchvision.models, f"efficientnet_b{i}")(weights=None, num_classes=10), {"name": f"efficientnet_b{i}", **torchvision_form}, 64) for i in (0, 1, 3)]
    networks.append(("torchvision efficientnet_b5", torchvision.models.efficientnet_b5(weights=None, num_classes=10), {"name": "efficientnet_b5", "conv_padding": "symmetric"}, 64))
    # Its padding is made for one size: 240 for b1, 300 for b3. Sizes that halve as evenly are padded alike.
    networks.append(("smp Unet efficientnet-b1", smp.Unet("efficientnet-b1", encoder_weights=None, classes=10), {"name": "unet", "backbone": "efficientnet_b1"}, 80))
    networks.append(("smp DeepLabV3Plus efficientnet-b1", smp.DeepLabV3Plus("efficientnet-b1", encoder_weights=None, classes=10), {"name": "deeplabv3plus", "form": "smp", "backbone": "efficientnet_b1"}, 64))
    errors = {}
    for name, net, model, size in networks:
        common.randomise(net, 5)
        errors[name] = import_error(binary, folder, net.eval(), {"num_classes": 10, **model}, size)
    return errors


def import_error(binary, folder, net, model, size):
    image = torch.randn(1, 3, size, size)
    paths = {part: os.path.join(folder, part) for part in ("config.json", "net.pth", "net.st", "in.st", "out.st")}
    common.write_json(paths["config.json"], {"model": model})
    torch.save(net.state_dict(), paths["net.pth"])
    common.save(paths["in.st"], {"input": image})
    common.atrous(binary, "import-weights", "--config", paths["config.json"], "--input", paths["net.pth"], "--output", paths["net.st"])
    common.atrous(binary, "forward", "--config", paths["config.json"], "--weights", paths["net.st"], "--input", paths["in.st"], "--output", paths["out.st"])
    with torch.no_grad():
        theirs = net(image)
    ours = common.load(paths["out.st"])["logits"].reshape(theirs.shape)
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=common.default_binary(), metavar="BINARY")
    options = parser.parse_args()
    common.use_threads()
    passed = failed = skipped = 0
    largest = {}
    with common.temporary_folder() as folder:
        for kind in kinds():
            try:
                print(f"ok    {kind.name}: {compare(options.atrous, folder, kind)} tensors")
                passed += 1
            except Exception as error:  # PyTorch's own refusals to save are shown too
                print(f"FAIL  {kind.name}: {error}")
                failed += 1
        if hasattr(torch.serialization, "set_crc32_options"):
            torch.serialization.set_crc32_options(False)
            compare(options.atrous, folder, Kind("no checksums", network().state_dict()))
            torch.serialization.set_crc32_options(True)
            passed += 1
        for name, good in hostile(options.atrous, folder):
            print(f"{'ok  ' if good else 'FAIL'}  refused: {name}")
            passed, failed = passed + good, failed + (not good)
        try:
            largest = logits(options.atrous, folder)
            with common.temporary_folder() as no_config:
                largest.update(derived(options.atrous, no_config))
            for name, error in largest.items():
                print(f"{'ok  ' if error <= LOGITS_TOLERANCE else 'FAIL'}  logits of {name}: {error:.1e}")
                passed, failed = passed + (error <= LOGITS_TOLERANCE), failed + (not error <= LOGITS_TOLERANCE)
        except ImportError:
            print("skipped: no torchvision")
            skipped += 1
        try:
            again = renamed(folder, options.atrous)
            for name, error in again.items():
                print(f"{'ok  ' if error <= LOGITS_TOLERANCE else 'FAIL'}  imported logits of {name}: {error:.1e}")
                passed, failed = passed + (error <= LOGITS_TOLERANCE), failed + (not error <= LOGITS_TOLERANCE)
            summary.take_larger(largest, {"imported": max(again.values())})
        except ImportError:
            print("skipped: no torchvision or segmentation_models_pytorch")
            skipped += 1
    return summary.finish(passed, failed, skipped, largest)


if __name__ == "__main__":
    sys.exit(main())
