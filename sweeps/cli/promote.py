"""`sweeps promote`: make an adapter the champion, or go back to the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.console import open_console
from sweeps.cli.shared.exit_codes import say

if TYPE_CHECKING:
    from adapter_registry.models.promotion import Promotion
    from sweeps.home import Home
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.opening import Opened
    from sweeps.webhook import Webhook


def promote(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the sweep; with --rollback also of a registered model.")
    ],
    trial: Annotated[int | None, typer.Option(min=0, help="Its number; by default the best one.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when it is worse, or cannot be compared.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the champion before this one the champion again.")
    ] = False,
) -> None:
    """Make a better adapter the champion, or go back to the one before."""
    from sweeps.home import find_home

    home = find_home()
    if rollback:
        if trial is not None or force:
            raise typer.BadParameter("--rollback goes with neither --trial nor --force.")
        _roll_back(home, name)
        return
    from adapter_registry.models.promotion import promote as move_champion
    from sweeps.champions import reach_tracking
    from sweeps.opening import open_ledger
    from sweeps.webhook import Webhook

    webhook = Webhook.of_environment()
    opened = open_ledger(home, name)
    chosen = _choose(opened, trial)
    reach_tracking(home)
    promotion = move_champion(
        home.tracking_uri,
        chosen.run_id or "",
        model=opened.outline.model or name,
        metric=opened.outline.metric,
        direction=opened.outline.direction,
        force=force,
    )
    _tell(promotion, webhook)


def _choose(opened: Opened, number: int | None) -> TrialRecord:
    """Return the trial of that number, or the best one.

    Raises:
        NotFoundError: there is none.
    """
    from search_spaces.wording import choices
    from sweeps.errors import NotFoundError

    trials = {trial.number: trial for trial in opened.ledger.trials() if trial.run_id is not None}
    name = opened.ledger.name
    if number is None:
        best = opened.ledger.best()
        if best is None:
            raise NotFoundError(f"No trial of {name!r} is complete yet. Wait, or choose one with --trial.")
        return best
    if number not in trials:
        known = choices(map(str, trials)) or "none yet"
        raise NotFoundError(f"The sweep {name!r} has no trial {number} that has begun. Choose from: {known}.")
    return trials[number]


def _roll_back(home: Home, name: str) -> None:
    """Roll a sweep's model back, or the registered model of that name where there is no such sweep."""
    from adapter_registry.models.promotion import rollback
    from sweeps.champions import model_of, reach_tracking
    from sweeps.errors import NotFoundError
    from sweeps.webhook import Webhook

    webhook = Webhook.of_environment()
    try:
        model = model_of(home, name)
    except NotFoundError:
        model = name
    reach_tracking(home)
    _tell(rollback(home.tracking_uri, model), webhook)


def _tell(promotion: Promotion, webhook: Webhook) -> None:
    from sweeps.cli.shared.summary import promoted
    from sweeps.terminal.report import print_sentence

    print_sentence(open_console(), promoted(promotion))
    if problem := webhook.champion_changed(promotion):
        say(f"Note: {problem}.")
