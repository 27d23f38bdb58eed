"""The last line of every parity script, which scripts/parity.sh puts into its table."""


def finish(passed, failed, skipped=0, largest=None):
    """Prints the counts and the largest differences {what: number}; returns the exit code. Nothing compared is a failure."""
    line = f"{passed} passed, {failed} failed, {skipped} skipped"
    if largest:
        line += "; largest difference: " + ", ".join(f"{what} {number:.1e}" for what, number in largest.items())
    print(line, flush=True)
    return 1 if failed or not passed else 0


def take_larger(largest, errors):
    """Updates {what: number} with what is larger in `errors`; NaN counts as larger."""
    for what, number in errors.items():
        if not number <= largest.get(what, 0.0):
            largest[what] = number
        else:
            largest.setdefault(what, 0.0)
