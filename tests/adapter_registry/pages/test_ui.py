"""The MLflow UI in a real browser, on the demo sweep: what a person sees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_registry.pages.plots import PLOTS
from adapter_registry.pages.views import model_link, run_link, sweep_link

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed at /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def page(server: Any, demo: Any) -> Iterator[Any]:
    """One page; the panel that MLflow opens on a first visit is closed, as it is after it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1600, "height": 1000})
        context.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


@pytest.fixture
def experiment(server: Any, sqlite_store: Any) -> str:
    return str(sqlite_store.open().experiment_id)


def test_the_leaderboard_shows_the_twelve_trials_with_metrics_and_states(
    page: Any, server: Any, demo: Any, experiment: str
) -> None:
    page.goto(sweep_link(server.url, experiment, f"sweep-{demo.sweep}"))
    page.get_by_text("12 matching runs").wait_for()
    links = page.locator(".ag-row a", has_text="trial-")
    links.nth(11).wait_for()
    names = links.all_inner_texts()
    assert sorted(name[:8] for name in names) == [f"trial-{number:02d}" for number in range(12)]
    assert names[0].startswith("trial-07 r=16 lr=1.3e-3 ep=2")
    text = page.inner_text("body")
    assert all(word in text for word in ("val_loss", "val_perplexity", "learning_rate", "sweep.state", "pruned"))


def test_the_leaderboard_begins_with_the_metric_then_state_and_parameters(
    page: Any, server: Any, demo: Any, experiment: str
) -> None:
    page.goto("about:blank")
    page.goto(sweep_link(server.url, experiment, f"sweep-{demo.sweep}"))
    page.get_by_text("12 matching runs").wait_for()
    wanted = ["val_loss", "sweep.state", "rank", "learning_rate", "epochs", "val_perplexity"]
    headers = [page.locator(".ag-header-cell:visible", has_text=name).first for name in wanted]
    places = [header.bounding_box()["x"] for header in headers]
    assert places == sorted(set(places))
    assert page.get_by_text("learning_rate", exact=True).bounding_box()["x"] < 1600


def test_trials_are_folded_below_their_sweep(page: Any, server: Any, demo: Any, experiment: str) -> None:
    page.goto("about:blank")
    page.goto(f"{server.url}/#/experiments/{experiment}/runs?workflowType=machine_learning")
    row = page.locator(".ag-row", has_text=demo.sweep).first
    row.wait_for()
    assert page.locator(".ag-row a", has_text="trial-").count() == 0
    row.locator("button").first.click()
    page.locator(".ag-row a", has_text="trial-").nth(11).wait_for()
    assert page.locator(".ag-row a", has_text="trial-").count() == 12


def test_the_sweeps_page_begins_with_its_winner(page: Any, server: Any, demo: Any, experiment: str) -> None:
    page.goto(run_link(server.url, experiment, demo.sweep_run))
    page.get_by_text("Best: trial 7, val_loss 2.132").wait_for()
    page.get_by_role("button", name="Load more").click()
    page.get_by_text("trial-00 r=2").wait_for()
    assert page.get_by_role("link", name="trial-").count() == 12


def test_plots_are_drawn_without_a_network(page: Any, server: Any, demo: Any, experiment: str) -> None:
    """All requests go to this server, and plotly has drawn in the frame."""
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    for name in ("history", "parallel_coordinate"):
        page.goto("about:blank")
        page.goto(run_link(server.url, experiment, demo.sweep_run, f"plots/{name}.html"))
        page.frame_locator("iframe").locator(".main-svg").first.wait_for()
    listed = page.inner_text("body")
    assert all(f"{name}.{suffix}" in listed for name in PLOTS for suffix in ("html", "png"))
    assert "spec.yaml" in listed
    page.goto("about:blank")
    page.goto(run_link(server.url, experiment, demo.sweep_run, "plots/history.png"))
    page.get_by_alt_text("plots/history.png").wait_for()
    assert not [url for url in asked if not url.startswith((server.url, "about:", "blob:", "data:"))]


def test_samples_are_a_table(page: Any, server: Any, demo: Any, experiment: str) -> None:
    page.goto(run_link(server.url, experiment, demo.trial_runs[7], "samples.json"))
    page.get_by_text("View as table").wait_for()
    page.get_by_text("요즘 잠을 못 자요").first.wait_for()
    text = page.inner_text("body")
    assert all(column in text for column in ("epoch", "prompt", "reply", "tokens", "seconds"))
    assert text.count("요즘 잠을 못 자요") == 2


def test_the_registered_model_shows_its_champion(page: Any, server: Any, demo: Any) -> None:
    page.goto(model_link(server.url, demo.sweep))
    page.get_by_text("champion").first.wait_for()
    assert f"models:/{demo.sweep}@champion" in page.inner_text("body")
