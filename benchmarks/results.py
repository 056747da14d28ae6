"""Puts `RESULTS.md` together from what the benchmarks wrote: `python -m benchmarks.results`.

No number in it was typed: each section is the file of one benchmark, with the command and the machine that made it.
"""

from __future__ import annotations

from benchmarks.instruments.reporting import FOLDER

ORDER = ("step", "sweep", "start", "orchestration", "search", "memory", "gpu", "gpu_reduced")
HEAD = """# Results

Written by `make bench`, a section by each benchmark, which names its machine, its day and the commit that it ran on.
Arms take turns in one run, so that ratios hold where rates do not; times are medians.
"""


def main() -> None:
    """Write `RESULTS.md` beside the benchmarks."""
    sections = [path.read_text() for name in ORDER if (path := FOLDER / f"{name}.md").exists()]
    (FOLDER.parent / "RESULTS.md").write_text("\n".join([HEAD, *sections]))


if __name__ == "__main__":
    main()
