"""What the ledger tells about a trial and about a sweep, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from adapter_registry.tracking import State

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_STATES: dict[str, State] = {
    "WAITING": "waiting",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial.

    state          `stopped`: unfinished, and nobody works on it until the sweep is resumed
    params         what was sampled (or enqueued); constants of the space are not among it
    value          of the sweep's metric: the last one of a complete or pruned trial, else None
    evaluations    the metric after each evaluation, counted from 1
    ended_because  why it was pruned, failed or stopped; "" for others
    attempts       times that it was handed out to be trained, or went on in another worker
    failures       times that it lost its worker and nobody had taken that away
    run_id         of its MLflow run
    worker         the worker that trained it last
    started        when it was asked for (local time, as Optuna keeps it)
    """

    number: int
    state: State
    params: Mapping[str, Any]
    value: float | None = None
    evaluations: Mapping[int, float]
    ended_because: str = ""
    attempts: int = 0
    failures: int = 0
    run_id: str | None = None
    worker: str | None = None
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Wall time from asking to ending."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


def read_trial(frozen: FrozenTrial) -> TrialRecord:
    """Read Optuna's record of a trial."""
    attrs = frozen.user_attrs
    state = _STATES[frozen.state.name]
    if state == "running" and attrs.get("stopped"):
        state = "stopped"
    return TrialRecord(
        number=frozen.number,
        state=state,
        params=frozen.params or frozen.system_attrs.get("fixed_params", {}),
        value=frozen.values[0] if frozen.values else None,
        evaluations=dict(sorted(frozen.intermediate_values.items())),
        ended_because=attrs.get("ended_because", ""),
        attempts=attrs.get("attempts", 0),
        failures=attrs.get("failures", 0),
        run_id=attrs.get("run_id"),
        worker=attrs.get("worker"),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """One sweep as a whole; `state` is created, running, stopped, complete or failed."""

    name: str
    state: str
    created: str
    metric: str
    trials: int
    counts: Mapping[State, int]
    run_id: str | None = None
    driver: Mapping[str, Any] | None = None
    stop_requested: bool = False

    @classmethod
    def read(cls, name: str, attrs: Mapping[str, Any], counts: Mapping[State, int]) -> Self:
        """Read what the ledger keeps about a sweep."""
        return cls(
            name=name,
            state=attrs.get("state", "created"),
            created=attrs.get("created", ""),
            metric=attrs["settings"]["metric"],
            trials=attrs["settings"]["trials"],
            counts=counts,
            run_id=attrs.get("run_id"),
            driver=attrs.get("driver"),
            stop_requested=bool(attrs.get("stop_requested")),
        )
