"""Replies to prompts: KerasHub's own generation loop, with a factored adapter applied."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from trainer import lora
from trainer.base.base import BaseModel
from trainer.dialogues import Turn
from trainer.dialogues.tokens import encode_prompt
from trainer.errors import ConfigError
from trainer.events import Sample
from trainer.lora.files import read_adapter
from trainer.machine.keras_backend import keras_hub, tracing

PROMPT_MULTIPLE = 16

Prompt = str | Sequence[Turn]


@dataclass(frozen=True, kw_only=True)
class SamplePlan:
    """What to answer, and how.

    prompts         user messages, or whole dialogues that end with one
    max_new_tokens  of each reply
    temperature     0: the likeliest token (greedy); above: drawn from the nucleus `top_p`
    top_p           mass of the nucleus, above 0 and at most 1
    seed            of the draws
    """

    prompts: tuple[Prompt, ...]
    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ConfigError("`prompts` must hold at least one prompt, but it is empty.")
        if self.max_new_tokens < 1:
            raise ConfigError(f"`max_new_tokens` must be at least 1, but got {self.max_new_tokens}.")
        if self.temperature < 0:
            raise ConfigError(f"`temperature` must be 0 (greedy) or above, but got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"`top_p` must be above 0 and at most 1, but got {self.top_p}.")


class Generator:
    """Generates with a base model and any adapter on `sites`; each prompt length (in 16s) compiles once."""

    def __init__(self, base: BaseModel, sites: tuple[lora.Site, ...]) -> None:
        self._base = base
        self._sites = sites
        self._run = jax.jit(self._generate, static_argnames=("temperature", "top_p"))

    def sample(self, adapter: Mapping[str, lora.Factors], scale: float, plan: SamplePlan) -> tuple[Sample, ...]:
        """Answer a plan's prompts together.

        Args:
            adapter: factors for every one of the generator's sites, of any one rank.
            scale: of the LoRA product.
            plan: prompts and sampling.
        """
        started = time.perf_counter()
        tokenizer = self._base.tokenizer
        encoded = [encode_prompt(tokenizer, _turns(prompt)) for prompt in plan.prompts]
        longest = max(map(len, encoded))
        length = -(-(longest + plan.max_new_tokens) // PROMPT_MULTIPLE) * PROMPT_MULTIPLE
        tokens = np.zeros((len(encoded), length), np.int32)
        for row, ids in enumerate(encoded):
            tokens[row, : len(ids)] = ids
        mask = np.arange(length) < np.array([[len(ids)] for ids in encoded])
        seed = np.array([plan.seed, 0], np.uint32)
        run = partial(self._run, temperature=plan.temperature, top_p=plan.top_p)
        written = np.asarray(run(self._base.weights, dict(adapter), jnp.float32(scale), tokens, mask, seed))
        seconds = (time.perf_counter() - started) / len(encoded)
        return tuple(
            self._sample(prompt, row[len(ids) : len(ids) + plan.max_new_tokens], seconds)
            for prompt, row, ids in zip(plan.prompts, written, encoded, strict=True)
        )

    def _generate(
        self,
        weights: list[Any],
        adapter: lora.Adapter,
        scale: Any,
        tokens: Any,
        mask: Any,
        seed: Any,
        *,
        temperature: float,
        top_p: float,
    ) -> Any:
        model = self._base.causal_lm
        if temperature == 0:
            model.sampler = keras_hub.samplers.GreedySampler()
        else:
            model.sampler = keras_hub.samplers.TopPSampler(p=top_p, temperature=temperature)
        variables = [*self._base.backbone.variables, *model.sampler.variables]
        values = [*weights, *(seed for _ in model.sampler.variables)]
        with tracing(variables, values), lora.applied(self._sites, lora.of_one(adapter, scale)):
            stops = (self._base.tokenizer.end_of_turn_id, self._base.tokenizer.eos_id)
            return model.generate_step({"token_ids": tokens, "padding_mask": mask}, stops)["token_ids"]

    def _sample(self, prompt: Prompt, row: np.ndarray[Any, Any], seconds: float) -> Sample:
        stops = (self._base.tokenizer.end_of_turn_id, self._base.tokenizer.eos_id)
        ends = np.flatnonzero(np.isin(row, stops))
        reply = row[: ends[0]] if len(ends) else row
        text = self._base.tokenizer.decode(reply.tolist()).strip()
        return Sample(prompt=_turns(prompt)[-1].text, reply=text, tokens=len(reply), seconds=seconds)


def generate(
    base: BaseModel,
    adapter: Mapping[str, bytes] | None,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int = 48,
    temperature: float = 0.0,
    top_p: float = 0.95,
    seed: int = 0,
) -> tuple[Sample, ...]:
    """Answer prompts with a base model and an adapter's files (`adapters.write_adapter`), or without an adapter.

    Raises:
        AdapterError: the adapter is damaged or was made for another base model.
        ConfigError: a sampling option is out of its range.
    """
    plan = SamplePlan(
        prompts=tuple(prompts), max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    if adapter is None:
        return Generator(base, ()).sample({}, 1.0, plan)
    sites = lora.find_sites(base.backbone)
    card, factors = read_adapter(adapter, sites, base.digest)
    return Generator(base, lora.select_sites(sites, card.targets)).sample(factors, 1.0, plan)


def _turns(prompt: Prompt) -> Sequence[Turn]:
    return [Turn("user", prompt)] if isinstance(prompt, str) else prompt
