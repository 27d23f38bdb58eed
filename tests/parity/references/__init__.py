"""The networks of atrous in PyTorch: torchvision's own where it has them, else written from their descriptions. Only for comparison.

Every module of this package is a family and has a list CASES. A new family is a new file.
"""
import importlib
import pkgutil


class Case:
    """One comparison. `model` is the section of the config, `build()` makes the PyTorch network, which returns {"out": logits} (and
    "aux", "aux2") at the size of the image; it raises ImportError if what it needs is not there. `deep`: see parity_nets.py. `heavy`: big or slow, only with --all.
    `prepare(net)` may change the random weights where they would make the network useless. `without_gradient(name)` says which
    parameters have a gradient of exactly zero, such as biases in front of a batch norm."""

    def __init__(self, name, model, build, batch, height, width, deep=False, heavy=False, prepare=None, without_gradient=None):
        self.name, self.model, self.build = name, model, build
        self.prepare = prepare or (lambda net: None)
        self.without_gradient = without_gradient or (lambda name: False)
        self.batch, self.height, self.width = batch, height, width
        self.deep, self.heavy = deep, heavy


def all_cases():
    """The cases of all families, in the order of their file names."""
    cases = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        cases += importlib.import_module(f"{__name__}.{module}").CASES
    return cases


def without_dropout(net):
    """Two random number generators never agree: comparisons in training mode have no dropout."""
    import torch

    for m in net.modules():
        if isinstance(m, torch.nn.modules.dropout._DropoutNd):
            m.p = 0.0
    return net
