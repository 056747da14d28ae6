"""What a base model may be called, and what can be told of it without loading: its source and its architecture."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from trainer.errors import BaseModelError

BUILTIN = "builtin"
PRESETS = (
    "gemma2_2b_en",
    "gemma2_instruct_2b_en",
    "gemma2_9b_en",
    "gemma2_instruct_9b_en",
    "gemma2_27b_en",
    "gemma2_instruct_27b_en",
)
REMOTE_PREFIXES = ("kaggle://", "hf://")
VOCABULARY_FILES = ("tokenizer.model", "assets/tokenizer/vocabulary.spm")


def find_base(model: str) -> tuple[str, dict[str, Any]]:
    """Resolve a base model's name without loading it.

    Returns:
        What KerasHub loads it from, and the folder's Hugging Face configuration (empty for other sources).

    Raises:
        BaseModelError: there is no such preset or folder, or the folder's architecture is not Gemma 2's.
    """
    if model == BUILTIN:
        return str(resources.files("trainer.builtin") / "model"), {}
    if model in PRESETS or model.startswith(REMOTE_PREFIXES):
        return model, {}
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder), _check_folder(folder)
    raise BaseModelError(
        f"`base.model` must be a preset or a folder that exists, but got {model!r}. "
        f"Choose from: {BUILTIN}, {', '.join(PRESETS)}, kaggle://…, hf://…, or the path of a folder."
    )


def _check_folder(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaseModelError(
            f"The folder {str(folder)!r} has no config.json: it is neither a KerasHub preset nor a Hugging Face model."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BaseModelError(f"{str(path)!r} must be JSON, but cannot be read: {first_line(error)}.") from None
    if not isinstance(config, dict):
        raise BaseModelError(f"{str(path)!r} must hold a JSON object, but holds a {type(config).__name__}.")
    if "registered_name" in config:
        _require(
            path, "registered_name", config["registered_name"], ("keras_hub>GemmaBackbone", "keras_nlp>GemmaBackbone")
        )
        return {}
    _check_hugging_face(path, config)
    if not (folder / "tokenizer.model").is_file():
        raise BaseModelError(
            f"The Hugging Face folder {str(folder)!r} has no tokenizer.model, which holds Gemma's vocabulary. "
            "Copy it from the model's repository."
        )
    return config


def _check_hugging_face(path: Path, config: dict[str, Any]) -> None:
    _require(path, "model_type", config.get("model_type"), ("gemma2",))
    _require(path, "hidden_activation", config.get("hidden_activation", "gelu_pytorch_tanh"), ("gelu_pytorch_tanh",))
    _require(path, "tie_word_embeddings", config.get("tie_word_embeddings", True), (True,))
    _require(path, "attention_bias", config.get("attention_bias", False), (False,))
    _require(path, "rope_type", rope_of(config).get("rope_type", "default"), ("default",))
    needed = ("vocab_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size")
    for key in (*needed, "intermediate_size", "head_dim", "query_pre_attn_scalar", "sliding_window"):
        if not isinstance(config.get(key), int | float) or config[key] <= 0:
            raise BaseModelError(f"`{key}` in {str(path)!r} must be a positive number, but got {config.get(key)!r}.")


def _require(path: Path, key: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise BaseModelError(
            f"`{key}` in {str(path)!r} must be {' or '.join(map(repr, choices))} (Gemma 2), but got {value!r}."
        )


def rope_of(config: dict[str, Any]) -> dict[str, Any]:
    """Rotary parameters of a Hugging Face configuration, wherever its version keeps them."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return rope if isinstance(rope, dict) else {}


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop."""
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")


def read_vocabulary(model: str) -> bytes | None:
    """The SentencePiece vocabulary of a base model that is on this machine; None for one still to be fetched.

    Raises:
        BaseModelError: there is no such preset or folder.
    """
    source = Path(find_base(model)[0])
    paths = (source / name for name in VOCABULARY_FILES)
    return next((path.read_bytes() for path in paths if path.is_file()), None)
