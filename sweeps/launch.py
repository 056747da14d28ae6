"""The way of a launch: checks, the ledger, the sweep's run, the sweep itself, and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sweeps.driver.driver import SweepResult, run_sweep
from sweeps.driver.withdrawal import withdrawn_if_refused
from sweeps.errors import LedgerError
from sweeps.finish import Launched, finish, tell
from sweeps.ledger.ledger import Ledger
from sweeps.preflight import Preflight, check_launch, check_run
from sweeps.progress import Preparing, ProgressEvent
from sweeps.spec import SweepSpec, change_spec, read_spec
from sweeps.sweep_run import Recorded, open_tracker, record_sweep, tracker_factory
from sweeps.webhook import Webhook
from sweeps.workers.pack_factory import PackFactory

if TYPE_CHECKING:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from sweeps.home import Home
    from sweeps.settings import ComputeSettings

__all__ = ["create_ledger", "launch", "resume", "spec_of"]

Hear = Callable[[ProgressEvent], None]


def launch(spec: SweepSpec, home: Home, *, on_event: Hear, address: str | None = None) -> Launched:
    """Run a new sweep to its end.

    Args:
        spec: of the sweep.
        home: where ledger and MLflow are.
        on_event: receives progress.
        address: of a Ray cluster that this process is to join; None: the spec's, if it has one.

    Raises:
        SweepsError, TrainerError, RegistryError: no trial was begun and nothing is left, or it can be resumed.
    """
    checked = check_launch(spec, home, on_event, afar=address is not None)
    on_event(Preparing(what="opening MLflow"))
    tracker = open_tracker(checked.spec, home)
    ledger = create_ledger(checked.spec, home)
    with withdrawn_if_refused(ledger, tracker, on_event):
        return _run(checked, home, ledger, tracker, on_event, address=address)


def resume(
    name: str,
    home: Home,
    *,
    on_event: Hear,
    changes: Sequence[str] = (),
    take_over: bool = False,
    address: str | None = None,
) -> Launched:
    """Go on with a sweep from its ledger and MLflow alone; a complete one is only described and promoted again.

    Args:
        name: of the sweep.
        home: where ledger and MLflow are.
        on_event: receives progress.
        changes: `key.sub=value` of the sections `compute`, `budget` and `promotion`, kept for later resumes.
        take_over: also from a driver that seems to be alive.
        address: as for `launch`.

    Raises:
        NotFoundError: no sweep has this name.
        SweepsError, TrainerError, RegistryError: it can be resumed again.
    """
    home.prepare()
    before = spec_of(name, home)
    known = Ledger.open(home.ledger, name)
    checked = check_run(
        change_spec(before, changes),
        home,
        on_event,
        trials=known.trials_asked,
        afar=address is not None,
        marks=known.marks,
    )
    on_event(Preparing(what="opening MLflow"))
    tracker = open_tracker(checked.spec, home)
    ledger = Ledger.open(home.ledger, name, checked.spec.search.space)
    if checked.spec != before:
        ledger.note_sweep(spec_yaml=checked.spec.to_yaml())
    return _run(checked, home, ledger, tracker, on_event, take_over=take_over, address=address)


def create_ledger(spec: SweepSpec, home: Home) -> Ledger:
    """Enter a new sweep into the ledger.

    Raises:
        LedgerError: it has a sweep of this name, or cannot be used.
    """
    return Ledger.create(
        home.ledger,
        spec.name,
        spec.search.settings(evaluations_per_epoch=spec.training.evaluations_per_epoch),
        spec.search.space,
        spec_yaml=spec.to_yaml(),
        enqueue=spec.search.enqueue,
    )


def spec_of(name: str, home: Home) -> SweepSpec:
    """Read the spec of a sweep from the ledger.

    Raises:
        NotFoundError: no sweep has this name.
        LedgerError: it was not begun by `sweeps launch`.
    """
    text = Ledger.open(home.ledger, name).spec_yaml
    if not text:
        raise LedgerError(f"The sweep {name!r} has no spec in the ledger, so it cannot be resumed. Launch a new one.")
    return read_spec(text)


def _run(
    checked: Preflight,
    home: Home,
    ledger: Ledger,
    tracker: MlflowTracker,
    on_event: Hear,
    *,
    take_over: bool = False,
    address: str | None,
) -> Launched:
    """Record, drive and finish a sweep that is in the ledger, and tell the webhook how that went."""
    spec, webhook = checked.spec, Webhook.of_environment()
    launched: list[Launched] = []

    def finished(result: SweepResult) -> None:
        on_event(Preparing(what="drawing plots and promoting the best adapter"))
        launched.append(finish(checked, home, ledger, recorded, result))

    with webhook.telling_of_failure(spec.name), tracker:
        recorded = record_sweep(ledger, tracker, checked)
        on_event(Preparing(what="starting Ray and loading the base model"))
        _drive(checked, home, ledger, recorded, on_event, finished, take_over=take_over, address=address)
    return tell(webhook, launched[0])


def _drive(
    checked: Preflight,
    home: Home,
    ledger: Ledger,
    recorded: Recorded,
    on_event: Hear,
    finished: Callable[[SweepResult], None],
    *,
    take_over: bool,
    address: str | None,
) -> None:
    """Train what is not finished, then do the rest."""
    spec, tracker = checked.spec, recorded.tracker
    settings = spec.compute.settings(slots=checked.slots)
    compute = replace(settings, address=address or settings.address)

    def hear(event: ProgressEvent) -> None:
        recorded.hear(event)
        on_event(event)

    run_sweep(
        ledger,
        tracker,
        run_id=recorded.run_id,
        engine_factory=_engine_factory(checked, home, compute),
        tracker_factory=tracker_factory(tracker),
        compute=compute,
        configure=spec.trial_config,
        on_event=hear,
        budget=spec.budget.settings(),
        take_over=take_over,
        finish=finished,
    )


def _engine_factory(checked: Preflight, home: Home, compute: ComputeSettings) -> PackFactory:
    return PackFactory(
        spec=checked.spec,
        cache_folder=None if compute.address else str(home.folder / "compiled-programs"),
        tracking_uri=home.tracking_uri,
        slots=checked.slots,
        fits=checked.fits,
    )
