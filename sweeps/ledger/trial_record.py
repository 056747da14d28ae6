"""What the ledger tells about a trial and about a sweep, as plain frozen values."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from adapter_registry.runs.tracking import State
from sweeps.ledger.by_hand import BY_HAND

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from trainer.config import TrialConfig

EXTENDED = "extended:"  # and the request that asked for it, among a study's attributes: a number of trials
TRAIN_LOSS = "train_loss"
TO_THE_END = "to_the_end"  # among a trial's attributes: it is not pruned

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
    params         what was sampled (or enqueued), with its own `epochs`; constants of the space are not among it
    drawn          the same as the search space knows it
    epochs         that it trains whatever was drawn; None for most
    retry_of       the failed trial that it tries again
    to_the_end     whether it trains to its end, however it does: a person asked for it
    continues      the trial from whose last checkpoint it goes on
    request        the request that added it; None for those that the sweep began with or was extended by
    value          of the sweep's metric: the last one of a complete or pruned trial, else None
    kept           the metric at the best stored epoch of a trial that was stopped by hand, else None
    evaluations    the metric after each evaluation, counted from 1
    metrics        all that was measured last of a trial that has ended, its training loss included
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
    kept: float | None = None
    evaluations: Mapping[int, float]
    metrics: Mapping[str, float] = field(default_factory=dict)
    ended_because: str = ""
    attempts: int = 0
    failures: int = 0
    run_id: str | None = None
    worker: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    drawn: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    retry_of: int | None = None
    to_the_end: bool = False
    continues: int | None = None
    request: str | None = None

    def config(self, configure: Callable[[Mapping[str, Any]], TrialConfig]) -> TrialConfig:
        """Return the trial's configuration; `configure` makes one of what was drawn."""
        config = configure(self.drawn)
        return config if self.epochs is None else dataclasses.replace(config, epochs=self.epochs)

    @property
    def origin(self) -> str:
        """Say which trial this one comes from; '' for most."""
        if self.continues is not None and self.retry_of is None:
            return f"continues {self.continues}"
        return "" if self.retry_of is None else f"retry of {self.retry_of}"

    @property
    def score(self) -> float | None:
        """What it is ranked and promoted by; None: it does not compete."""
        return self.value if self.state == "complete" else self.kept

    @property
    def is_stopped_by_hand(self) -> bool:
        """Say whether a person has ended it."""
        return self.state == "pruned" and self.ended_because == BY_HAND

    @property
    def is_finished(self) -> bool:
        """Say whether its state is final: nothing is written about it any more."""
        return self.state in {"complete", "pruned", "failed"}

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
    drawn = frozen.params or frozen.system_attrs.get("fixed_params", {})
    epochs: int | None = attrs.get("epochs")
    return TrialRecord(
        number=frozen.number,
        state=state,
        params=drawn if epochs is None else {**drawn, "epochs": epochs},
        value=frozen.values[0] if frozen.values else None,
        evaluations=dict(sorted(frozen.intermediate_values.items())),
        metrics=attrs.get("metrics", {}),
        ended_because=attrs.get("ended_because", ""),
        attempts=attrs.get("attempts", 0),
        failures=attrs.get("failures", 0),
        run_id=attrs.get("run_id"),
        worker=attrs.get("worker"),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
        drawn=drawn,
        epochs=epochs,
        retry_of=attrs.get("retry_of"),
        to_the_end=attrs.get(TO_THE_END, False),
        continues=attrs.get("continues"),
        request=attrs.get("request"),
    )


def asked_at_first(attrs: Mapping[str, Any]) -> int:
    """Count the trials that a sweep was created with or extended by; those that a request added come on top."""
    at_first: int = attrs["settings"]["trials"]
    return at_first + sum(int(trials) for key, trials in attrs.items() if key.startswith(EXTENDED))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """One sweep as a whole.

    state      created, running, finishing (its trials have ended, the rest is done), stopped, paused or complete
    draining   why its driver lets it end early; '' when it does not
    workers    what they do, as `live_note` writes it; only while there is a driver
    hours      that its drivers have run, up to `hours_at` (in seconds since 1970)
    """

    name: str
    state: str
    created: str
    metric: str
    trials: int
    counts: Mapping[State, int]
    run_id: str | None = None
    driver: Mapping[str, Any] | None = None
    draining: str = ""
    workers: Any = ()
    hours: float = 0.0
    hours_at: float = 0.0

    @classmethod
    def read(cls, name: str, attrs: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Self:
        """Read what the ledger keeps about a sweep."""
        return cls(
            name=name,
            state=attrs.get("state", "created"),
            created=attrs.get("created", ""),
            metric=attrs["settings"]["metric"],
            trials=asked_at_first(attrs) + sum(trial.request is not None for trial in trials),
            counts=Counter(trial.state for trial in trials),
            run_id=attrs.get("run_id"),
            driver=attrs.get("driver"),
            draining=attrs.get("draining", ""),
            workers=attrs.get("workers", ()),
            hours=attrs.get("hours", 0.0),
            hours_at=attrs.get("hours_at", 0.0),
        )
