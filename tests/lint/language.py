#!/usr/bin/env python3
"""Phrases that README, docs, help, messages and comments avoid: each has a standard term or a plain sentence instead. Prints every hit."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHRASES = {
    r"networks? that (finds?|labels?) (objects|pixels)": "detection models, semantic models",
    r"sets? of objects": "instance data sets",
    r"(whoever|nobody|somebody|anybody)": "the name of the thing",
    r"told": "printed, reported, given",
    r"slips?": "mistake, typing error",
    r"(goes|go|going) on": "continues",
    r"goes back": "backward",
    r"goes beside": "is written next to it",
    r"of (its|their) own": "its own, separate",
    r"learn it": "positive, negative",
    r"in front": "first, before",
    r"the same bits": "bit-identical",
    r"there is none of": "not found",
    r"(must be there|is there) (once|twice)": "duplicate",
    r"times less time": "times faster",
}
BANNED = re.compile(r"\b(" + "|".join(PHRASES) + r")\b", re.IGNORECASE)
# Literals come first, so that "//" inside one is not taken for a comment.
COMMENT = re.compile(
    r'R"(\w*)\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\[^\n]{1,8}?)\'|(?P<comment>//[^\n]*(?:\n[ \t]*//[^\n]*)*|/\*.*?\*/)',
    re.DOTALL,
)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"(?:\s*\n\s*"((?:[^"\\\n]|\\.)*)")*')


def texts(path):
    """(line, text) of a page, or of the literals and comments of a source; those of several lines are joined."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        content = re.sub(r"^```.*?^```", lambda m: "\n" * m.group(0).count("\n"), content, flags=re.DOTALL | re.MULTILINE)
        yield from ((content.count("\n", 0, m.start()) + 1, m.group(0)) for m in re.finditer(r"(?:.+\n?)+", content))
        return
    for m in LITERAL.finditer(content):
        yield content.count("\n", 0, m.start()) + 1, "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', m.group(0)))
    for m in COMMENT.finditer(content):
        if m["comment"]:
            yield content.count("\n", 0, m.start()) + 1, re.sub(r"\n[ \t]*//", " ", m["comment"])


def main():
    files = subprocess.run(["git", "ls-files", "*.md", "*.cpp", "*.h", "*.cu", "*.cuh", "*.inc"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode != 0:
        print("language: this is not a git checkout")
        return 77
    names = [name for name in files.stdout.split() if name.endswith(".md") or not name.startswith("tests/")]
    hits = 0
    for name in names:
        for line, text in texts(ROOT / name):
            for m in BANNED.finditer(re.sub(r"\s+", " ", text)):
                instead = next(v for k, v in PHRASES.items() if re.fullmatch(k, m.group(0), re.IGNORECASE))
                print(f"{name}:{line}: \"{m.group(0)}\" ({instead})")
                hits += 1
    print(f"{len(names)} files, {hits} phrases")
    return hits > 0 or not names


if __name__ == "__main__":
    sys.exit(main())
