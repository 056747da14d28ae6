"""The weights of a Hugging Face folder: safetensors, in one file or in shards, checked tensor by tensor.

A check reads headers only, so that a damaged folder is told before a sweep starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from trainer.base.json_file import read_json
from trainer.errors import BaseModelError

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
EMBEDDING = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"
_DTYPES = ("F64", "F32", "F16", "BF16")
_ROWS_AT_ONCE = 8192
_OF_A_LAYER = re.compile(r"(model\.)?layers\.")
_SIGNS = {  # part of a tensor's name, and what has such tensors
    ".lora_": "a PEFT adapter",
    "vision_tower.": "a model of images and text",
    ".q_norm.": "Gemma 3, or of another model that normalises queries",
}
_AFTER_GEMMA_1 = "feedforward_layernorm"
_AGAIN = "Download or save the folder again, whole (with Git LFS where it is a git repository)."

Array = np.ndarray[Any, Any]


class Weights:
    """The tensors of a folder, each read when it is asked for.

    Use as a context; names are those of a `Gemma2ForCausalLM`, also where only its backbone was saved.

    Raises:
        BaseModelError: a file is missing, or is not whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        files = [self._open(path) for path in _files(folder)]
        self._tensors = {name: file.get_slice(name) for file in files for name in file.keys()}  # noqa: SIM118 not a dict
        self._prefix = "" if EMBEDDING in self._tensors else "model."

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def read(self, name: str) -> Array:
        """One tensor, in the dtype that it is stored in."""
        array: Array = self._tensor(name)[:]
        return array

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Compare with the names and shapes that a configuration asks for.

        Raises:
            BaseModelError: they are plainly another model's, or a tensor is missing, has another shape, is no
                floating-point one, or is unknown to Gemma 2.
        """
        if other := _another_model(tuple(self._tensors)):
            raise self._error(
                f"they are those of {other}, though its config.json says gemma2. Only a Gemma 2 can be trained: "
                "give a folder whose weights and config.json belong together."
            )
        for name, shape in shapes.items():
            tensor = self._tensor(name)
            found = tuple(tensor.get_shape())
            if found != shape:
                raise self._error(f"`{name}` must have shape {shape} by its config.json, but has {found}.")
            if tensor.get_dtype() not in _DTYPES:
                raise self._error(
                    f"`{name}` must be one of {', '.join(_DTYPES)}, but is {tensor.get_dtype()}. "
                    "Quantised weights cannot be read: take the model that they were made from."
                )
        known = {name.removeprefix(self._prefix) for name in shapes}
        for name in self._tensors:
            if _OF_A_LAYER.match(name) and name not in known and not name.endswith("rotary_emb.inv_freq"):
                raise self._error(f"`{name}` is not a tensor of a Gemma 2 of this config.json.")

    def check_tied(self) -> None:
        """Refuse an output embedding of its own, by its values: some tools write the tied one a second time.

        Raises:
            BaseModelError: there is a `lm_head.weight`, and it is not the embedding.
        """
        head = self._tensors.get(_HEAD)
        if head is None:
            return
        embedding = self._tensor(EMBEDDING)
        if head.get_shape() != embedding.get_shape() or not _equal(head, embedding):
            raise self._error(
                f"`{_HEAD}` must be left out or equal `{EMBEDDING}`, because Gemma 2 ties them, but it differs."
            )

    def _open(self, path: Path) -> Any:
        from safetensors import SafetensorError, safe_open

        if path.exists() and not path.is_file():
            raise self._error(f"{path.name} is no ordinary file. {_AGAIN}")
        try:
            return self._stack.enter_context(safe_open(path, framework="np"))
        except FileNotFoundError:
            raise self._error(f"{path.name} is missing. {_AGAIN}") from None
        except (OSError, SafetensorError) as error:
            raise self._error(f"{path.name} is cut off or not safetensors ({error}). {_AGAIN}") from None

    def _tensor(self, name: str) -> Any:
        tensor = self._tensors.get(name.removeprefix(self._prefix))
        if tensor is None:
            raise self._error(f"the tensor `{name}` is missing. {_AGAIN}")
        return tensor

    def _error(self, problem: str) -> BaseModelError:
        return BaseModelError(f"The weights of {str(self._folder)!r} could not be loaded: {problem}")


def _another_model(names: tuple[str, ...]) -> str | None:
    """Whose tensors these are, where no download would make them Gemma 2's."""
    for sign, model in _SIGNS.items():
        if any(sign in name for name in names):
            return model
    in_layers = [name for name in names if _OF_A_LAYER.match(name)]
    if in_layers and not any(_AFTER_GEMMA_1 in name for name in in_layers):
        return f"Gemma 1 (no layer has a `pre_{_AFTER_GEMMA_1}`)"
    return None


def _equal(one: Any, other: Any) -> bool:
    """Compare two matrices of one shape, some rows at a time: an embedding has gigabytes."""
    rows = one.get_shape()[0]
    parts = (slice(start, min(start + _ROWS_AT_ONCE, rows)) for start in range(0, rows, _ROWS_AT_ONCE))
    return all(np.array_equal(one[part], other[part]) for part in parts)


def _files(folder: Path) -> Iterator[Path]:
    """The file or the shards, in the order of preference of transformers."""
    if (folder / WEIGHTS_FILE).exists():
        yield folder / WEIGHTS_FILE
        return
    index = folder / INDEX_FILE
    try:
        yield from [folder / name for name in _shards(index)]
    except FileNotFoundError:
        raise BaseModelError(_no_weights(folder)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BaseModelError(
            f"{str(index)!r} must be a JSON object with a `weight_map` from tensors to files beside it, but is not. "
            f"{_AGAIN}"
        ) from None


def _shards(index: Path) -> list[str]:
    names = set(read_json(index)["weight_map"].values())
    if any("/" in name or "\\" in name for name in names):
        raise ValueError("a shard lies beside its index")
    return sorted(names)


def _no_weights(folder: Path) -> str:
    pickled = sorted(path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt*")))
    if pickled:
        return (
            f"The weights of {str(folder)!r} must be safetensors, but got {pickled[0]}. Only safetensors are read: "
            f"load the model with transformers and write it with `save_pretrained`."
        )
    return (
        f"The Hugging Face folder {str(folder)!r} has neither {WEIGHTS_FILE} nor {INDEX_FILE}, which hold the weights. "
        f"{_AGAIN}"
    )
