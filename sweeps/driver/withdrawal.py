"""A launch that is refused before a trial has begun leaves nothing: no run in MLflow, no sweep in the ledger.

Too few accelerators, a Ray that does not start, a base model that does not load: what stands there by then says
nothing, keeps the name, and a resume would fail the same way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sweeps.errors import BusyError, ClaimLostError
from sweeps.ledger.claim import Claim
from sweeps.progress import ProgressEvent, Withdrawn

if TYPE_CHECKING:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from sweeps.ledger.ledger import Ledger

PATIENCE_S = 10.0  # with a store that is away: the sweep then stays, and can be resumed


@contextlib.contextmanager
def withdrawn_if_refused(
    ledger: Ledger, tracker: MlflowTracker, on_event: Callable[[ProgressEvent], None]
) -> Iterator[None]:
    """Take a new sweep back when the block fails before a trial has begun; the failure is raised all the same."""
    try:
        yield
    except (BusyError, ClaimLostError):  # it is another driver's
        raise
    except Exception:
        with contextlib.suppress(Exception):  # what was raised first says more
            if _withdraw(ledger, tracker):
                on_event(Withdrawn())
        raise


def _withdraw(ledger: Ledger, tracker: MlflowTracker) -> bool:
    """Take a sweep back if no trial has begun: metrics reach MLflow before anything else of a trial is stored."""
    tracker.patience_s = PATIENCE_S
    ledger.read_anew()
    run_id = ledger.record.run_id
    runs = [] if run_id is None else tracker.trials(run_id, ledger.id)
    told = any(trial.is_finished or trial.evaluations for trial in ledger.trials())
    if told or any(run.metrics for run in runs):
        return False
    Claim(ledger)
    tracker.delete_sweep(ledger.id)
    ledger.delete()  # last: until then it can be resumed
    return True
