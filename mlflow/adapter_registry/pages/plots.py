"""Optuna's plots of a search, on the sweep's run: interactive HTML that needs no network, and PNG.

A plot that the search is too small for is skipped, and the report says why.
"""

from __future__ import annotations

import io
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from adapter_registry.errors import TrackingStoreError
from adapter_registry.runs.tracking import Tracker

if TYPE_CHECKING:
    import optuna

FOLDER = "plots"
Plot = Literal["history", "parallel_coordinate", "importances", "intermediate_values"]
PLOTS: Mapping[Plot, str] = {
    "history": "plot_optimization_history",
    "parallel_coordinate": "plot_parallel_coordinate",
    "importances": "plot_param_importances",
    "intermediate_values": "plot_intermediate_values",
}


@dataclass(frozen=True)
class PlotReport:
    """The files that were stored, and the plots that were not, with their reasons."""

    files: tuple[str, ...]
    skipped: Mapping[str, str]


def log_search_plots(tracker: Tracker, run_id: str, study: optuna.Study, *, metric: str = "val_loss") -> PlotReport:
    """Store the plots of a study as `plots/<name>.html` and `.png` of its sweep's run; earlier ones are replaced.

    Args:
        tracker: where they go.
        run_id: of the sweep.
        study: its trials may be in any state.
        metric: what the study optimises, for the axes.
    """
    files: list[str] = []
    skipped: dict[str, str] = {}
    trials = study.get_trials(deepcopy=False)
    for name, function in PLOTS.items():
        reason = _too_small(name, trials)
        if reason is None:
            try:
                drawn = _drawn(name, function, study, metric)
            except (ValueError, RuntimeError, ZeroDivisionError) as error:
                reason = f"Optuna cannot draw it: {error}"
            else:
                reason = _store(tracker, run_id, name, drawn, files)
        if reason is not None:
            skipped[name] = reason
            logging.getLogger(__name__).info("The plot %s is left out: %s", name, reason)
    return PlotReport(tuple(files), skipped)


def _store(tracker: Tracker, run_id: str, name: Plot, drawn: Mapping[str, bytes], files: list[str]) -> str | None:
    """Store what was drawn, as far as the store takes it; else why not."""
    refused: list[str] = []
    for suffix, content in drawn.items():
        path = f"{FOLDER}/{name}.{suffix}"
        try:
            tracker.log_file(run_id, path, content)
            files.append(path)
        except TrackingStoreError as error:
            refused.append(f"its {suffix} file of {len(content):,} bytes could not be stored: {error}")
    return "; ".join(refused) or None


def _too_small(name: Plot, trials: list[Any]) -> str | None:
    if name == "intermediate_values":
        return None if any(t.intermediate_values for t in trials) else "no trial has reported an evaluation yet"
    complete = [t for t in trials if t.state.name == "COMPLETE" and t.value is not None and math.isfinite(t.value)]
    if not complete:
        return "no trial is complete yet"
    if name == "history":
        return None
    if not any(trial.params for trial in complete):
        return "the search space varies nothing"
    if name == "importances" and len({trial.value for trial in complete}) < 2:
        return f"it needs complete trials with different values, but of {len(complete)} complete ones all have the same"
    return None


def _drawn(name: Plot, function: str, study: optuna.Study, metric: str) -> dict[str, bytes]:
    named = {} if name == "intermediate_values" else {"target_name": metric}
    return {
        "html": _html(name, function, study, metric, named),
        "png": _png(name, function, study, metric, named),
    }


def _html(name: Plot, function: str, study: optuna.Study, metric: str, named: Mapping[str, str]) -> bytes:
    import optuna.visualization as plotly_plots

    figure = getattr(plotly_plots, function)(study, **named)
    figure.update_layout(template="plotly_white", title=_title(name, study, metric))
    if name == "intermediate_values":
        figure.update_layout(xaxis_title="evaluation", yaxis_title=metric)
    text: str = figure.to_html(include_plotlyjs=True, config={"displaylogo": False, "responsive": True})
    return text.encode()


def _png(name: Plot, function: str, study: optuna.Study, metric: str, named: Mapping[str, str]) -> bytes:
    with _matplotlib() as (plt, plots):
        draw: Callable[..., Any] = getattr(plots, function)
        before = set(plt.get_fignums())
        try:
            axes = draw(study, **named)
            axes.set_title("", loc="left")  # where Optuna writes some of its own titles
            axes.set_title(_title(name, study, metric))
            if name == "intermediate_values":
                axes.set_xlabel("evaluation")
                axes.set_ylabel(metric)
            figure = axes.get_figure()
            figure.set_size_inches(10, 5.5)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight")
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)
    return buffer.getvalue()


@contextmanager
def _matplotlib() -> Iterator[tuple[Any, Any]]:
    """pyplot and Optuna's matplotlib plots, without a display and without a trace of their style afterwards."""
    import matplotlib as mpl

    if "matplotlib.pyplot" not in sys.modules:
        mpl.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna's matplotlib backend calls itself experimental
        warnings.filterwarnings("ignore", "Attempting to set identical")  # one trial alone has no range
        import optuna.visualization.matplotlib as plots

        yield plt, plots


def _title(name: Plot, study: optuna.Study, metric: str) -> str:
    titles: Mapping[Plot, str] = {
        "history": f"{metric} of each complete trial, and the best so far",
        "parallel_coordinate": f"Hyperparameters of each complete trial and its {metric}",
        "importances": f"How much each hyperparameter decides {metric}",
        "intermediate_values": f"{metric} at each evaluation, pruned trials included",
    }
    return f"{study.study_name}: {titles[name]}"
