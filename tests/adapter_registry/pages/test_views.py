"""Saved leaderboards, which the UI lists under Views."""

from __future__ import annotations

from adapter_registry import MlflowTracker
from adapter_registry.pages.views import save_view, saved_views, sweep_link


def test_saved_leaderboards_are_found_again_the_latest_first(opened: MlflowTracker) -> None:
    save_view(opened, "one")
    save_view(opened, "two")
    save_view(opened, "one")
    found = [view for view in saved_views(opened.client) if view.experiment_id == opened.experiment_id]
    assert [(view.sweep, view.key) for view in found] == [("one", "sweep-one"), ("two", "sweep-two")]
    assert found[0].saved_at_ms >= found[1].saved_at_ms
    assert "viewStateShareKey=sweep-one" in sweep_link("http://x/", found[0].experiment_id, found[0].key)
