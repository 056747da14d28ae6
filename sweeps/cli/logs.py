"""`sweeps logs`: what the driver of a sweep on a cluster has written."""

from __future__ import annotations

from typing import Annotated

import typer


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a sweep on a cluster.")],
    address: Annotated[
        str, typer.Option("--address", metavar="URL", envvar="SWEEPS_ADDRESS", help="Of the cluster: http://HEAD:8265.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the driver ends.")] = False,
) -> None:
    """Show what the driver of a sweep on a cluster has written."""
    from sweeps.cluster.jobs import Jobs
    from sweeps.errors import NotFoundError

    jobs = Jobs(address)
    drivers = jobs.drivers(name)
    if not drivers:
        raise NotFoundError(f"The cluster at {jobs.address} has run no driver of a sweep named {name!r}.")
    if not follow:
        typer.echo(jobs.logs(drivers[-1]), nl=False)
        return
    for text in jobs.follow(drivers[-1]):
        typer.echo(text, nl=False)
