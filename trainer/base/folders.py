"""What a base model's folder holds, told by its files, their names and headers: before it is loaded, without Keras."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from trainer.base.hugging_face_config import complete_config, require
from trainer.base.json_file import read_json
from trainer.errors import BaseModelError

CONFIG_FILE = "config.json"
KERAS_HUB_NAMES = ("keras_hub>GemmaBackbone", "keras_nlp>GemmaBackbone")
VOCABULARY_FILES = ("tokenizer.model", "assets/tokenizer/vocabulary.spm")

_PEFT_CONFIG = "adapter_config.json"
_ADAPTER_FILES = (_PEFT_CONFIG, "adapter_model.safetensors", "adapter_model.bin")
_MERGE = "merge it with PEFT's `merge_and_unload` and `save_pretrained`"


def check_folder(folder: Path) -> dict[str, Any]:
    """Check a base model's folder.

    Returns:
        Of a Hugging Face folder its complete configuration; empty for a KerasHub preset.

    Raises:
        BaseModelError: its architecture is not Gemma 2's, it holds an adapter, or a file is missing or damaged as far
            as names, sizes and headers tell.
    """
    from trainer.base.hugging_face import check_weights  # needs NumPy, which names alone do not

    path = folder / CONFIG_FILE
    config = _read_config(path)
    _check_no_adapter(folder)
    if "registered_name" in config:
        require(path, "registered_name", config["registered_name"], KERAS_HUB_NAMES)
        if not any((folder / name).is_file() for name in VOCABULARY_FILES):
            raise without_vocabulary(str(folder))
        return {}
    config = complete_config(path, config)
    _check_vocabulary(folder)
    check_weights(folder, config)
    return config


def without_vocabulary(model: str) -> BaseModelError:
    """The error of a KerasHub preset that was saved without its preprocessor."""
    return BaseModelError(
        f"The KerasHub preset {model!r} has no vocabulary ({VOCABULARY_FILES[1]}). Save the model together with "
        "its preprocessor, as `GemmaCausalLM.save_to_preset` does."
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop."""
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise _without_config(path.parent) from None
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{str(path)!r} must be JSON, but cannot be read: {first_line(error)}.") from None
    if not isinstance(config, dict):
        raise BaseModelError(f"{str(path)!r} must hold a JSON object, but holds a {type(config).__name__}.")
    return config


def _without_config(folder: Path) -> BaseModelError:
    lora = sorted(path.name for path in folder.glob("*.lora.h5"))
    adapter = _adapter_file(folder) or (lora[0] if lora else None)
    if adapter is None:
        return BaseModelError(
            f"The folder {str(folder)!r} has no {CONFIG_FILE}: it is neither a KerasHub preset nor a Hugging Face "
            "model."
        )
    return BaseModelError(
        f"The folder {str(folder)!r} must hold a base model, but holds an adapter alone ({adapter}). Give the base "
        f"model that it was trained on{_trained_on(folder)}, or {_MERGE}."
    )


def _check_no_adapter(folder: Path) -> None:
    """Transformers would apply it, KerasHub would not: nobody could tell which of the two models is meant."""
    adapter = _adapter_file(folder)
    if adapter is not None:
        raise BaseModelError(
            f"The folder {str(folder)!r} must hold a base model alone, but holds an adapter as well ({adapter}), which "
            f"would not be applied. To train on top of the adapter, {_MERGE}; to train without it, take the adapter's "
            "files out of the folder."
        )


def _adapter_file(folder: Path) -> str | None:
    return next((name for name in _ADAPTER_FILES if (folder / name).is_file()), None)


def _trained_on(folder: Path) -> str:
    """What PEFT has noted, for the sentence."""
    try:
        name = read_json(folder / _PEFT_CONFIG)["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f" ({name!r})" if isinstance(name, str) and len(name) <= 200 else ""


def _check_vocabulary(folder: Path) -> None:
    """`tokenizer.json` is not read: a SentencePiece model made of it could not be held to the one it was made from."""
    if (folder / VOCABULARY_FILES[0]).is_file():
        return
    raise BaseModelError(
        f"The Hugging Face folder {str(folder)!r} has no {VOCABULARY_FILES[0]}, Gemma's vocabulary as SentencePiece "
        "reads it; tokenizer.json does not replace it. Take it from the model that this one was made from, such as "
        f"google/gemma-2-2b-it, whose terms an account must have accepted: "
        f"`hf download google/gemma-2-2b-it {VOCABULARY_FILES[0]} --local-dir {shlex.quote(str(folder))}`."
    )
