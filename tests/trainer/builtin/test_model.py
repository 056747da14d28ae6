"""The shipped model is a pretrained Gemma 2 that KerasHub loads, and its script makes it."""

import functools
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.builtin.model_card import CARD
from trainer.builtin.pretrain import held_out_loss, pretrain
from trainer.builtin.vocabulary import VOCABULARY_SIZE, train_vocabulary

MODEL = Path(__file__).parents[3] / "trainer" / "base" / "builtin"
VOCABULARY = MODEL / "assets" / "tokenizer" / "vocabulary.spm"


def load(folder: Path, dtype: str) -> Any:
    from trainer.machine.keras_backend import keras_hub

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # KerasHub leaves the vocabulary's file to the collector
        return keras_hub.models.GemmaCausalLM.from_preset(str(folder), dtype=dtype)


@functools.cache
def loaded(dtype: str) -> Any:
    return load(MODEL, dtype)


def weights(model: Any) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return [np.asarray(variable.value, np.float32) for variable in model.backbone.trainable_variables]


def test_it_is_at_most_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) <= 8_000_000


def test_every_part_of_gemma_2_is_in_it() -> None:
    config = json.loads((MODEL / "config.json").read_text())["config"]
    assert config["use_post_ffw_norm"]
    assert config["use_post_attention_norm"]
    assert config["attention_logit_soft_cap"] == 50
    assert config["final_logit_soft_cap"] == 30
    assert config["use_sliding_window_attention"]
    assert config["sliding_window_size"] < 64, "short enough to matter in a dialogue"
    assert config["num_query_heads"] == 2 * config["num_key_value_heads"]
    assert config["num_layers"] >= 2, "one local, one global layer"
    assert config["vocabulary_size"] == VOCABULARY_SIZE
    assert loaded("float32").backbone.token_embedding.tie_weights


def test_both_types_hold_the_same_weights() -> None:
    """They are bfloat16 numbers, so loading in bfloat16 loses nothing."""
    for single, half in zip(weights(loaded("float32")), weights(loaded("bfloat16")), strict=True):
        np.testing.assert_array_equal(single, half)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_answers_an_everyday_question(dtype: str) -> None:
    """A path through tokenizer, preprocessor, cache and sampler of stock KerasHub."""
    model = loaded(dtype)
    model.compile(sampler="greedy")
    prompt = "<start_of_turn>user\n대한민국의 수도는 어디예요?<end_of_turn>\n<start_of_turn>model\n"
    reply = model.generate(prompt, max_length=48, strip_prompt=True, stop_token_ids=[1, 5])
    assert reply.startswith("서울이에요.")


def test_it_is_pretrained() -> None:
    """Its loss on everyday text it was not trained on is far below that of a guess, and is what its card says."""
    loss = held_out_loss(loaded("float32"), VOCABULARY.read_bytes())
    assert loss < 0.2 * math.log(VOCABULARY_SIZE)
    card = re.search(r"held-out everyday text \| ([\d.]+) \|", (MODEL / CARD).read_text(encoding="utf-8"))
    assert card
    assert loss == pytest.approx(float(card[1]), abs=2e-4)


def test_its_vocabulary_is_the_one_that_the_script_trains() -> None:
    assert VOCABULARY.read_bytes() == train_vocabulary()


@pytest.mark.slow
def test_twenty_steps_of_pretraining_lower_the_loss(tmp_path: Path) -> None:
    run = pretrain(tmp_path, steps=20, seed=1)
    assert run.held_out_loss < math.log(VOCABULARY_SIZE) - 1
    again = load(tmp_path, "float32")
    assert held_out_loss(again, VOCABULARY.read_bytes()) == pytest.approx(run.held_out_loss, rel=1e-5)
    assert "--steps 20 --seed 1" in (tmp_path / CARD).read_text(encoding="utf-8")
