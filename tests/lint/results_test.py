#!/usr/bin/env python3
"""tests/lint/results.py on a small repository of its own: what it must find, and what it must let pass. 77 without git."""
import os
import shutil
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.py")
GROUPS = '{"sums": {"sources": ["kernels/conv"], "neutral": []}, "scores": {"sources": ["eval"], "neutral": []}}'
DEPENDS = "<!-- depends on: sums, scores -->"


class Repository:
    def __init__(self, folder):
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("tests/lint/results.json", GROUPS)
        self.commit("kernels/conv/conv.cpp", "a")
        self.commit("eval/scores.cpp", "a")

    def git(self, *arguments):
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", "-C", self.folder, *who, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout.strip()

    def write(self, path, text):
        full = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def commit(self, path, text):
        self.write(path, text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", f"{path} {text}")
        return self.git("rev-parse", "HEAD")[:10]

    def page(self, measured, depends=DEPENDS):
        self.write("docs/results.md", f"# Results\n\n## One\n\nmIoU .5\n\n{measured}\n{depends}\n")

    def read_page(self):
        with open(os.path.join(self.folder, "docs", "results.md")) as f:
            return f.read()

    def check(self, *arguments):
        result = subprocess.run([sys.executable, CHECK, *arguments, self.folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return result.returncode, result.stdout


def expect(what, outcome, code, *parts):
    if outcome[0] != code or not all(part in outcome[1] for part in parts):
        sys.exit(f"FAILED: {what}: exit code {outcome[0]} instead of {code}, or not {parts} in:\n{outcome[1]}")


def main():
    if not shutil.which("git"):
        print("skipped: no git")
        return 77
    with tempfile.TemporaryDirectory(prefix="atrous_lint_") as folder:
        r = Repository(folder)
        measured = r.git("rev-parse", "HEAD")[:10]
        r.page(f"Measured at {measured}.")
        expect("a result of the last commit", r.check(), 0, "1 results")
        r.commit("kernels/conv/README.md", "words")
        r.commit("kernels/conv/conv_gpu.cu", "a")
        r.commit("other.cpp", "a")
        expect("changes of no arithmetic", r.check(), 0)
        r.commit("kernels/conv/conv.cpp", "b")
        expect("an older result without its mark", r.check(), 1, "docs/results.md:7:", '"before the last change of sums"')
        r.page(f"U-Net: measured at {measured}, before the last change of sums. On two cores.")
        expect("an older result with its mark", r.check(), 0)
        newer = r.commit("eval/scores.cpp", "b")
        expect("another group", r.check(), 1, '"before the last change of sums and scores"')
        expect("--fix", r.check("--fix"), 0, "1 marks written")
        if f"U-Net: measured at {measured}, before the last change of sums and scores. On two cores.\n" not in r.read_page():
            sys.exit(f"FAILED: --fix left\n{r.read_page()}")
        expect("after --fix", r.check(), 0)
        r.page(f"Measured at {newer}, before the last change of sums.")
        expect("a mark on a result that is up to date", r.check(), 1, "the mark must go")
        r.write("tests/lint/results.json", GROUPS.replace('"neutral": []', f'"neutral": ["{newer}"]', 1))
        r.page(f"Measured at {measured}, before the last change of sums.")
        expect("a commit that is neutral for another group", r.check(), 1, "sums and scores")
        r.write("tests/lint/results.json", GROUPS.replace('["eval"], "neutral": []', f'["eval"], "neutral": ["{newer}"]'))
        expect("a commit that is neutral for its group", r.check(), 0)
        r.page("Measured yesterday.")
        expect("no commit", r.check(), 1, "docs/results.md:3:", "does not say at which commit")
        r.page("Measured at 0123456789.")
        expect("an unknown commit", r.check(), 1, "is no commit before this one")
        r.page(f"Measured at {newer}.", "")
        expect("no dependencies", r.check(), 1, "on what the result depends")
        r.page(f"Measured at {newer}.", "<!-- depends on: weather -->")
        expect("an unknown group", r.check(), 1, "no group of sources named weather")
        r.page(f"Measured at {newer}.")
        r.git("rm", "--quiet", "-r", "eval")
        expect("sources that are gone", r.check(), 1, "there is no eval")
        r.git("reset", "--quiet", "--hard")
        with tempfile.TemporaryDirectory(prefix="atrous_lint_") as clones:
            shallow = os.path.join(clones, "shallow")
            r.git("clone", "--quiet", "--depth", "1", "file://" + folder, shallow)
            result = subprocess.run([sys.executable, CHECK, shallow], stdout=subprocess.PIPE, text=True)
            expect("a shallow clone", (result.returncode, result.stdout), 77, "skipped")
    print("the check finds what it must")
    return 0


if __name__ == "__main__":
    sys.exit(main())
