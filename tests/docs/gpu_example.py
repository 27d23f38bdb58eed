#!/usr/bin/env python3
"""docs/gpu.md shows a kernel, three mistakes, and what the simulator prints: compiles and runs them and compares.

    gpu_example.py COMPILER BUILD     compares; BUILD is a build folder without CUDA and sanitizers
    gpu_example.py COMPILER BUILD --print     prints what the page should show

The ThreadSanitizer report is left out: it needs another build, and holds addresses.
"""
import os, re, subprocess, sys, tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAGE = os.path.join(SOURCE, "docs", "gpu.md")

# The variants in the order of the page: what is replaced in the kernel, and by what.
VARIANTS = [
    None,
    ("  if (i >= n) return;\n", ""),
    ("  __syncthreads();\n", ""),
    ("tile[threadIdx.x] = x[i]", "tile[threadIdx.x + 1] = x[i]"),
]


def words(text):
    """Lines are broken to fit the page."""
    return " ".join(text.split())


def shell_blocks(page):
    """For each block that runs ./reverse: its (command, output) pairs, without the compiler's."""
    blocks = []
    for block in re.findall(r"^```\n(\$ .*?)^```", page, re.S | re.M):
        pairs = []
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            if "./reverse" in command:
                pairs.append((command, output))
        if pairs and "ThreadSanitizer" not in block:
            blocks.append(pairs)
    return blocks


def compile_variant(compiler, build, folder, code, edit):
    if edit:
        assert code.count(edit[0]) == 1, f"docs/gpu.md: the kernel has no single {edit[0]!r}"
        code = code.replace(*edit)
    with open(os.path.join(folder, "reverse.cu"), "w") as file:
        file.write(code)
    libraries = [os.path.join(build, name) for name in ("kernels/libatrous_kernels.a", "core/libatrous_core.a")]
    subprocess.run([compiler, "-std=c++20", "-O1", "-fno-strict-aliasing", "-I" + SOURCE, "-x", "c++", "reverse.cu", "-x", "none",
                    *libraries, "-lfmt", "-pthread", "-o", "reverse"], cwd=folder, check=True)


def main():
    compiler, build = sys.argv[1], os.path.abspath(sys.argv[2])
    with open(PAGE) as file:
        page = file.read()
    page = page[page.index("### What it detects"):]
    code = re.search(r"^```cpp\n(.*?)^```", page, re.S | re.M).group(1)
    blocks = shell_blocks(page)
    assert len(blocks) == len(VARIANTS), f"docs/gpu.md: {len(blocks)} runs of {len(VARIANTS)} variants"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATROUS_")}
    stale = False
    for edit, pairs in zip(VARIANTS, blocks):
        with tempfile.TemporaryDirectory() as folder:
            compile_variant(compiler, build, folder, code, edit)
            for command, shown in pairs:
                printed = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True).stdout
                if "--print" in sys.argv:
                    print(f"$ {command}\n{printed}", end="")
                elif words(printed) != words(shown):
                    stale = True
                    print(f"docs/gpu.md shows for `{command}`:\n{shown}but the program prints:\n{printed}")
    return int(stale)


sys.exit(main())
