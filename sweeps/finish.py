"""The end of a sweep: plots, promotion, description, leaderboard and best value, and who else is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweeps.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter_registry.models.promotion import Promotion
    from sweeps.driver.driver import SweepResult
    from sweeps.home import Home
    from sweeps.ledger.ledger import Ledger
    from sweeps.preflight import Preflight
    from sweeps.spec import SweepSpec
    from sweeps.sweep_run import Recorded


@dataclass(frozen=True, kw_only=True)
class Launched:
    """How a sweep ended, and what became of its best adapter.

    metric         that the sweep optimised
    base_metrics   of the base model without an adapter
    promotion      what `champion` points to now; None when nothing was promoted
    not_promoted   why nothing was promoted, '' when something was
    remarks        what was left out of the data, or of the plots, and why
    prompt         that its champion may be asked, in the language of its data
    """

    spec: SweepSpec
    result: SweepResult
    metric: str
    base_metrics: Mapping[str, float]
    promotion: Promotion | None
    not_promoted: str
    remarks: tuple[str, ...]
    prompt: str


def finish(checked: Preflight, home: Home, ledger: Ledger, recorded: Recorded, result: SweepResult) -> Launched:
    """Draw the search, promote the best adapter, and describe the sweep on its run.

    Args:
        checked: what was found before it.
        home: where ledger and MLflow are.
        ledger: of the sweep.
        recorded: its run.
        result: how it ended.

    Raises:
        RegistryError: MLflow refuses, or does not answer.
    """
    spec = checked.spec
    skipped = _draw(spec, ledger, recorded)
    promotion, not_promoted = _promote(spec, home, result)
    _describe(checked, ledger, recorded, result, champion=spec.promotion.model if promotion else None)
    if result.best is not None and result.best.score is not None:
        best = {f"best_{spec.search.metric}": result.best.score}
        recorded.tracker.log_metrics(recorded.run_id, best, len(result.trials))
    return Launched(
        spec=spec,
        result=result,
        metric=spec.search.metric,
        base_metrics=recorded.base_metrics,
        promotion=promotion,
        not_promoted=not_promoted,
        remarks=checked.remarks + skipped,
        prompt=checked.prompt,
    )


def tell(webhook: Webhook, launched: Launched) -> Launched:
    """Tell the webhook of the end; what could not be told is among the remarks then."""
    problems = [webhook.sweep_ended(launched.result, launched.metric)]
    if launched.promotion is not None:
        problems.append(webhook.champion_changed(launched.promotion))
    return replace(launched, remarks=(*launched.remarks, *filter(None, problems)))


def _draw(spec: SweepSpec, ledger: Ledger, recorded: Recorded) -> tuple[str, ...]:
    """Store the search's plots; which are missing, and why."""
    from adapter_registry.pages.plots import log_search_plots

    plots = log_search_plots(recorded.tracker, recorded.run_id, ledger.study, metric=spec.search.metric)
    return tuple(f"plot {name}: {reason}" for name, reason in plots.skipped.items())


def _describe(
    checked: Preflight, ledger: Ledger, recorded: Recorded, result: SweepResult, *, champion: str | None
) -> None:
    """Write the sweep's page, and save its leaderboard."""
    from adapter_registry.pages.notes import sweep_note
    from adapter_registry.pages.views import save_view

    spec = checked.spec
    metric, direction, varied = spec.search.metric, spec.search.direction, spec.search.space.varied
    note = sweep_note(
        spec.name,
        recorded.tracker.trials(recorded.run_id, ledger.id),
        metric=metric,
        direction=direction,
        shown=varied,
        values={trial.number: trial.score for trial in result.trials if trial.score is not None},
        planned=ledger.trials_asked,
        base_value=recorded.base_metrics.get(metric),
        champion=champion,
        prompt=checked.prompt,
        first_set=spec.data.first_set,
    )
    recorded.tracker.set_note(recorded.run_id, note)
    steered_first = sorted(spec.metrics, key=lambda name: name != metric)
    save_view(recorded.tracker, spec.name, metrics=steered_first, direction=direction, shown=tuple(varied))


def _promote(spec: SweepSpec, home: Home, result: SweepResult) -> tuple[Promotion | None, str]:
    """Promote the best adapter; or why it was not."""
    from adapter_registry.errors import PromotionRefusedError, TrackingStoreError
    from adapter_registry.models.promotion import promote

    if result.best is None or result.best.run_id is None:
        return None, "no trial is complete"
    if result.state != "complete":
        return None, "the sweep is not complete"
    if not spec.promotion.automatic:
        return None, f"the spec says `promotion.automatic: false`; promote it with `sweeps promote {spec.name}`"
    search, model = spec.search, spec.promotion.model
    try:
        promotion = promote(
            home.tracking_uri, result.best.run_id, model=model, metric=search.metric, direction=search.direction
        )
    except PromotionRefusedError as refusal:
        return None, str(refusal)
    except TrackingStoreError as refusal:
        return None, f"{refusal} When that is mended: `sweeps promote {spec.name}`."
    return promotion, ""
