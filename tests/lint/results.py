#!/usr/bin/env python3
"""Every result in docs/results.md says at which commit it was measured, and is marked if what it depends on has changed since.

Each section has lines of the form

    Measured at 339edaf, before the last change of convolution sums and training steps.
    <!-- depends on: convolution sums, training steps, semantic scores -->

Words may come before ("U-Net: measured at ..."). The names are groups of sources in tests/lint/results.json. The mark must name exactly the
groups with a commit after the one given that touches their sources; what only a GPU or a benchmark runs does not count, and neither do
the commits that a group lists as neutral, because they change no bit of a result. --fix writes the marks; only a new measurement
changes the commit.

    tests/lint/results.py [--fix] [FOLDER]

Exit code 1 if a mark is wrong or missing, 77 in a clone without the history, such as a shallow one.
"""
import argparse
import json
import os
import re
import subprocess
import sys

SKIPPED = 77
PAGE, GROUPS = "docs/results.md", "tests/lint/results.json"
NOT_ARITHMETIC = (":(exclude,glob)**/*.cu", ":(exclude,glob)**/*.cuh", ":(exclude,glob)**/*_gpu.*", ":(exclude,glob)**/*.md")
MEASURED = re.compile(r"^(?P<before>.*\b[Mm]easured at )(?P<commit>[0-9a-f]{7,40})(?P<mark>, before the last change of [^.]*)?\.")
DEPENDS = re.compile(r"^<!-- depends on: (.*) -->$")


def git(root, *arguments):
    result = subprocess.run(["git", "-C", root, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def listed(names):
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def changed_since(root, commit, group):
    commits = (git(root, "log", "--format=%H", f"{commit}..HEAD", "--", *group["sources"], *NOT_ARITHMETIC) or "").split()
    return [c for c in commits if not any(c.startswith(n) for n in group["neutral"])]


class Checker:
    def __init__(self, root, groups):
        self.root, self.groups, self.faults, self.count = root, groups, [], 0

    def fault(self, number, text):
        self.faults.append(f"{PAGE}:{number}: {text}")

    def names_of(self, number, lines):
        """The groups of the comment on the next line."""
        found = DEPENDS.match(lines[number]) if number < len(lines) else None
        if not found:
            self.fault(number, 'the line after "measured at" must say on what the result depends: <!-- depends on: convolution sums -->')
            return None
        names = [name.strip() for name in found[1].split(",")]
        unknown = [name for name in names if name not in self.groups]
        if unknown:
            self.fault(number + 1, f"no group of sources named {', '.join(unknown)}. There are: {', '.join(self.groups)}")
            return None
        return names

    def line(self, number, lines):
        """The line as it should be."""
        text = lines[number - 1]
        found = MEASURED.match(text)
        if not found:
            return text
        self.count += 1
        names = self.names_of(number, lines)
        if names is None:
            return text
        commit = found["commit"]
        if git(self.root, "merge-base", "--is-ancestor", commit, "HEAD") is None:
            self.fault(number, f"{commit} is no commit before this one")
            return text
        stale = [name for name in names if changed_since(self.root, commit, self.groups[name])]
        mark = f", before the last change of {listed(stale)}" if stale else ""
        if mark != (found["mark"] or ""):
            wanted = f'it must say "{mark[2:]}"' if mark else "the mark must go: nothing that it depends on has changed"
            self.fault(number, f"measured at {commit}: {wanted} (tests/lint/results.py --fix)")
        return f"{found['before']}{commit}{mark}." + text[found.end() :]

    def sections(self, lines):
        """Each section has a measurement, or one above it in the same chapter has."""
        section, measured, fenced = None, True, False
        for number, text in enumerate([*lines, "## end"], 1):
            fenced ^= text.startswith("```")
            if not fenced and re.match(r"^###? ", text):
                if not measured:
                    self.fault(section, 'the section does not say at which commit it was measured: "Measured at <commit>."')
                section, measured = number, False
            measured = measured or bool(MEASURED.match(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="write the marks")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("folder", nargs="?", default=os.path.join(here, "..", ".."))
    options = parser.parse_args()
    root = options.folder
    if git(root, "rev-parse", "HEAD") is None or git(root, "rev-parse", "--is-shallow-repository") != "false":
        print("skipped: without the history nobody can say what has changed since a result")
        return SKIPPED
    with open(os.path.join(root, GROUPS), encoding="utf-8") as f:
        groups = json.load(f)
    path = os.path.join(root, PAGE)
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    checker = Checker(root, groups)
    for name, group in groups.items():
        missing = [s for s in group["sources"] if not os.path.exists(os.path.join(root, s))]
        if missing:
            checker.faults.append(f"{GROUPS}: {name}: there is no {', '.join(missing)}")
    checker.sections(lines)
    right = [checker.line(number, lines) for number in range(1, len(lines) + 1)]
    if checker.count == 0:
        checker.faults.append(f"{PAGE}: no result says at which commit it was measured")
    if options.fix and right != lines:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(right))
        print(f"{PAGE}: {sum(a != b for a, b in zip(right, lines))} marks written")
        checker.faults = [fault for fault in checker.faults if "--fix" not in fault]
    print("\n".join(checker.faults) or f"{checker.count} results, each with its commit")
    return 1 if checker.faults else 0


if __name__ == "__main__":
    sys.exit(main())
