#!/usr/bin/env python3
"""Prints the Python that runs it and the releases of what the parity scripts compare with, one a line: `name version`, or `name -`."""
import importlib.metadata
import platform

# Distribution names; the first that is installed counts. Debian's torchvision calls itself by its module.
PACKAGES = {
    "torch": ["torch"],
    "torchvision": ["torchvision"],
    "pycocotools": ["pycocotools"],
    "segmentation_models_pytorch": ["segmentation_models_pytorch", "segmentation-models-pytorch"],
    "transformers": ["transformers"],
    "timm": ["timm"],
    "numpy": ["numpy"],
    "pydensecrf": ["pydensecrf2", "pydensecrf"],
}


def version(names):
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "-"


if __name__ == "__main__":
    print("python", platform.python_version())
    for package, names in PACKAGES.items():
        print(package, version(names))
