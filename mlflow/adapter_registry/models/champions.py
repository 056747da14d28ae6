"""Registered models and their champions, read from the registry; changing them is promotion.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_registry.errors import AdapterFilesError, ModelNotFoundError
from adapter_registry.models.candidate import read_adapter_files, read_manifests
from adapter_registry.models.engines import Engine, load_engine
from adapter_registry.store.connection import client, patiently
from trainer.masking import redact

CHAMPION = "champion"
PREVIOUS = "previous_champion"
PROMOTED_AT = "champion.since_ms"
REPLACED = "champion.replaced_version"
ENGINE = "adapter.engine"


@dataclass(frozen=True)
class Champion:
    """One version of a registered model.

    value       of `metric` when it was promoted
    validation  digest of the dataset that the metric was measured on
    data        digests of all the sweep's datasets by name
    since_ms    when it became champion (milliseconds since 1970)
    """

    model: str
    version: int
    run_id: str
    sweep: str
    trial: int
    epoch: int
    metric: str
    direction: str
    value: float
    base_name: str
    base_digest: str
    validation: str
    adapter_sha256: str
    since_ms: int
    engine: str
    replaced: int | None
    data: Mapping[str, str]

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.model}@{CHAMPION}"


def champion(tracking_uri: str, model: str) -> Champion | None:
    """A registered model's champion; None when the model or its champion does not exist."""
    return patiently(lambda: find_champion(client(tracking_uri), model), tracking_uri)


def champions(tracking_uri: str) -> list[Champion]:
    """The champions of all registered models, the newest first; models that something else registered are left out."""

    def read() -> list[Champion]:
        opened = client(tracking_uri)
        names = [model.name for model in _registered_models(opened) if CHAMPION in model.aliases]
        found = [champion for name in names for champion in _promoted(opened, name)]
        return sorted(found, key=lambda champion: champion.since_ms, reverse=True)

    return patiently(read, tracking_uri)


def champion_files(tracking_uri: str, version: Champion) -> dict[str, bytes]:
    """The adapter's files of a version, checked against the digest that the registry remembers.

    Raises:
        AdapterFilesError: they are missing or have changed.
    """

    def read() -> dict[str, bytes]:
        opened = client(tracking_uri)
        manifest = read_manifests(opened, version.run_id).get(version.epoch)
        if manifest is None or manifest.sha256[manifest.adapter_file] != version.adapter_sha256:
            raise AdapterFilesError(
                f"The adapter of {version.model} version {version.version} (epoch {version.epoch} of run "
                f"{version.run_id}) is missing or is not the one that was promoted. Promote the trial again."
            )
        return read_adapter_files(opened, version.run_id, manifest)

    return patiently(read, tracking_uri)


def load_champion(tracking_uri: str, model: str, *, base: str | None = None) -> tuple[Champion, Engine]:
    """A model's champion, ready to answer.

    Args:
        tracking_uri: of the registry.
        model: the registered model's name.
        base: where the base model is found on this machine; None: under the name it was trained with.

    Raises:
        ModelNotFoundError: it has no champion.
        AdapterFilesError: its files are missing or have changed.
        trainer.errors.TrainerError: its base model cannot be found or is another one.
    """
    version = champion(tracking_uri, model)
    if version is None:
        known = ", ".join(c.model for c in champions(tracking_uri)) or "none yet"
        raise ModelNotFoundError(
            f"There is no champion of {model!r} in {redact(tracking_uri)}. Champions: {known}. "
            "Run a sweep, or promote a trial."
        )
    return version, champion_engine(tracking_uri, version, base=base)


def champion_engine(tracking_uri: str, version: Champion, *, base: str | None = None) -> Engine:
    """What answers for a version; `base` and errors are as for `load_champion`."""
    return load_engine(version.engine, champion_files(tracking_uri, version), base=base)


def find_champion(opened: Any, model: str) -> Champion | None:
    """The champion, over an open client."""
    from mlflow.exceptions import MlflowException

    try:
        return of_version(opened.get_model_version_by_alias(model, CHAMPION))
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def of_version(version: Any) -> Champion:
    """Read a model version that promotion.py made.

    Raises:
        ModelNotFoundError: something else made it.
    """
    tags = version.tags
    try:
        return Champion(
            model=version.name,
            version=int(version.version),
            run_id=version.run_id,
            sweep=tags["sweep.name"],
            trial=int(tags["sweep.trial"]),
            epoch=int(tags["sweep.epoch"]),
            metric=tags["metric.name"],
            direction=tags["metric.direction"],
            value=float(tags["metric.value"]),
            base_name=tags["base.name"],
            base_digest=tags["base.digest"],
            validation=tags["validation.digest"],
            adapter_sha256=tags["adapter.sha256"],
            since_ms=int(tags.get(PROMOTED_AT, version.creation_timestamp)),
            engine=tags.get(ENGINE, "gemma"),
            replaced=int(tags[REPLACED]) if REPLACED in tags else None,
            data={k[5:-7]: v for k, v in tags.items() if k.startswith("data.") and k.endswith(".digest")},
        )
    except (KeyError, ValueError) as error:
        raise ModelNotFoundError(
            f"Version {version.version} of the registered model {version.name!r} was not made by a promotion: its tags "
            f"lack {error}. Choose another model name."
        ) from None


def _promoted(opened: Any, model: str) -> list[Champion]:
    try:
        found = find_champion(opened, model)
    except ModelNotFoundError:
        return []  # on a shared server others have champions too
    return [] if found is None else [found]


def _registered_models(opened: Any) -> list[Any]:
    models: list[Any] = []
    token = None
    while True:
        page = opened.search_registered_models(page_token=token)
        models += page
        token = page.token
        if not token:
            return models
