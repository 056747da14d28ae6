"""Opens ledgers to look at them, without making one where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter_registry.store.environment import sqlite_path
from sweeps.errors import NotFoundError

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import SweepRecord
    from sweeps.spec import SweepSpec
    from sweeps.terminal.outline import Outline


@dataclass(frozen=True)
class Opened:
    """A sweep's ledger, its spec (None where it was not launched from one) and its outline."""

    ledger: Ledger
    spec: SweepSpec | None
    outline: Outline


def has_ledger(home: Home) -> bool:
    """Tell whether there is anything to look at; a database that is no file answers for itself."""
    path = sqlite_path(home.ledger)
    return path is None or path.exists()


def open_ledger(home: Home, name: str) -> Opened:
    """Open the ledger of a sweep.

    Raises:
        NotFoundError: no sweep has this name, or there is no ledger here.
        LedgerError: the database cannot be used.
    """
    if not has_ledger(home):
        raise NotFoundError(
            f"No sweep is named {name!r}: there is no ledger in {home.folder} yet. "
            "Set SWEEPS_HOME to the folder of your sweeps, or begin with `sweeps launch quickstart`."
        )
    from sweeps.ledger.ledger import Ledger
    from sweeps.spec import read_spec
    from sweeps.terminal.outline import Outline

    ledger = Ledger.open(home.ledger, name)
    spec = read_spec(ledger.spec_yaml) if ledger.spec_yaml else None
    if spec is not None and spec.search.sampler == "grid":  # only with its space a ledger knows when a grid ends
        ledger = Ledger.open(home.ledger, name, spec.search.space)
    return Opened(ledger, spec, Outline.of_ledger(ledger, spec))


def is_begun(home: Home, name: str) -> bool:
    """Tell whether a sweep has this name."""
    from sweeps.ledger.ledger import Ledger

    return has_ledger(home) and any(each.name == name for each in Ledger.sweeps(home.ledger))


def standing(record: SweepRecord) -> str:
    """Say what state a sweep is in: one that runs, or is finishing, by its ledger may have nobody who does it."""
    if record.state in {"running", "finishing"} and not is_driven(record):
        return "interrupted"
    return record.state


def is_driven(record: SweepRecord) -> bool:
    """Tell whether a process is running the sweep now."""
    from sweeps.ledger.claim import is_alive

    return record.driver is not None and is_alive(record.driver)


def finished(record: SweepRecord) -> int:
    """Count the trials that have ended for good."""
    return sum(record.counts.get(state, 0) for state in ("complete", "pruned", "failed"))
