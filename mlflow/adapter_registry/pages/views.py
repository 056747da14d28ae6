"""Links into the MLflow UI that show a sweep at once: a saved view of its leaderboard, and single pages.

Without them the UI opens on its GenAI pages, with every sweep folded up and no column of metrics.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from adapter_registry.models.candidate import Direction
from adapter_registry.names import SWEEP_NAME, SWEEP_STATE, SWEEP_TRIAL, quoted
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.runs.tracking import DEFAULT_SHOWN

_TAG = "mlflow.sharedViewState."
_KEY = "sweep-"
_TRAINING = "machine_learning"  # the UI's pages for training


@dataclass(frozen=True, slots=True)
class SavedView:
    """The saved leaderboard of a sweep; `saved_at_ms` since 1970."""

    sweep: str
    experiment_id: str
    key: str
    saved_at_ms: int


def save_view(
    tracker: MlflowTracker,
    sweep_name: str,
    *,
    metrics: Sequence[str] = ("val_loss", "val_perplexity", "val_accuracy"),
    direction: Direction = "minimize",
    shown: Sequence[str] = DEFAULT_SHOWN,
) -> str:
    """Save the leaderboard of a sweep as a view of its experiment, where the UI lists it under Views; its key.

    Args:
        tracker: of the sweep.
        sweep_name: also the view's name; a view of the same sweep is replaced.
        metrics: columns, the first one before all others: the trials are in its order.
        direction: of the first metric; `minimize` or `maximize`.
        shown: parameters that get columns, before the other metrics.
    """
    key = f"{_KEY}{sweep_name}"
    ascending = direction == "minimize"
    now_ms = time.time_ns() // 1_000_000
    measured = [f"metrics.`{metric}`" for metric in metrics]
    columns = [*measured[:1], f"tags.`{SWEEP_STATE}`", *(f"params.`{name}`" for name in shown), *measured[1:]]
    state = {
        "searchFilter": f"tags.`{SWEEP_NAME}` = {quoted(sweep_name)} and tags.`{SWEEP_TRIAL}` != ''",
        "orderByKey": f"metrics.`{metrics[0]}`" if metrics else "attributes.start_time",
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},  # the page reads it wherever there is an order
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = {"name": sweep_name, "createdAt": now_ms, "updatedAt": now_ms, "state": f"deflate;{packed}"}
    tracker.set_experiment_tag(_TAG + key, json.dumps(view))
    return key


def saved_views(client: Any) -> list[SavedView]:
    """Leaderboards that `save_view` has saved, the latest first."""
    found = []
    for experiment in client.search_experiments():
        for tag, text in experiment.tags.items():
            if tag.startswith(f"{_TAG}{_KEY}"):
                key = tag.removeprefix(_TAG)
                saved_at = int(json.loads(text).get("updatedAt", 0))
                found.append(SavedView(key.removeprefix(_KEY), experiment.experiment_id, key, saved_at))
    return sorted(found, key=lambda view: view.saved_at_ms, reverse=True)


def sweep_link(server_url: str, experiment_id: str, view: str, *, charts: bool = False) -> str:
    """A sweep's trials as a table, or as charts."""
    options = {"viewStateShareKey": view, "workflowType": _TRAINING, **({"compareRunsMode": "CHART"} if charts else {})}
    return f"{server_url.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode(options)}"


def run_link(server_url: str, experiment_id: str, run_id: str, path: str = "") -> str:
    """A run's page; `path` is an artifact to open, e.g. `plots/history.html`."""
    below = f"/artifacts/{quote(path)}" if path else ""
    return f"{server_url.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}{below}?workflowType={_TRAINING}"


def model_link(server_url: str, model: str) -> str:
    """A registered model's page."""
    return f"{server_url.rstrip('/')}/#/models/{quote(model)}"
