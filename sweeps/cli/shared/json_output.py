"""Sweeps and trials as plain values for `--json`; keys stay, new ones may come."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sweeps.opening import Opened, finished, is_driven, standing

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import SweepRecord


def sweep_record(record: SweepRecord) -> dict[str, Any]:
    """Return what `sweeps list --json` tells of a sweep."""
    driver = record.driver if is_driven(record) else None
    return {
        "name": record.name,
        "state": standing(record),
        "created": record.created,
        "metric": record.metric,
        "trials_asked": record.trials,
        "trials_finished": finished(record),
        "counts": dict(record.counts),
        "run_id": record.run_id,
        "driver": None if driver is None else {"host": driver["host"], "pid": driver["pid"]},
    }


def sweep_status(opened: Opened) -> dict[str, Any]:
    """Return what `sweeps status --json` tells: the sweep, and all its trials."""
    trials = [asdict(trial) | {"score": trial.score, "seconds": trial.seconds} for trial in opened.ledger.trials()]
    for trial in trials:
        del trial["drawn"], trial["request"]
        trial |= {key: trial[key] and trial[key].astimezone().isoformat() for key in ("started", "ended")}
    best = opened.ledger.best()
    return sweep_record(opened.ledger.record) | {
        "trials_asked": opened.outline.trials,
        "direction": opened.outline.direction,
        "model": opened.outline.model,
        "best": None if best is None else best.number,
        "trials": trials,
    }
