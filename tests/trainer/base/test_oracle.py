"""A Hugging Face folder with Gemma's own vocabulary: what transformers computed, computed here."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from trainer.errors import BaseModelError

ORACLE = Path(__file__).parents[4] / "shared" / "oracle" / "gemma2_tiny"

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason="needs ../shared/oracle")


@pytest.fixture(scope="module")
def oracle():
    from trainer.base.base import load_base

    return load_base(str(ORACLE))


@pytest.fixture(scope="module")
def cases():
    return json.loads((ORACLE / "reference.json").read_text(encoding="utf-8"))["cases"]


def test_every_token_has_the_loss_that_transformers_gives(oracle, cases):
    """Per token within 1e-4, through the same functions that training and evaluation use."""
    import jax.numpy as jnp

    from trainer.pack.loss import token_scores

    length = max(len(case["token_ids"]) for case in cases)
    ids = np.array([case["token_ids"] + [0] * (length - len(case["token_ids"])) for case in cases])
    hidden = oracle.backbone({"token_ids": ids, "padding_mask": ids != 0})[:, :-1]
    embedding = oracle.backbone.token_embedding.embeddings.value
    flat = hidden.reshape(-1, hidden.shape[-1])
    nll = token_scores(flat, jnp.asarray(ids[:, 1:].ravel()), embedding, oracle.backbone.final_logit_soft_cap).nll
    for ours, case in zip(np.asarray(nll).reshape(len(cases), -1), cases, strict=True):
        np.testing.assert_allclose(ours[: len(case["nll_per_token"])], case["nll_per_token"], atol=1e-4)


def test_a_pack_scores_the_responses_as_transformers_does(oracle, cases):
    """Loss over response tokens of all cases together; also without whole logits, over buckets and padding."""
    from trainer.dialogues import Dialogue, DialogueSet, Turn
    from trainer.dialogues.tokens import tokenize
    from trainer.pack.pack import Pack

    dialogues = tuple(Dialogue((Turn("user", c["user"]), Turn("model", c["model"]))) for c in cases)
    tokens = tokenize(DialogueSet("val", dialogues, "0" * 64), oracle.tokenizer, loss_on="response", max_tokens=256)
    pack = Pack(oracle, tokens, {"val": tokens}, slots=2, rank_capacity=2, targets="attention_qv")
    expected = sum(c["response_nll_sum"] for c in cases) / sum(c["response_tokens"] for c in cases)
    assert pack.base_metrics["val_loss"] == pytest.approx(expected, abs=1e-4)


def test_greedy_replies_are_those_of_transformers(oracle, cases):
    from trainer.pack.generation import generate

    for case in cases[:3]:
        (sample,) = generate(oracle, None, [case["user"]], max_new_tokens=12)
        assert sample.reply == oracle.tokenizer.decode(case["greedy_12"]).strip()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "gemma3_text"}, "model_type"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_size": None}, "hidden_size"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "rope_type"),
    ],
)
def test_an_architecture_that_is_not_gemma_2_is_refused_with_its_key(tmp_path, change, words):
    from trainer.base.names import find_base

    config = json.loads((ORACLE / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    shutil.copy(ORACLE / "tokenizer.model", tmp_path)
    with pytest.raises(BaseModelError, match=words):
        find_base(str(tmp_path))


def test_a_folder_with_cut_off_weights_is_one_clear_error(tmp_path):
    from trainer.base.base import load_base

    for name in ("config.json", "tokenizer.model"):
        shutil.copy(ORACLE / name, tmp_path)
    (tmp_path / "model.safetensors").write_bytes((ORACLE / "model.safetensors").read_bytes()[:100_000])
    with pytest.raises(BaseModelError, match="could not be loaded"):
        load_base(str(tmp_path))
