"""The registered model: what `mlflow.pyfunc.load_model("models:/NAME@champion")` gives.

Nothing is unpickled: MLflow runs model_script.py, which is stored with the model and imports this module from the
installed package; the adapter's files are checked against their digests before they are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own
from mlflow.pyfunc.model import PythonModel

from adapter_registry.errors import AdapterFilesError, RegistryError
from adapter_registry.models.engines import Engine, load_engine
from adapter_registry.models.prompts import PROMPT_COLUMN, conversations
from adapter_registry.runs.adapter_files import MANIFEST_FILE, Manifest

ARTIFACT = "adapter"
MAX_NEW_TOKENS = 64
TOP_P = 0.95


@final
class AdapterModel(PythonModel):
    """Answers prompts with the base model and the promoted adapter."""

    _engine: Engine | None = None

    def load_context(self, context: Any) -> None:
        """Read and check the adapter, and load its base model.

        `model_config` of `load_model` may say `base`: where the base model is found on this machine.
        """
        config = context.model_config or {}
        files = read_checked(Path(context.artifacts[ARTIFACT]))
        self._engine = load_engine(config.get("engine", "gemma"), files, base=config.get("base"))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:
        """One reply for each row of the column `prompt` (text) or `messages` (conversations).

        Raises:
            PromptError: the table has neither.
            RegistryError: the model was never loaded.
        """
        if self._engine is None:
            raise RegistryError("The model must be loaded with mlflow.pyfunc.load_model before it can predict.")
        options = params or {}
        column = model_input.columns[0] if len(model_input.columns) else PROMPT_COLUMN
        cells = list(model_input[column]) if len(model_input.columns) else []
        asked = conversations(column if isinstance(column, str) else int(column), cells)
        if not asked:
            return []
        return self._engine(
            asked,
            max_new_tokens=int(options.get("max_new_tokens", MAX_NEW_TOKENS)),
            temperature=float(options.get("temperature", 0.0)),
            top_p=float(options.get("top_p", TOP_P)),
            seed=int(options.get("seed", 0)),
        )


def read_checked(folder: Path) -> dict[str, bytes]:
    """The files of an adapter's folder, checked against its manifest.

    Raises:
        AdapterFilesError: one is missing or has changed.
    """
    try:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        manifest = Manifest.from_bytes(files.pop(MANIFEST_FILE), str(folder))
    except (OSError, KeyError) as error:
        raise AdapterFilesError(f"The adapter's folder {str(folder)!r} cannot be read: {error!r}.") from None
    manifest.check(files, str(folder))
    return files
