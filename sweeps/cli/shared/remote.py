"""Sweeps on a cluster, from the command line of another machine: begun there, watched here through the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from sweeps.cli.shared.console import is_plain, open_console
from sweeps.cli.shared.exit_codes import STOPPED, say

if TYPE_CHECKING:
    from sweeps.cluster.jobs import Job, Jobs
    from sweeps.home import Home
    from sweeps.progress import ProgressEvent
    from sweeps.spec import SweepSpec

POLL_S = 1.0


def launch_and_watch(spec: SweepSpec, home: Home, address: str, *, keep_alive: bool, detach: bool, plain: bool) -> None:
    """Begin a sweep on a cluster, and watch it unless detached."""
    from sweeps.cluster.jobs import Jobs
    from sweeps.cluster.submission import launch_there

    jobs = Jobs(address)
    job = launch_there(spec, home, jobs, keep_alive=keep_alive, on_event=_say_what)
    _watch(jobs, job, spec.name, home, detach=detach, plain=plain)


def resume_and_watch(
    name: str, home: Home, address: str, *, changes: Sequence[str], keep_alive: bool, detach: bool, plain: bool
) -> None:
    """Go on with a sweep on a cluster, and watch it unless detached."""
    from sweeps.cluster.jobs import Jobs
    from sweeps.cluster.submission import resume_there

    jobs = Jobs(address)
    job = resume_there(name, home, jobs, changes=changes, keep_alive=keep_alive, on_event=_say_what)
    _watch(jobs, job, name, home, detach=detach, plain=plain)


def _say_what(event: ProgressEvent) -> None:
    from sweeps.progress import Preparing

    if isinstance(event, Preparing):
        say(f"{event.what} …")


def _watch(jobs: Jobs, job: Job, name: str, home: Home, *, detach: bool, plain: bool) -> None:
    """Wait until the driver runs, then show the sweep until it ends; Ctrl-C only stops looking."""
    from sweeps.cli.shared.watch import BEGIN_S, watch_sweep
    from sweeps.cli.status import print_status
    from sweeps.opening import is_driven, open_ledger

    say(
        f"The sweep {name!r} runs on the cluster at {jobs.address}, as the job {job.id}; it needs this machine no more."
    )
    if detach:
        return
    opened = open_ledger(home, name)
    _wait(lambda: is_driven(opened.ledger.record) or jobs.look(job.id).is_over, BEGIN_S)
    _refuse_if_failed(jobs, job)
    console = open_console(plain=plain)
    watch_sweep(console, opened, plain=is_plain(plain))
    print_status(console, opened, everything=False)
    if opened.ledger.record.state != "complete":
        raise typer.Exit(STOPPED)


def _refuse_if_failed(jobs: Jobs, job: Job) -> None:
    """Tell why a driver ended before it began.

    Raises:
        ClusterError: what it wrote last.
    """
    from sweeps.errors import ClusterError

    now = jobs.look(job.id)
    if now.state != "FAILED":
        return
    errors = [line.removeprefix("Error: ") for line in jobs.logs(job).splitlines() if line.startswith("Error: ")]
    raise ClusterError("\n".join(errors) or f"The job {job.id} failed: {now.message or 'it wrote nothing'}")


def _wait(happened: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened() and time.monotonic() < deadline:
        time.sleep(POLL_S)
