"""`sweeps doctor`: whether sweeps can run on this machine, each doubt with its fix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import typer

from sweeps.cli.shared.console import is_plain, open_console
from sweeps.cli.shared.exit_codes import FAILED
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.cli.doctor.findings import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor() -> None:
    """Check whether sweeps can run here, and what to do if not."""
    from sweeps.cli.doctor.checks import CHECKS

    console = open_console()
    findings: list[Finding] = []
    # Two at once: most wait for a process of their own.
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = [(check.name, pool.submit(check.run)) for check in CHECKS]
        for name, future in running:
            if is_plain():
                found = future.result()
            else:
                with console.status(f"checking {name} …"):
                    found = future.result()
            findings.append(found)
            _print(console, name, found)
    failed, doubtful = (sum(f.grade == grade for f in findings) for grade in ("fail", "warn"))
    console.print(f"\n{_verdict(failed, doubtful)}", soft_wrap=True)
    if failed:
        raise typer.Exit(FAILED)


def _print(console: Console, name: str, found: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    from sweeps.terminal.wording import one_line

    style = STYLES[found.grade]
    text = Text(one_line(found.text))
    if found.fix:
        text.append(f"\n→ {one_line(found.fix)}", style=style)
    if not console.is_terminal:  # for logs: one line for each
        console.print(f"{found.grade:<4}  {name:<14}  {text.plain}".replace("\n", " "), soft_wrap=True)
        return
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=4)
    line.add_column(width=14)
    line.add_column(overflow="fold")
    line.add_row(Text(found.grade, style=style), name, text)
    console.print(line)


def _verdict(failed: int, doubtful: int) -> str:
    from sweeps.terminal.wording import plural

    if failed:
        return f"Sweeps cannot run here yet: {plural(failed, 'check')} failed."
    doubts = f" {plural(doubtful, 'remark')} above." if doubtful else ""
    return f"Sweeps can run here.{doubts} Begin with:  {program()} launch quickstart"
