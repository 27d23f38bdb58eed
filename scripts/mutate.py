#!/usr/bin/env python3
"""Changes one constant, comparison or order in the source at a time and runs the tests that should notice.

A mutation that no test notices shows a check that sleeps: something could change there without anybody seeing it.
scripts/mutations.json lists them: the file, the text that is replaced (it must occur exactly once), what replaces it, the tests that can
catch it, and why it matters. The tests are named as

  layers_tests: softmax*      the test cases of a Catch2 executable that match
  op: resize                  the op's cases on the CPU: implementations against the reference

Everything happens in a copy of the tree (build/mutate, tracked and new files that git does not ignore); the tree itself is never
changed. First the copy is built unchanged and all tests of the chosen mutations must pass, then the mutations follow one by one, each
with an incremental build of the tests that it needs. ccache makes this several times as fast.

  scripts/mutate.py --check                  every text occurs exactly once (no build; a test of the suite)
  scripts/mutate.py --list                   names and reasons
  scripts/mutate.py --only ema-warm-up       one mutation; may be repeated, and may be a pattern such as 'coco-*'
  scripts/mutate.py                          all of them: an hour or two on two cores

Exit code 0 if every mutation is caught, 1 if one survives, 2 if something could not be tried: the list does not fit the source any more,
a mutation does not compile, a test is missing or fails without any mutation.
"""
import argparse
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = os.path.join(ROOT, "scripts", "mutations.json")
TEST_SECONDS = 600
CAUGHT, SURVIVED, NOT_APPLIED, NOT_COMPILED = "caught", "SURVIVED", "DID NOT APPLY", "DID NOT COMPILE"


class Failure(Exception):
    """Something that keeps mutations from being tried."""


def edits_of(mutation):
    """[(file, old, new)]: several where reference and kernels have a copy of a formula each."""
    if "edits" in mutation:
        return [(e["file"], e["old"], e["new"]) for e in mutation["edits"]]
    return [(mutation["file"], mutation["old"], mutation["new"])]


def read_list():
    with open(LIST, encoding="utf-8") as f:
        mutations = json.load(f)["mutations"]
    names = [m["name"] for m in mutations]
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise Failure(f"{LIST}: names must differ. Got twice: {', '.join(doubled)}.")
    for m in mutations:
        unknown = set(m) - {"name", "file", "old", "new", "edits", "tests", "why"}
        if unknown or not m["tests"] or not m["why"]:
            raise Failure(f"{LIST}: {m['name']} needs tests and why, and nothing else than the known keys. Got {', '.join(sorted(m))}.")
        for test in m["tests"]:
            command_of(test, "")
    return mutations


def misfits(mutation):
    """Why the mutation does not fit the source; empty if it does."""
    problems = []
    for file, old, new in edits_of(mutation):
        path = os.path.join(ROOT, file)
        if not os.path.isfile(path):
            problems.append(f"{file} does not exist")
            continue
        with open(path, encoding="utf-8") as f:
            count = f.read().count(old)
        if count != 1:
            problems.append(f"{file} must contain the text exactly once, it does {count} times: {old!r}")
        if old == new:
            problems.append(f"{file}: nothing changes: {old!r}")
    return problems


def command_of(test, build):
    """(CMake target, command)"""
    kind, _, what = test.partition(": ")
    if kind == "op" and what:
        return "op_tests", [os.path.join(build, "tests", "kernels", "op_tests"), "--op", what, "--device", "cpu"]
    if kind.endswith("_tests") and what:
        program = os.path.join(build, "tests", kind)
        return kind, [program, what, "--warn", "NoTests", "--reporter", "xml"]
    raise Failure(f"{LIST}: no such test: {test!r}.")


class Copy:
    """The tree's copy and its build."""

    def __init__(self, folder, jobs):
        self.folder, self.jobs = folder, jobs
        # The same place below the copy as in the tree: ccache takes the objects of the tree's own build over.
        self.build = os.path.join(folder, "build", "release")

    def synchronise(self):
        """Whatever an interrupted run left is undone here, too."""
        marker = os.path.join(self.folder, "build", "copy-of-mutate.py")
        if os.path.isdir(self.folder) and os.listdir(self.folder) and not os.path.exists(marker):
            raise Failure(f"--build-dir must be a new folder, or that of an earlier run: what does not belong there is removed. Got {self.folder}.")
        os.makedirs(os.path.dirname(marker), exist_ok=True)
        open(marker, "w", encoding="utf-8").close()
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                                stdout=subprocess.PIPE).stdout
        paths = {os.fsdecode(f): os.path.join(ROOT, os.fsdecode(f)) for f in listed.split(b"\0") if f}
        files = {f for f, path in paths.items() if os.path.isfile(path) and not path.startswith(self.folder + os.sep)}
        for file in sorted(files):
            source, target = os.path.join(ROOT, file), os.path.join(self.folder, file)
            if not same_bytes(source, target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
        for folder, folders, names in os.walk(self.folder):
            if folder == self.folder and "build" in folders:
                folders.remove("build")
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.folder) not in files:
                    os.remove(os.path.join(folder, name))

    def configure(self):
        command = ["cmake", "-S", self.folder, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DATROUS_BUILD_TESTS=ON",
                   "-DATROUS_CUDA=OFF"]
        if shutil.which("ccache"):
            command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise Failure("cmake could not configure the copy.")

    def make(self, targets):
        """The compiler's output if it failed, else None."""
        command = ["cmake", "--build", self.build, "-j", str(self.jobs), "--target", *sorted(targets)]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return result.stdout if result.returncode != 0 else None

    def run(self, test):
        """What the test says of the copy as it is: None if it passes, else the check that fails."""
        _, command = command_of(test, self.build)
        try:
            result = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TEST_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{test} (no end after {TEST_SECONDS} s)"
        output = result.stdout.decode("utf-8", "replace")
        if "_tests: " in test and output.find("<TestCase ") < 0:
            raise Failure(f"{test} matches no test case.")
        if result.returncode == 0:
            return None
        if result.returncode < 0:
            return f"{test} ({signal.Signals(-result.returncode).name})"
        return failed_check(test, output)


def same_bytes(a, b):
    if not os.path.isfile(b) or os.path.getsize(a) != os.path.getsize(b):
        return False
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def failed_check(test, output):
    kind = test.partition(": ")[0]
    if kind.endswith("_tests"):
        begin, end = output.find("<?xml"), output.rfind("</Catch>")
        try:
            cases = ElementTree.fromstring(output[begin:end + len("</Catch>")]).iter("TestCase")
            names = [c.get("name") for c in cases if c.find("OverallResult").get("success") != "true"]
        except (ElementTree.ParseError, AttributeError):
            names = []
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            return f"{kind}: {names[0]}{more}"
    else:
        for line in output.splitlines():
            if line.startswith("FAILED"):
                return f"{kind}: {line.strip()}"
    return test


def try_mutation(copy, mutation):
    """(outcome, detail). The copy is as it was before when this returns."""
    problems = misfits(mutation)
    if problems:
        return NOT_APPLIED, "; ".join(problems)
    kept = {}
    try:
        for file, old, new in edits_of(mutation):
            path = os.path.join(copy.folder, file)
            with open(path, encoding="utf-8") as f:
                text = f.read()
            kept.setdefault(path, text)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace(old, new))
        # The quickest first: what one test catches, the others need not look at.
        built = set()
        for test in mutation["tests"]:
            target, _ = command_of(test, copy.build)
            if target not in built:
                log = copy.make([target])
                if log is not None:
                    return NOT_COMPILED, log
                built.add(target)
            caught = copy.run(test)
            if caught is not None:
                return CAUGHT, caught
        return SURVIVED, ", ".join(mutation["tests"])
    finally:
        for path, text in kept.items():
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)


def check_unchanged(copy, mutations):
    tests = sorted({t for m in mutations for t in m["tests"]})
    if not tests:  # none of the mutations fits
        return
    log = copy.make({command_of(t, copy.build)[0] for t in tests})
    if log is not None:
        raise Failure(f"the unchanged tree does not build:\n{log}")
    for test in tests:
        broken = copy.run(test)
        if broken is not None:
            raise Failure(f"without any mutation this fails: {broken}")
    print(f"unchanged: {len(tests)} selections of tests pass", file=sys.stderr)


def run_all(copy, mutations):
    outcomes = []
    width = max(len(m["name"]) for m in mutations)
    for number, mutation in enumerate(mutations, 1):
        start = time.monotonic()
        outcome, detail = try_mutation(copy, mutation)
        outcomes.append(outcome)
        seconds = time.monotonic() - start
        print(f"{number:3}/{len(mutations)}  {mutation['name']:{width}}  {outcome:15}  {seconds:4.0f} s  {detail.rstrip()}", flush=True)
        if outcome == SURVIVED:
            print(f"{'':{width + 9}}  {mutation['why']}", flush=True)
    return outcomes


def chosen(mutations, patterns):
    if not patterns:
        return mutations
    for pattern in patterns:
        if not any(fnmatch.fnmatch(m["name"], pattern) for m in mutations):
            raise Failure(f"no mutation has this name: {pattern}. --list shows them.")
    return [m for m in mutations if any(fnmatch.fnmatch(m["name"], p) for p in patterns)]


def check(mutations):
    bad = 0
    for mutation in mutations:
        for problem in misfits(mutation):
            bad += 1
            print(f"{mutation['name']}: {problem}. Bring scripts/mutations.json up to date.")
    print(f"{len(mutations)} mutations, {bad} texts that do not fit the source")
    return 2 if bad or not mutations else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="this mutation, or those that match the pattern")
    parser.add_argument("--list", action="store_true", help="print names, files and reasons")
    parser.add_argument("--check", action="store_true", help="only check that every mutation applies")
    parser.add_argument("--build-dir", default=os.path.join(ROOT, "build", "mutate"), help="folder of the copy (default: build/mutate)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time (default: one per processor)")
    options = parser.parse_args()
    mutations = chosen(read_list(), options.only)
    if options.list:
        for m in mutations:
            print(f"{m['name']}\n    {', '.join(sorted({f for f, _, _ in edits_of(m)}))}\n    {m['why']}\n    {'; '.join(m['tests'])}")
        return 0
    if options.check:
        return check(mutations)
    folder = os.path.abspath(options.build_dir)
    if os.path.commonpath([folder, ROOT]) == folder:
        raise Failure(f"--build-dir must not be the tree itself or a folder above it. Got {folder}.")
    # As Ctrl-C: the copy is put right on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    copy = Copy(folder, options.jobs)
    copy.synchronise()
    copy.configure()
    check_unchanged(copy, [m for m in mutations if not misfits(m)])
    outcomes = run_all(copy, mutations)
    counts = {o: outcomes.count(o) for o in (CAUGHT, SURVIVED, NOT_APPLIED, NOT_COMPILED) if outcomes.count(o)}
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if counts.get(NOT_APPLIED) or counts.get(NOT_COMPILED):
        return 1 if counts.get(SURVIVED) else 2
    return 1 if counts.get(SURVIVED) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"mutate: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
