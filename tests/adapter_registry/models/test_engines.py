"""What answers for an adapter: the real base model with it applied, and the stand-in."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from adapter_registry.errors import AdapterFilesError, RegistryError
from adapter_registry.models.engines import base_of, load_engine
from adapter_registry.models.prompts import conversations

GREEDY = {"max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0, "seed": 0}


@pytest.mark.slow
def test_the_base_model_answers_with_the_adapter_as_the_trainer_does() -> None:
    """Same replies as `generate`, with an adapter so strong that no reply is the base model's."""
    from trainer import lora
    from trainer.base.base import load_base
    from trainer.config import TrialConfig
    from trainer.lora.files import write_adapter
    from trainer.pack.generation import generate

    base, config = load_base("builtin"), TrialConfig(rank=2)
    sites = lora.select_sites(lora.find_sites(base.backbone), config.targets)
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    factors = {site.key: lora.Factors(draw(site.a_shape(2)), draw(site.b_shape(2))) for site in sites}
    files = write_adapter(factors, sites, config, base.name, (base.digest, base.dtype))
    prompts = ["요즘 잠을 못 자요", "안녕"]
    replies = load_engine("gemma", files)(conversations("prompt", prompts), **GREEDY)
    assert replies == [sample.reply for sample in generate(base, files, prompts, max_new_tokens=8)]


def test_the_stand_in_repeats_the_last_turn(make_adapter_files: Callable[..., dict[str, bytes]]) -> None:
    engine = load_engine("echo", make_adapter_files("x"))
    assert engine(conversations("prompt", ["안녕하세요 여러분"]), **GREEDY) == ["builtin: 안녕하세요 여러"]


def test_an_unknown_engine_names_the_choices(make_adapter_files: Callable[..., dict[str, bytes]]) -> None:
    with pytest.raises(RegistryError, match="gemma, echo"):
        load_engine("os.system", make_adapter_files("x"))


@pytest.mark.parametrize("card", [None, b"not json", b"[]", json.dumps({"base_name": "x"}).encode()])
def test_an_adapter_that_does_not_name_its_base_is_refused(card: bytes | None) -> None:
    with pytest.raises(AdapterFilesError, match=r"adapter\.json must name"):
        base_of({} if card is None else {"adapter.json": card})
