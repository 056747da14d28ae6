"""The ledger: the one record of what a sweep asked for, heard, pruned and finished. An Optuna study underneath.

Only the driver writes; anybody may read (`Ledger.open` without a space). Trials that a dead driver left behind are
handed out first by the next one. A trial's parameters follow from its number and the history, a trial stopped early
is PRUNED with what it reported, and what is not a number never counts as a value.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import optuna
from optuna.trial import TrialState

from adapter_registry.runs.tracking import State
from sweeps.errors import LedgerError, NotFoundError
from sweeps.ledger.by_hand import STORED, best_epoch_value
from sweeps.ledger.outages import OUTAGE_S
from sweeps.ledger.patience import Patience
from sweeps.ledger.patient_storage import PatientStorage
from sweeps.ledger.sole_writer import SoleWriterStorage
from sweeps.ledger.storage import holds_ledger, open_storage, storage_errors
from sweeps.ledger.studies import id_of, list_sweeps, new_study
from sweeps.ledger.trial_record import EXTENDED, TO_THE_END, SweepRecord, TrialRecord, asked_at_first, read_trial
from sweeps.search.methods import build_pruner, build_sampler
from sweeps.settings import SearchSettings
from trainer.masking import redact

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from search_spaces import SearchSpace

_TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Ledger:
    """The record of one sweep. Build it with `create` or `open`."""

    def __init__(self, url: str, storage: BaseStorage, name: str, space: SearchSpace | None) -> None:
        self.name = name
        self.url = url
        # Opened with a space, this is the driver: the only writer, which waits out an outage. Others read what is in
        # the database now, or are told at once why they cannot.
        self.patience = Patience(url, limit_s=OUTAGE_S if space is not None else 0.0)
        self._storage = cast("BaseStorage", PatientStorage(storage, self.patience))
        if space is not None:
            self._storage = cast("BaseStorage", SoleWriterStorage(self._storage))
        self._space = space
        self._study = optuna.load_study(study_name=name, storage=self._storage)
        attrs = self._study.user_attrs
        self.settings = SearchSettings.from_json(attrs["settings"])
        self.spec_yaml: str = attrs["spec_yaml"]
        self.id = id_of(name, attrs)  # unique, as names of different ledgers are not; MLflow's runs bear it
        self._handed_out: set[int] = set()
        self.most_trials: int | None = None  # to begin in all, whatever was asked for
        if space is not None:
            if "id" not in attrs:
                self._study.set_user_attr("id", self.id)
            kind, seed, trials = self.settings.sampler, self.settings.seed, self.settings.trials
            self._study.sampler = build_sampler(kind, space, seed=seed, trials=trials)
            self._grid_size = space.size if kind == "grid" else None
            self._study.pruner = build_pruner(self.settings.pruner)

    @classmethod
    def create(
        cls,
        url: str,
        name: str,
        settings: SearchSettings,
        space: SearchSpace,
        *,
        spec_yaml: str = "",
        enqueue: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Begin the record of a new sweep; `enqueue` holds parameters to be tried first.

        Raises:
            LedgerError: a sweep of this name exists, or the database cannot be used.
        """
        storage = open_storage(url)
        try:
            with storage_errors(url):
                study = new_study(storage, name, settings)
                study.set_user_attr("space", space.to_mapping())
                study.set_user_attr("spec_yaml", spec_yaml)
                asked = {} if settings.pruner.enqueued else {TO_THE_END: True}
                for params in enqueue:
                    study.enqueue_trial(dict(params), user_attrs=asked)
                study.set_user_attr("settings", settings.to_json())  # last: a study without it was never begun
        except optuna.exceptions.DuplicatedStudyError as error:
            raise _taken(url, name) from error
        return cls(url, storage, name, space)

    @classmethod
    def check_is_free(cls, url: str, name: str) -> None:
        """Check early that a new sweep may have this name; makes nothing where there is no ledger.

        Raises:
            LedgerError: a sweep of this name exists, or the database cannot be used.
        """
        if holds_ledger(url) and name in [sweep.name for sweep in cls.sweeps(url)]:
            raise _taken(url, name)

    @classmethod
    def open(cls, url: str, name: str, space: SearchSpace | None = None) -> Self:
        """Open the record of a sweep; a `space` is needed to ask for trials, not to read.

        Raises:
            NotFoundError: no sweep has this name.
            LedgerError: the database cannot be used.
        """
        storage = open_storage(url)
        known = [sweep.name for sweep in list_sweeps(url, storage)]
        if name not in known:
            choices = ", ".join(sorted(known)) or "none yet"
            raise NotFoundError(f"No sweep is named {name!r} in the ledger at {redact(url)}. Sweeps there: {choices}.")
        with storage_errors(url):
            return cls(url, storage, name, space)

    @classmethod
    def sweeps(cls, url: str) -> list[SweepRecord]:
        """List the sweeps of a ledger, oldest first.

        Raises:
            LedgerError: the database cannot be used.
        """
        return list_sweeps(url, open_storage(url))

    # ------------------------------------------------------------------------------------------------ trials

    @property
    def trials_asked(self) -> int:
        """Number of trials that the sweep is to end with; a grid ends when it has no more points."""
        return self._limit(self._frozen())

    def next_trial(self) -> TrialRecord | None:
        """Hand out a trial: those left unfinished first, then enqueued ones, then a newly sampled one.

        Returns None when all trials that were asked for are handed out. Every trial is handed out once per opened
        ledger.
        """
        frozen = self._frozen()
        left = self._left_behind(frozen)
        if left is not None:
            # Like `ask`: suggestions repeat what is stored, and sample what a killed driver did not get to.
            return self._hand_out(optuna.Trial(self._study, left._trial_id))
        if self._begun(frozen) >= self._most(frozen):
            return None
        return self._hand_out(self._study.ask())

    @property
    def has_more(self) -> bool:
        """Whether `next_trial` would hand out another one."""
        frozen = self._frozen()
        return self._left_behind(frozen) is not None or self._begun(frozen) < self._most(frozen)

    def unfinished(self) -> list[TrialRecord]:
        """Trials that still have to be trained, in the order of their numbers."""
        return [t for t in self.trials() if t.state in {"waiting", "running", "stopped"}]

    def report(self, number: int, step: int, value: float) -> bool:
        """Record an intermediate value; False when this step was reported before (the first value stays).

        Raises:
            LedgerError: the value is not a finite number.
        """
        if not math.isfinite(value):
            raise LedgerError(f"A reported value must be a finite number, but trial {number} reported {value}.")
        if step in self._find(number).intermediate_values:
            return False
        self._storage.set_trial_intermediate_value(self._trial_id(number), step, value)
        return True

    def should_prune(self, number: int, step: int) -> bool:
        """Ask the pruner about the value reported at `step`; what was reported after it has its own answer.

        A trial that a person asked for is not asked about, unless he said that it may be pruned.
        """
        trial = self._find(number)
        if trial.user_attrs.get(TO_THE_END) or step != trial.last_step:
            return False
        return self._study.pruner.prune(self._study, trial)

    def tell(self, number: int, state: State, *, value: float | None = None, because: str = "") -> None:
        """End a trial as `complete` (with its value), `pruned` (its value is the last reported) or `failed`.

        A complete trial without a finite value is told as failed. A trial that has ended stays as it is.
        """
        if self._find(number).state.is_finished():
            return
        if state == "complete" and (value is None or not math.isfinite(value)):
            state, value, because = "failed", None, f"its {self.settings.metric} is {value}"
        if because:
            self.note(number, ended_because=because)
        self._study.tell(number, value if state == "complete" else None, state=_TOLD[state])

    def stop(self, number: int, because: str) -> None:
        """Note that a trial was stopped with the sweep: it stays unfinished, and is handed out by a resume."""
        self.note(number, stopped=True, ended_because=because)

    def note(self, number: int, **attrs: Any) -> None:
        """Keep facts about a trial (its MLflow run, its worker)."""
        trial_id = self._trial_id(number)
        for key, value in attrs.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def trial(self, number: int) -> TrialRecord:
        """Read one trial."""
        return self._read(self._find(number))

    def trials(self) -> list[TrialRecord]:
        """Read all trials, in the order of their numbers."""
        return [self._read(t) for t in self._frozen()]

    def counts(self) -> Mapping[State, int]:
        """Count trials by state."""
        return Counter(t.state for t in self.trials())

    def best(self) -> TrialRecord | None:
        """Return the best trial that competes: complete, or stopped by hand after a whole epoch."""
        competing = [t for t in self.trials() if t.score is not None]
        sign = -1 if self.settings.direction == "maximize" else 1
        return min(competing, key=lambda t: (sign * (t.score or 0.0), t.number), default=None)

    def note_stored(self, number: int, epochs: Sequence[int]) -> None:
        """Keep which epochs of a trial that was stopped by hand have their adapter in MLflow: others do not count."""
        self._study.set_user_attr(f"{STORED}{number}", list(epochs))

    # ------------------------------------------------------------------------------------------------ growing

    def extend(self, request: str, trials: int) -> None:
        """Ask for more trials, once for each `request`."""
        self._study.set_user_attr(EXTENDED + request, trials)

    def is_extended_by(self, request: str) -> bool:
        """Whether `extend` was called for this request."""
        return EXTENDED + request in self._study.user_attrs

    @property
    def grid_points_left(self) -> int | None:
        """Points of the grid that nobody has asked for; None where it is no grid, or opened without its space."""
        if self._grid_size is None:
            return None
        return max(0, self._grid_size - asked_at_first(self._study.user_attrs))

    def add(self, params: Mapping[str, Any], *, request: str, retry_of: int | None = None, **notes: Any) -> int:
        """Ask for one trial more, with some or all of its parameters; its number. Again, it is the same trial."""
        for trial in self.trials():
            if (trial.request, trial.retry_of) == (request, retry_of):
                return trial.number
        attrs = {"request": request, "retry_of": retry_of, **notes}
        self._study.enqueue_trial(dict(params), user_attrs={k: v for k, v in attrs.items() if v is not None})
        return len(self._frozen()) - 1

    def take(self, number: int) -> None:
        """Take a trial out of those that wait; a trial that waits cannot be told."""
        if self._find(number).state == TrialState.WAITING:
            self._storage.set_trial_state_values(self._trial_id(number), TrialState.RUNNING)

    # ------------------------------------------------------------------------------------------------- sweep

    @property
    def study(self) -> optuna.Study:
        """Optuna's study, for its plots; do not write to it."""
        return self._study

    @property
    def record(self) -> SweepRecord:
        """The sweep as a whole: its state, MLflow run and driver."""
        return SweepRecord.read(self.name, self._study.user_attrs, self.trials())

    def note_sweep(self, **attrs: Any) -> None:
        """Keep facts about the sweep (its state, its MLflow run, its driver)."""
        for key, value in attrs.items():
            self._study.set_user_attr(key, value)

    @property
    def marks(self) -> frozenset[str]:
        """What the sweep's own run in MLflow is known by: its id, and until the run bears that, the run's."""
        return frozenset(filter(None, (self.id, self.record.run_id)))

    def delete(self) -> None:
        """Forget the sweep, as if it had never been."""
        self._storage.delete_study(self._study._study_id)

    def read_anew(self) -> None:
        """Forget what was read: somebody else may have written since."""
        if isinstance(self._storage, SoleWriterStorage):
            self._storage.forget()

    # ----------------------------------------------------------------------------------------------- private

    _grid_size: int | None = None

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study._study_id, deepcopy=False)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)

    def _find(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _read(self, frozen: FrozenTrial) -> TrialRecord:
        trial = read_trial(frozen)
        if not trial.is_stopped_by_hand:
            return trial
        stored = self._study.user_attrs.get(f"{STORED}{trial.number}")
        inherited = {} if trial.continues is None else self._find(trial.continues).intermediate_values
        kept = best_epoch_value(trial, self.settings, stored=stored, inherited=inherited)
        return dataclasses.replace(trial, kept=kept)

    def _left_behind(self, frozen: Sequence[FrozenTrial]) -> FrozenTrial | None:
        left = (t for t in frozen if t.state == TrialState.RUNNING and t.number not in self._handed_out)
        return next(left, None)

    def _begun(self, frozen: Sequence[FrozenTrial]) -> int:
        return sum(t.state != TrialState.WAITING for t in frozen)

    def _most(self, frozen: Sequence[FrozenTrial]) -> int:
        limit = self._limit(frozen)
        return limit if self.most_trials is None else min(limit, self.most_trials)

    def _limit(self, frozen: Sequence[FrozenTrial]) -> int:
        by_request = sum("request" in t.user_attrs for t in frozen)
        limit = asked_at_first(self._study.user_attrs)
        if self._grid_size is not None:
            limit = min(limit, self._grid_size)
        return limit + by_request

    def _hand_out(self, trial: optuna.Trial) -> TrialRecord:
        if self._space is None:
            raise LedgerError(f"The ledger of {self.name!r} was opened to read; open it with its space to ask.")
        before = trial.user_attrs
        self._space.sample(trial)
        notes: dict[str, Any] = {"attempts": int(before.get("attempts", 0)) + 1}
        if before.get("stopped"):
            notes |= {"stopped": False, "ended_because": ""}
        self.note(trial.number, **notes)
        self._handed_out.add(trial.number)
        return self.trial(trial.number)


def _taken(url: str, name: str) -> LedgerError:
    return LedgerError(
        f"A sweep named {name!r} is already in the ledger at {redact(url)}. "
        f"Go on with it by `sweeps resume {name}`, or choose another name with `--name`."
    )
