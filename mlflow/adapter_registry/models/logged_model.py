"""Writing an adapter as an MLflow model of its trial's run: from code, without a pickle and without running it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapter_registry.models.engines import EngineName
from adapter_registry.models.prompts import PROMPT_COLUMN
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest
from adapter_registry.store.environment import load_pyfunc

# What the model imports when it answers; each is pinned to the version that trained it.
REQUIREMENTS = ("gemma-sweeps", "mlflow", "jax", "keras", "keras-hub", "sentencepiece", "safetensors", "h5py", "numpy")


def log_adapter_model(
    client: Any,
    run: Any,
    files: Mapping[str, bytes],
    manifest: Manifest,
    *,
    engine: EngineName,
    tags: Mapping[str, str],
    prompt: str,
) -> Any:
    """Store an adapter as a model of its run; MLflow's `LoggedModel`.

    Args:
        client: an `MlflowClient`.
        run: the trial's run.
        files: the adapter's, already checked.
        manifest: of the files.
        engine: what will answer for it.
        tags: of the model.
        prompt: of its input example.
    """
    from mlflow.entities import LoggedModelOutput

    logged = client.create_logged_model(
        run.info.experiment_id,
        name=f"adapter-epoch-{manifest.epoch}",
        source_run_id=run.info.run_id,
        tags=dict(tags),
        params=dict(run.data.params),
        model_type="adapter",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        _save(path, files, manifest, engine=engine, run_id=run.info.run_id, model_id=logged.model_id, prompt=prompt)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=manifest.step or 0)])
    return logged


def requirements() -> list[str]:
    """Pinned requirements of a model, of those packages that are installed here."""
    pinned = []
    for package in REQUIREMENTS:
        try:
            pinned.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return pinned


def _save(
    path: Path,
    files: Mapping[str, bytes],
    manifest: Manifest,
    *,
    engine: EngineName,
    run_id: str,
    model_id: str,
    prompt: str,
) -> None:
    pyfunc = load_pyfunc()
    from mlflow.models import Model

    from adapter_registry.models.model import ARTIFACT

    adapter = path.parent / ARTIFACT
    adapter.mkdir()
    for name, content in {**files, MANIFEST_FILE: manifest.to_bytes()}.items():
        (adapter / name).write_bytes(content)
    pyfunc.save_model(
        str(path),
        mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
        python_model=str(Path(__file__).with_name("model_script.py")),
        artifacts={ARTIFACT: str(adapter)},
        model_config={"engine": engine},
        signature=_signature(),
        input_example=({PROMPT_COLUMN: [prompt]}, {"max_new_tokens": 48}),
        pip_requirements=requirements(),
    )


def _signature() -> Any:
    """One column and four options.

    The column has no name, because MLflow then takes plain lists of texts, dicts and conversations as well as
    tables; prompts.py says what may be in it.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    from adapter_registry.models.model import MAX_NEW_TOKENS, TOP_P

    options = [
        ParamSpec("max_new_tokens", "long", MAX_NEW_TOKENS),
        ParamSpec("temperature", "double", 0.0),
        ParamSpec("top_p", "double", TOP_P),
        ParamSpec("seed", "long", 0),
    ]
    column = Schema([ColSpec("string")])
    return ModelSignature(inputs=column, outputs=Schema([ColSpec("string")]), params=ParamSchema(options))
