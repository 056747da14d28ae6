"""What a benchmark leaves: a JSON with every number measured, and a Markdown section with the machine named."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "results"
PACKAGES = ("jax", "keras", "keras-hub", "ray", "optuna", "mlflow")
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}  # by flag of the kernel, widest first


def this_machine() -> dict[str, str]:
    """Name the processor, its cores that this process may use, memory, commit of this repository and versions."""
    found = {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "date": time.strftime("%Y-%m-%d"),
        **_commit(),
        "python": f"Python {platform.python_version()}",
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The processor's name and its widest vectors: virtual machines of one name can differ twofold in speed."""
    told = Path("/proc/cpuinfo").read_text()
    match = re.search(r"model name\s*:\s*(.+)", told)
    vectors = next((name for flag, name in VECTORS.items() if re.search(rf"\b{flag}\b", told)), None)
    return (match[1].strip() if match else platform.machine()) + (f" with {vectors}" if vectors else "")


def _commit() -> dict[str, str]:
    """The commit that runs, with a `+` when something but results has changed since; nothing outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return {}

    def asked(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([git, *command], cwd=FOLDER.parent, capture_output=True, text=True, check=False)  # noqa: S603  ours

    commit = asked("rev-parse", "--short", "HEAD")
    if commit.returncode:
        return {}
    changed = asked("diff", "--quiet", "HEAD", "--", ":/", ":(exclude)results", ":(exclude)RESULTS.md").returncode
    return {"commit": f"commit {commit.stdout.strip()}{'+' if changed else ''}"}


@dataclass(frozen=True)
class Table:
    """Rows under headings, with a sentence that says how to read them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table as GitHub's Markdown."""
        lines = [f"### {self.title}", ""]
        lines += [_row(self.columns), _row(["---", *["---:"] * (len(self.columns) - 1)])]
        lines += [_row([_text(cell) for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


@dataclass(frozen=True)
class Report:
    """One benchmark's outcome.

    name        of the benchmark, and of its files
    command     that made it
    question    what it answers, a sentence or two
    tables      for the reader
    data        everything measured, for whoever wants to compute further
    seconds     that the whole benchmark took
    """

    name: str
    command: str
    question: str
    tables: Sequence[Table]
    data: Any
    seconds: float
    machine: dict[str, str] = field(default_factory=this_machine)

    def write(self, folder: Path = FOLDER) -> Path:
        """Write `NAME.json` and `NAME.md`; the latter's path."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = asdict(self) | {"tables": [asdict(table) for table in self.tables]}
        (folder / f"{self.name}.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")
        path = folder / f"{self.name}.md"
        path.write_text(self.markdown())
        return path

    def tell(self, *, keep: bool) -> None:
        """Print it; and write it into the results, unless it was only a trial of the benchmark."""
        if keep:
            self.write()
        print(self.markdown())

    def markdown(self) -> str:
        """Return the section that `RESULTS.md` is put together from."""
        where = "; ".join(f"{key} {value}" if key in PACKAGES else value for key, value in self.machine.items())
        head = f"## {self.name}\n\n{self.question}\n\n`{self.command}` took {self.seconds:.0f} s. Machine: {where}.\n\n"
        return head + "\n".join(table.markdown() for table in self.tables)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(cell: Any) -> str:
    return f"{cell:,.3g}" if isinstance(cell, float) else str(cell)
