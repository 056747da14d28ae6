"""Gemma 2's attention keeps its soft cap on every device, whatever the base model was loaded from.

On a TPU KerasHub takes a fused path that forgets it inside `jit`. No TPU is needed to see that: KerasHub is told that
it runs on one, and the path gives other numbers here, too.
"""

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from tests.trainer.gemma2_folders import PLAIN, SHAPES, random_tensors, write_folder
from tests.trainer.gemma2_numpy import logits_of
from tests.trainer.small_pack import numbers_of, small_pack
from trainer.base.base import BaseModel, load_base
from trainer.base.tokenizer import Tokenizer
from trainer.machine.keras_backend import keras_hub

SOURCES = ("built-in model", "KerasHub preset", "Hugging Face folder")
KINDS = 2  # local and global layers: a step is traced once for each
CAP = re.compile(r"stablehlo\.tanh .* : tensor<(?:\d+x){5}f32>")  # attention logits alone have five axes


@pytest.fixture
def on_a_tpu(monkeypatch) -> Callable[[bool], None]:
    """Says what KerasHub believes from then on."""

    def believe(true: bool) -> None:
        monkeypatch.setattr("keras_hub.src.models.gemma.gemma_attention.running_on_tpu", lambda: true)

    return believe


@pytest.fixture(scope="module", params=SOURCES)
def source(request, tmp_path_factory, proto, new_causal_lm) -> str:
    """A base model's name, one for each way of loading."""
    folder = tmp_path_factory.mktemp("base")
    if request.param == "built-in model":
        return "builtin"
    if request.param == "KerasHub preset":
        new_causal_lm().save_to_preset(str(folder))
    else:
        config = PLAIN | SHAPES["tight soft caps"]
        write_folder(folder, config, random_tensors(config), proto)
    return str(folder)


def caps(program: Any, *arguments: Any, **static: Any) -> int:
    """Soft caps of attention in a program as it is lowered for a TPU."""
    return len(CAP.findall(program.trace(*arguments, **static).lower(lowering_platforms=("tpu",)).as_text()))


def caps_of_programs(base: BaseModel) -> dict[str, int]:
    """Soft caps in every compiled program that holds the base model."""
    pack = small_pack(base)
    arguments, sizes = pack._train_arguments(np.zeros((1, 2), np.int32), None, 0)
    weights, rows, state = arguments[:3]
    of_batch = {name: sizes[name] for name in ("length", "width")}
    ids = np.full((1, 16), 7, np.int32)
    generate, drawn = pack._generator._run, {"temperature": 0.0, "top_p": 0.9}
    adapter = {key: type(each)(each.a[0], each.b[0]) for key, each in state.adapter.items()}
    return {
        "training": caps(pack._programs.train, *arguments, **sizes),
        "evaluation": caps(
            pack._programs.evaluate, weights, rows, state, np.zeros(2, np.int32), np.zeros(1, np.int32), **of_batch
        ),
        "generation": caps(generate, weights, adapter, np.float32(1), ids, ids > 0, np.zeros(2, np.uint32), **drawn),
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras's, when it saves
def test_every_program_of_a_tpu_has_the_caps(source, on_a_tpu):
    found = []
    for true in (True, False):
        on_a_tpu(true)
        found.append(caps_of_programs(load_base(source)))
    assert found[0] == found[1]  # compilers may drop one whose result nobody needs, and trace a layer twice
    assert min(found[0].values()) >= KINDS


def test_stock_keras_hub_loses_them(on_a_tpu, new_causal_lm, proto, monkeypatch):
    """Otherwise the tests here would prove nothing; once KerasHub or Keras keeps them, the mend can go."""
    on_a_tpu(True)
    devices = jax.devices

    def of_a_tpu(*arguments: Any) -> list[Any]:
        """Keras's attention asks, too, and would refuse a cap elsewhere."""
        asking = sys._getframe(1).f_code.co_name
        attention = asking in ("dot_product_attention", "_can_use_flash_attention")
        return [SimpleNamespace(platform="tpu", device_kind="TPU")] if attention else devices(*arguments)

    monkeypatch.setattr(jax, "devices", of_a_tpu)
    causal_lm = new_causal_lm()
    stock = type(causal_lm.backbone).from_config(causal_lm.backbone.get_config())
    base = BaseModel(
        "stock", "float32", keras_hub.models.GemmaCausalLM(stock, causal_lm.preprocessor), Tokenizer(proto)
    )
    assert set(caps_of_programs(base).values()) == {0}


def test_the_path_of_a_tpu_gives_the_numbers_of_a_cpu(source, on_a_tpu):
    found = []
    for true in (True, False):
        on_a_tpu(true)
        found.append(numbers_of(load_base(source)))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["tight soft caps", "no soft caps"])
def test_the_path_of_a_tpu_computes_with_what_a_folder_says(tmp_path, proto, token_set, on_a_tpu, name):
    """Where there is no cap, the fused path may be taken."""
    on_a_tpu(True)
    config = PLAIN | SHAPES[name]
    tensors = random_tensors(config)
    write_folder(tmp_path, config, tensors, proto)
    nll = []
    for example in token_set(8, lengths=(9,)).examples:
        logits = logits_of(config, tensors, example.token_ids)[:-1]
        losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(logits)), example.token_ids[1:]]
        nll.extend(losses[example.loss_mask[1:]])
    assert small_pack(load_base(str(tmp_path))).base_metrics["val_loss"] == pytest.approx(np.mean(nll), abs=1e-4)
