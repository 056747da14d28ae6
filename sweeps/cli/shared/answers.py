"""Lets a champion answer, and its base model beside it, with the base model loaded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion


@dataclass(frozen=True)
class Question:
    """A prompt, and how the answer is drawn (temperature 0: greedily).

    Raises:
        PromptError: the prompt is empty.
    """

    prompt: str
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int

    def __post_init__(self) -> None:
        from adapter_registry.models.prompts import conversations

        conversations("prompt", [self.prompt])

    @property
    def sampling(self) -> dict[str, Any]:
        """What `Engine.__call__` and `trainer.pack.generation.generate` take."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
        }


def answer(
    tracking_uri: str, version: Champion, question: Question, *, base_from: str | None, also_base: bool
) -> Iterator[str]:
    """Yield the champion's answer, then its base model's where that is wanted.

    Raises:
        AdapterFilesError: the adapter's files are missing or have changed.
        TrainerError: the base model cannot be found, or is another one.
    """
    from adapter_registry.models.champions import champion_files
    from adapter_registry.models.engines import load_engine
    from adapter_registry.models.prompts import conversations
    from sweeps.host.jax_setup import prepare_jax
    from sweeps.terminal.wording import printable

    asked = conversations("prompt", [question.prompt])
    files = champion_files(tracking_uri, version)
    if version.engine == "gemma":
        prepare_jax()
        if also_base:
            yield from map(printable, _both(files, question, base_from))
            return
    engine = load_engine(version.engine, files, base=base_from)
    yield printable(engine(asked, **question.sampling)[0])


def _both(files: Mapping[str, bytes], question: Question, base_from: str | None) -> Iterator[str]:
    from adapter_registry.models.engines import base_of
    from trainer.base.base import load_base
    from trainer.pack.generation import generate

    name, _, dtype = base_of(files)
    base = load_base(base_from or name, dtype="bfloat16" if dtype == "bfloat16" else "float32")
    for adapter in (files, None):
        yield generate(base, adapter, [question.prompt], **question.sampling)[0].reply
