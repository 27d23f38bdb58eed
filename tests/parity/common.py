"""What the parity scripts share: safetensors in a few lines, random networks, calling atrous."""
import json
import os
import struct
import subprocess
import sys
import tempfile

SKIPPED = 77  # exit code that test runners read as "skipped"

try:
    import torch
except ImportError:
    print("skipped: no torch")
    sys.exit(SKIPPED)

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8"}
TYPES = {name: dtype for dtype, name in DTYPES.items()}


def save(path, tensors):
    """Writes {name: tensor} as safetensors."""
    header, blobs, at = {}, [], 0
    for name, t in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        blob = t.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            f.write(blob)


def load(path):
    """Reads a safetensors file."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        data = f.read()
    tensors = {}
    for name, e in header.items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=TYPES[e["dtype"]]) if end > begin else torch.empty(0, dtype=TYPES[e["dtype"]])
        tensors[name] = flat.reshape(e["shape"])
    return tensors


def randomise(net, seed):
    """Weights of a sensible size, and running statistics and affine parameters that are not their defaults: those hide mistakes."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                t.fill_(3)
            elif name.endswith("running_mean"):
                t.copy_(torch.randn(t.shape, generator=g) * 0.2)
            elif name.endswith("running_var"):
                t.copy_(torch.rand(t.shape, generator=g) + 0.5)
            elif t.dim() == 1:
                # scales around one, biases around zero: both are fine for either
                t.copy_(torch.rand(t.shape, generator=g) * 0.5 + (0.75 if name.endswith("weight") else -0.25))
            else:
                # Gates multiply a map by what they make of its mean. At full size a random network of them multiplies
                # rounding errors by a thousand.
                gate = any(part in name for part in (".fc1.", ".fc2.", ".scale.", ".conv_reduce.", ".conv_expand."))
                fan_in = t[0].numel()
                t.copy_(torch.randn(t.shape, generator=g) * (2.0 / fan_in) ** 0.5 * (0.3 if gate else 1.0))


def atrous(binary, *arguments):
    """Runs a command of atrous; its messages are shown if it fails."""
    result = subprocess.run([binary, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"atrous {arguments[0]} ended with {result.returncode}:\n{result.stdout}")
    return result.stdout


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f)


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="atrous_parity_")


def use_threads():
    """As many threads as atrous uses: ATROUS_THREADS, or all."""
    torch.set_num_threads(int(os.environ.get("ATROUS_THREADS", 0)) or os.cpu_count() or 1)


def default_binary():
    return built(os.path.join("cli", "atrous"))


def default_program(name):
    """One of the small programs beside the scripts."""
    return built(os.path.join("tests", name))


def built(path):
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.normpath(os.path.join(here, "..", "..", "build", "release", path))
