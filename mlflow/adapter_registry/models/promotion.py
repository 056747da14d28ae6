"""Promotion: moving the registry's alias `champion` to a better adapter, and moving it back.

An adapter replaces a champion only when it is better on the same metric, the same validation set and the same base
model; everything else needs `force`. A metric that is not a finite number never wins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adapter_registry.errors import ModelNotFoundError, PromotionRefusedError
from adapter_registry.models.candidate import Candidate, Direction, EpochChoice, read_candidate
from adapter_registry.models.champions import (
    CHAMPION,
    ENGINE,
    PREVIOUS,
    PROMOTED_AT,
    REPLACED,
    Champion,
    find_champion,
    of_version,
)
from adapter_registry.models.engines import EngineName
from adapter_registry.models.logged_model import log_adapter_model
from adapter_registry.models.prompts import ANY_PROMPT, asking
from adapter_registry.store.connection import client, patiently, quietly

DENIED = "PERMISSION_DENIED"


@dataclass(frozen=True)
class Promotion:
    """The champion now, the one before (None: there was none), and whether this call moved the alias."""

    champion: Champion
    previous: Champion | None
    moved: bool


def promote(
    tracking_uri: str,
    run_id: str,
    *,
    model: str,
    metric: str = "val_loss",
    direction: Direction = "minimize",
    epoch: EpochChoice = "best",
    force: bool = False,
    engine: EngineName = "gemma",
) -> Promotion:
    """Make a trial's adapter the champion of a registered model; a trial that is it already stays it.

    Args:
        tracking_uri: where the run is, and the registry.
        run_id: of the trial.
        model: the registered model's name; it is created when there is none.
        metric: that decides.
        direction: `minimize` or `maximize`.
        epoch: whose adapter; `best`: where the metric was best.
        force: also when the adapter is worse or cannot be compared.
        engine: what will answer for it.

    Raises:
        ModelNotFoundError: no such run, or it is no trial of a sweep.
        AdapterFilesError: it has no whole adapter.
        PromotionRefusedError: it is not better than the champion, cannot be compared, or its metric is not finite.
        TrackingUnreachableError: the registry does not answer.
    """
    return patiently(
        lambda: _promote(client(tracking_uri), run_id, model, metric, direction, epoch, force=force, engine=engine),
        tracking_uri,
    )


def rollback(tracking_uri: str, model: str) -> Promotion:
    """Make the version that the champion replaced the champion again.

    Raises:
        ModelNotFoundError: there is no champion, or none before it.
        PromotionRefusedError: this user may not.
        TrackingUnreachableError: the registry does not answer.
    """

    def roll_back() -> Promotion:
        with _permitted(model, f"sweeps promote {model} --rollback"):
            return _rollback(client(tracking_uri), model)

    return patiently(roll_back, tracking_uri)


def _promote(
    opened: Any,
    run_id: str,
    model: str,
    metric: str,
    direction: Direction,
    epoch: EpochChoice,
    *,
    force: bool,
    engine: EngineName,
) -> Promotion:
    candidate = read_candidate(opened, run_id, metric=metric, direction=direction, epoch=epoch)
    with _permitted(model, f"sweeps promote {candidate.sweep} --trial {candidate.trial}"):
        return _replace(opened, run_id, model, candidate, force=force, engine=engine)


def _replace(
    opened: Any, run_id: str, model: str, candidate: Candidate, *, force: bool, engine: EngineName
) -> Promotion:
    """Register a candidate and move the alias to it, if it is better than what the alias points to."""
    current = _current(opened, model, candidate.prompt)
    if current is not None:
        if (current.run_id, current.adapter_sha256) == (run_id, candidate.tags["adapter.sha256"]):
            return Promotion(current, None, moved=False)
        if not force:
            _require_better(candidate, current)
    version = _find_version(opened, model, candidate) or _register(opened, model, candidate, engine)
    return _move(opened, model, version, current)


def _current(opened: Any, model: str, prompt: str) -> Champion | None:
    """The champion; None where there is no such model, or it is not to be seen: then it can only be created anew.

    MLflow's own authorization does not tell the two apart. Of a model that is there, creating it tells.
    """
    from mlflow.exceptions import MlflowException

    try:
        return find_champion(opened, model)
    except MlflowException as error:
        if error.error_code != DENIED:
            raise
    opened.create_registered_model(model, description=_model_description(model, prompt))
    return None


@contextmanager
def _permitted(model: str, command: str) -> Iterator[None]:
    """Tell what MLflow forbids as a refusal, with the permission to ask for and what to type then.

    Raises:
        PromotionRefusedError: this user may not change the model.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in {DENIED, "RESOURCE_ALREADY_EXISTS"}:
            raise
        raise PromotionRefusedError(
            f"MLflow does not let this user change the registered model {model!r}. Ask for the permission EDIT on it, "
            f"or choose another `promotion.model`; then promote by `{command}`."
        ) from None


def _rollback(opened: Any, model: str) -> Promotion:
    current = find_champion(opened, model)
    if current is None:
        raise ModelNotFoundError(f"The registered model {model!r} has no champion to roll back.")
    if current.replaced is None:
        raise ModelNotFoundError(
            f"Version {current.version} of {model!r} was its first champion: there is none before it to go back to."
        )
    former = of_version(opened.get_model_version(model, str(current.replaced)))
    opened.set_registered_model_alias(model, CHAMPION, str(former.version))
    if former.replaced is None:
        opened.delete_registered_model_alias(model, PREVIOUS)
    else:
        opened.set_registered_model_alias(model, PREVIOUS, str(former.replaced))
    return Promotion(former, current, moved=True)


def _require_better(candidate: Candidate, current: Champion) -> None:
    new = f"trial {candidate.trial} of {candidate.sweep!r}"
    old = f"the champion (version {current.version}, trial {current.trial} of {current.sweep!r})"
    for what, mine, theirs in (
        ("metric", candidate.metric, current.metric),
        ("direction", candidate.direction, current.direction),
        ("validation set", candidate.validation[:12], current.validation[:12]),
        (
            "base model",
            f"{candidate.base_name} {candidate.base_digest[:12]}",
            f"{current.base_name} {current.base_digest[:12]}",
        ),
    ):
        if mine != theirs:
            raise PromotionRefusedError(
                f"Only adapters with the same {what} can be compared, but {new} has {mine or 'none'} "
                f"({candidate.metric} {candidate.value:.6g}) and {old} has {theirs or 'none'} ({current.metric} "
                f"{current.value:.6g}). Promote under another model name, or force it with `--force`."
            )
    better = candidate.value < current.value if candidate.direction == "minimize" else candidate.value > current.value
    if not better:
        raise PromotionRefusedError(
            f"A champion must be better than the one before, but {new} has {candidate.metric} {candidate.value:.6g} "
            f"and {old} has {current.value:.6g}. Promote a better trial, or force it with `--force`."
        )


def _find_version(opened: Any, model: str, candidate: Candidate) -> Any | None:
    """The version that an earlier promotion of the same adapter made."""
    from mlflow.exceptions import MlflowException

    try:
        versions = opened.search_model_versions(f"name = '{model}' and run_id = '{candidate.run.info.run_id}'")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    sha256 = candidate.tags["adapter.sha256"]
    same = [version for version in versions if version.tags.get("adapter.sha256") == sha256]
    return min(same, key=lambda version: int(version.version)) if same else None


def _register(opened: Any, model: str, candidate: Candidate, engine: EngineName) -> Any:
    from mlflow.exceptions import MlflowException

    tags = {**candidate.tags, ENGINE: engine}
    try:
        opened.create_registered_model(model, description=_model_description(model, candidate.prompt))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with quietly():
        logged = log_adapter_model(
            opened,
            candidate.run,
            candidate.files,
            candidate.manifest,
            engine=engine,
            tags=tags,
            prompt=candidate.prompt or ANY_PROMPT,
        )
    return opened.create_model_version(
        model,
        # Not `models:/<id>`: MLflow looks that up in its process-wide default store, not in this client's.
        source=logged.artifact_location,
        run_id=candidate.run.info.run_id,
        tags=tags,
        description=_version_description(candidate),
        model_id=logged.model_id,
        await_creation_for=0,  # no file is copied on a server's side: it is ready at once
    )


def _move(opened: Any, model: str, version: Any, current: Champion | None) -> Promotion:
    number = str(version.version)
    opened.set_model_version_tag(model, number, PROMOTED_AT, str(time.time_ns() // 1_000_000))
    if current is not None:
        opened.set_model_version_tag(model, number, REPLACED, str(current.version))
        opened.set_registered_model_alias(model, PREVIOUS, str(current.version))
    opened.set_registered_model_alias(model, CHAMPION, number)
    return Promotion(of_version(opened.get_model_version(model, number)), current, moved=True)


def _model_description(model: str, prompt: str) -> str:
    asked = json.dumps(prompt or ANY_PROMPT, ensure_ascii=False)
    return (
        f"An adapter for Gemma 2, promoted by Gemma Sweeps: `models:/{model}@{CHAMPION}`. Ask the champion:\n\n"
        f"```\n{asking(model, prompt)}\n```\n\n"
        "or from Python, in the folder of your sweeps (or with `MLFLOW_TRACKING_URI` set):\n\n"
        f'```python\nimport sweeps\nsweeps.load_champion("{model}").predict([{asked}])\n```'
    )


def _version_description(candidate: Candidate) -> str:
    config = ", ".join(f"{key} {value}" for key, value in candidate.run.data.params.items() if value != "null")
    return (
        f"Trial {candidate.trial} of {candidate.sweep}, epoch {candidate.manifest.epoch}: {candidate.metric} "
        f"{candidate.value:.4g} on the base model {candidate.base_name}.\n\n{config}"
    )
