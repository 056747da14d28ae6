"""Optuna's plots of real studies, complete and too small ones."""

import sys
import warnings

import optuna
import pytest

from adapter_registry import MemoryTracker
from adapter_registry.pages.plots import PLOTS, log_search_plots

COMPLETE, PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
SPACE = {
    "rank": optuna.distributions.CategoricalDistribution((2, 4, 8)),
    "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
}


def study_of(values: list[float], *, pruned: int = 0, params: bool = True) -> optuna.Study:
    study = optuna.create_study(study_name="small")
    for number, value in enumerate([*values, *([9.0] * pruned)]):
        study.add_trial(
            optuna.trial.create_trial(
                state=COMPLETE if number < len(values) else PRUNED,
                value=value,
                params={"rank": (2, 4, 8)[number % 3], "learning_rate": 1e-4 * (number + 1)} if params else {},
                distributions=SPACE if params else {},
                intermediate_values={1: value + 1, 2: value},
            )
        )
    return study


@pytest.fixture
def tracker() -> MemoryTracker:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = MemoryTracker()
    made.open_sweep("s", spec_yaml="", tags={}, params={})
    return made


def test_every_plot_is_stored_as_page_and_picture(tracker: MemoryTracker) -> None:
    report = log_search_plots(tracker, "run0000", study_of([3.0, 2.0, 2.5, 2.2]), metric="val_loss")
    assert set(report.files) == {f"plots/{name}.{suffix}" for name in PLOTS for suffix in ("html", "png")}
    assert report.skipped == {}
    files = tracker.runs["run0000"].files
    assert all(files[name].startswith(b"\x89PNG") for name in report.files if name.endswith("png"))


def test_a_page_needs_no_network_and_names_the_metric(tracker: MemoryTracker) -> None:
    """plotly.js is inside; nothing is loaded from elsewhere."""
    log_search_plots(tracker, "run0000", study_of([3.0, 2.0, 2.5]), metric="val_perplexity")
    for name in PLOTS:
        page = tracker.runs["run0000"].files[f"plots/{name}.html"].decode()
        assert "val_perplexity" in page
        assert 'src="http' not in page
        assert len(page) > 1_000_000


@pytest.mark.parametrize(
    ("study", "skipped"),
    [
        (study_of([]), {"history", "parallel_coordinate", "importances", "intermediate_values"}),
        (study_of([], pruned=3), {"history", "parallel_coordinate", "importances"}),
        (study_of([2.0]), {"importances"}),
        (study_of([2.0, 2.0]), {"importances"}),
        (study_of([3.0, 2.0], params=False), {"parallel_coordinate", "importances"}),
        (study_of([float("inf"), 2.0]), {"importances"}),
    ],
    ids=["empty", "only pruned", "one", "two alike", "nothing varies", "one diverged"],
)
def test_a_study_that_is_too_small_skips_with_a_reason(
    tracker: MemoryTracker, study: optuna.Study, skipped: set[str]
) -> None:
    report = log_search_plots(tracker, "run0000", study)
    assert set(report.skipped) == skipped
    assert all(report.skipped.values())
    assert {file.split("/")[1].split(".")[0] for file in report.files} == set(PLOTS) - skipped


def test_plots_leave_no_trace_in_matplotlib(tracker: MemoryTracker) -> None:
    """No figure stays open, no style changes, and no warning is shown."""
    import matplotlib as mpl

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = dict(mpl.rcParams)
        log_search_plots(tracker, "run0000", study_of([3.0, 2.0, 2.5]))
    assert {key: value for key, value in mpl.rcParams.items() if key != "backend"} == {
        key: value for key, value in before.items() if key != "backend"
    }
    assert sys.modules["matplotlib.pyplot"].get_fignums() == []
