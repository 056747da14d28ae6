"""What a base model may be called, and what can be told of it without loading: its source and its architecture."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

from trainer.base.folders import VOCABULARY_FILES, check_folder, first_line
from trainer.errors import BaseModelError
from trainer.masking import redact

BUILTIN = "builtin"
PRESETS = (
    "gemma2_2b_en",
    "gemma2_instruct_2b_en",
    "gemma2_9b_en",
    "gemma2_instruct_9b_en",
    "gemma2_27b_en",
    "gemma2_instruct_27b_en",
)
HUB_PREFIX = "hf://"
REMOTE_PREFIXES = ("kaggle://", HUB_PREFIX)
HUB_FILES = ("*.json", "*.safetensors", "*.h5", "*.model", "*.spm")


def find_base(model: str) -> tuple[str, dict[str, Any]]:
    """Resolve a base model's name without loading it.

    Returns:
        What it is loaded from, and for a Hugging Face folder its complete configuration (empty for other sources).

    Raises:
        BaseModelError: there is no such preset or folder, the folder's architecture is not Gemma 2's, or a file of it
            is missing or damaged as far as names, sizes and headers tell.
    """
    if model == BUILTIN:
        return str(resources.files("trainer.base") / "builtin"), {}
    if is_fetched(model):
        return model, {}
    folder = _folder(model)
    if folder is not None:
        return str(folder), check_folder(folder)
    raise BaseModelError(
        f"`base.model` must be a preset of Gemma 2 or a folder that exists, but got {redact(repr(model))}."
        f"{_meant(model)} Choose from: {BUILTIN}, {', '.join(PRESETS)}, kaggle://…, hf://…, or the path of a folder."
    )


def _meant(model: str) -> str:
    """A model of the Hub without its prefix, which is taken for a path; or a preset's name, nearly."""
    *_, owner, name = ("", "", *Path(model).parts)
    if owner not in ("", "/") and name.startswith("gemma"):
        return redact(f" If it is a model of the Hugging Face Hub, write {HUB_PREFIX}{owner}/{name}.")
    close = difflib.get_close_matches(model.lower().replace("-", "_"), PRESETS, n=1, cutoff=0.8)
    return f" Did you mean `{close[0]}`?" if close else ""


def _folder(model: str) -> Path | None:
    """The folder of this name; None where there is none, or no folder can have this name."""
    try:
        folder = Path(model).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL inside, `~` of nobody
        return None


def is_fetched(model: str) -> bool:
    """Whether a base model is downloaded, once per machine, before it can be loaded."""
    return model in PRESETS or model.startswith(REMOTE_PREFIXES)


def fetch(model: str) -> str:
    """Download a model of the Hugging Face Hub, once, so that it is checked and read as any folder is.

    Returns:
        The folder's path; any other name as it is.

    Raises:
        BaseModelError: it cannot be had.
    """
    if not model.startswith(HUB_PREFIX):
        return model
    try:
        from huggingface_hub import snapshot_download

        folder = snapshot_download(model.removeprefix(HUB_PREFIX), allow_patterns=list(HUB_FILES))
    except Exception as error:
        raise unloadable(model, error) from error
    return str(folder)


def unloadable(model: str, error: BaseException) -> BaseModelError:
    """The error of a base model that another library could not load."""
    return BaseModelError(
        f"The base model {model!r} could not be loaded: {type(error).__name__}: {first_line(error)}. "
        "A name needs the network once, and an account that has accepted Gemma's terms; a folder needs its weights, "
        "configuration and tokenizer whole."
    )


def read_vocabulary(model: str) -> bytes | None:
    """The SentencePiece vocabulary of a base model that is on this machine; None for one still to be fetched.

    Raises:
        BaseModelError: there is no such preset or folder.
    """
    source = Path(find_base(model)[0])
    paths = (source / name for name in VOCABULARY_FILES)
    return next((path.read_bytes() for path in paths if path.is_file()), None)
