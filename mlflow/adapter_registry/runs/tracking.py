"""Where a sweep's runs are recorded: the interface, its values, and the states of a run.

`MlflowTracker` (mlflow_tracker.py) writes to an MLflow store; `MemoryTracker` (memory_tracker.py) only remembers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args

from adapter_registry.names import SWEEP_ID, SWEEP_NAME

State = Literal["waiting", "running", "complete", "pruned", "failed", "stopped"]
STATES: tuple[State, ...] = get_args(State)
FINAL_STATES: frozenset[State] = frozenset({"complete", "pruned", "failed", "stopped"})

# A pruned trial ended as the search meant it to: FINISHED, and the tag `sweep.state` says how.
RUN_STATUS: Mapping[State, str] = {
    "waiting": "SCHEDULED",
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}

DEFAULT_SHOWN = ("rank", "learning_rate", "epochs")
SAMPLES_FILE = "samples.json"
SPEC_FILE = "spec.yaml"
SPACE_FILE = "search_space.yaml"
FIRST_VALIDATION = "sweep.validation"  # a tag: the name of the set that metrics without a name of their own are about


class Sample(Protocol):
    """What a model replied to one prompt: `trainer.pack.generation.Sample` is one."""

    @property
    def prompt(self) -> str:
        """What was asked."""

    @property
    def reply(self) -> str:
        """What the model answered."""

    @property
    def tokens(self) -> int:
        """Tokens of the reply."""

    @property
    def seconds(self) -> float:
        """Time to generate the reply."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of a sweep.

    name      `train`, or a validation set's name; the first validation set is the one that the search optimises
    digest    of its content, hex
    source    a path or `builtin:…`
    context   how it is used
    """

    name: str
    digest: str
    source: str
    context: Literal["training", "validation"]


@dataclass(frozen=True)
class TrialRun:
    """One trial as the tracking store knows it; `metrics` holds the latest value of each."""

    number: int
    run_id: str
    state: State
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def sweep_identity(name: str, sweep_id: str) -> dict[str, str]:
    """The tags by which runs of a sweep are found; an id of '' is that of a sweep without a ledger of ours."""
    return {SWEEP_NAME: name} | ({SWEEP_ID: sweep_id} if sweep_id else {})


def data_tags(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Tags that say which data a run's metrics are about; `is_data_tag` knows them again."""
    digests = {f"data.{data.name}.digest": data.digest for data in datasets}
    first = next((data.name for data in datasets if data.context == "validation"), "")
    return digests | {FIRST_VALIDATION: first} if datasets else {}


def is_data_tag(key: str) -> bool:
    """Whether it is one of `data_tags`."""
    return key == FIRST_VALIDATION or (key.startswith("data.") and key.endswith(".digest"))


class Tracker(ABC):
    """Records sweeps and their trials. Runs are found by tag before they are created, so that none exists twice."""

    @abstractmethod
    def prepare(self) -> None:
        """Check the store and make its schema and experiment, once, before other processes open it.

        Raises:
            TrackingUnreachableError: no answer within about five seconds.
            TrackingStoreError: an answer that is not a usable store's.
        """

    @abstractmethod
    def open_sweep(
        self,
        name: str,
        *,
        spec_yaml: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        datasets: Sequence[Dataset] = (),
        space_yaml: str = "",
        sweep_id: str = "",
        known_run: str | None = None,
    ) -> str:
        """Find or create a sweep's run; its run id.

        Args:
            name: of the sweep.
            spec_yaml: stored as a file.
            tags: of a new run.
            params: that the run is to show.
            datasets: that the sweep uses from now on.
            space_yaml: stored as a file.
            sweep_id: that tells it from a sweep of the same name in another ledger; '': its name is enough.
            known_run: the run that its ledger names; it is its own, unless it bears another sweep's id.
        """

    @abstractmethod
    def find_sweep(self, name: str) -> str | None:
        """The run id of a sweep, if it has one."""

    @abstractmethod
    def open_trial(
        self,
        sweep_run_id: str,
        sweep_name: str,
        number: int,
        params: Mapping[str, Any],
        *,
        shown: Sequence[str] = DEFAULT_SHOWN,
        state: State | None = None,
        is_new: bool = False,
        sweep_id: str = "",
    ) -> str:
        """Find or create a trial's run below its sweep's; its run id.

        Args:
            sweep_run_id: of the sweep's run.
            sweep_name: of the sweep.
            number: of the trial.
            params: that the run is to show.
            shown: the parameters in the run's name.
            state: that it is in then; None: a run that is found keeps its own, and one that is created waits.
            is_new: whether it is likely that there is none, so that it is looked for only after it was created.
            sweep_id: as for `open_sweep`.

        The run bears the digests of the data that the sweep uses now: what is measured from now on is measured on it.
        """

    @abstractmethod
    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics, stamped with this moment; returns at once.

        Raises:
            MetricsRejectedError: earlier metrics of the same run were refused for good.
        """

    @abstractmethod
    def log_adapter(self, run_id: str, epoch: int, files: Mapping[str, bytes], *, step: int | None = None) -> None:
        """Store an epoch's adapter files under `adapters/epoch_0001`; `step` is the optimiser step they are from."""

    @abstractmethod
    def log_samples(self, run_id: str, epoch: int, samples: Sequence[Sample]) -> None:
        """Add an epoch's samples to the run's table; the same epoch again replaces its rows."""

    @abstractmethod
    def log_file(self, run_id: str, path: str, content: bytes) -> None:
        """Store a file, e.g. `plots/history.html`."""

    @abstractmethod
    def read_file(self, run_id: str, path: str) -> bytes | None:
        """A stored file's content; None when there is none."""

    @abstractmethod
    def set_state(self, run_id: str, state: State) -> None:
        """Set the state of a sweep or trial, after all its metrics have arrived when it is a final one."""

    @abstractmethod
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""

    @abstractmethod
    def set_note(self, run_id: str, markdown: str) -> None:
        """Set the description that the UI shows above a run."""

    @abstractmethod
    def trials(self, sweep_run_id: str, sweep_id: str = "") -> list[TrialRun]:
        """All trials below a sweep's run, by number; with a `sweep_id` those alone that bear it."""

    @abstractmethod
    def disown(self, run_id: str, because: str) -> None:
        """Close a trial's run that the sweep does not count (any more): it keeps what it holds, and says why."""

    @abstractmethod
    def bring_back(self, run_id: str, sweep_id: str = "") -> bool:
        """Undo the deletion of a run, and let it bear `sweep_id`; False when it is gone for good, or another's."""

    @abstractmethod
    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """A metric's values as (step, value), in the order of steps."""

    @abstractmethod
    def flush(self, timeout_s: float = 120.0) -> None:
        """Wait until all queued metrics are stored.

        Raises:
            TrackingUnreachableError: the store did not take them in time.
            MetricsRejectedError: some were refused for good.
        """

    @abstractmethod
    def close(self, timeout_s: float = 120.0) -> None:
        """Flush, and end the background thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
