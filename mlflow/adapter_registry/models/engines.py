"""What answers for a promoted adapter: the base model with the adapter applied, or a stand-in that only echoes.

`ENGINES` is the seam where tests and rehearsals run the whole registry without a base model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol, final, get_args

from adapter_registry.errors import AdapterFilesError, RegistryError
from adapter_registry.models.prompts import Conversation
from adapter_registry.runs.adapter_files import SIDECAR_FILE

EngineName = Literal["gemma", "echo"]


class Engine(Protocol):
    """Answers conversations, all at once."""

    def __call__(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> list[str]:
        """One reply for each conversation."""


def load_engine(name: str, files: Mapping[str, bytes], *, base: str | None = None) -> Engine:
    """Load what answers for an adapter.

    Args:
        name: `gemma`, or `echo` for rehearsals.
        files: the adapter's, as `trainer.lora.files.write_adapter` makes them.
        base: where the base model is found on this machine; None: under the name it was trained with.

    Raises:
        RegistryError: an unknown name.
        AdapterFilesError: the sidecar does not name its base model.
        trainer.errors.TrainerError: the base model cannot be found, or is not the one the adapter fits.
    """
    if name == "echo":
        return EchoEngine(files)
    if name == "gemma":
        return GemmaEngine(files, base)
    raise RegistryError(f"The engine must be one of {', '.join(get_args(EngineName))}, but got {name!r}.")


@final
class EchoEngine:
    """Repeats the last turn and names the adapter's base model: no model, no time."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._base = base_of(files)[0]

    def __call__(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> list[str]:
        """The last turn's first `max_new_tokens` characters."""
        return [f"{self._base}: {c.turns[-1][1][:max_new_tokens]}" for c in conversations]


@final
class GemmaEngine:
    """The base model with the adapter applied; each prompt length compiles once."""

    def __init__(self, files: Mapping[str, bytes], base: str | None = None) -> None:
        from trainer import lora
        from trainer.lora.files import read_adapter
        from trainer.pack.generation import Generator

        name, _, dtype = base_of(files)
        model = _load_base(base or name, dtype)
        sites = lora.find_sites(model.backbone)
        card, self._factors = read_adapter(files, sites, model.digest)
        self._generator = Generator(model, lora.select_sites(sites, card.targets))

    def __call__(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> list[str]:
        """One reply for each conversation."""
        from trainer.dialogues import Turn
        from trainer.pack.generation import SamplePlan

        plan = SamplePlan(
            prompts=tuple([Turn(_role(role), text) for role, text in c.turns] for c in conversations),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
        return [sample.reply for sample in self._generator.sample(self._factors, 1.0, plan)]


def base_of(files: Mapping[str, bytes]) -> tuple[str, str, str]:
    """Name, digest and dtype of the base model that an adapter was trained on.

    Raises:
        AdapterFilesError: the sidecar is missing or does not say.
    """
    try:
        card = json.loads(files[SIDECAR_FILE])
        return str(card["base_name"]), str(card["base_digest"]), str(card.get("base_dtype", "float32"))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise AdapterFilesError(
            f"{SIDECAR_FILE} must name the adapter's base model, but does not: {error!r}."
        ) from None


def _role(role: str) -> Literal["user", "model"]:
    return "user" if role == "user" else "model"


@lru_cache(maxsize=1)
def _load_base(name: str, dtype: Any) -> Any:
    """The last base model stays loaded: several versions of a registered model share it."""
    from trainer.base.base import load_base

    return load_base(name, dtype=dtype)
