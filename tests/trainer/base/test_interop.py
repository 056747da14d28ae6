"""Hugging Face folders of every shape give the logits that the plain NumPy forward pass gives.

`test_interop_torch.py` holds both to transformers.
"""

import numpy as np
import pytest

from tests.trainer.gemma2_folders import PLAIN, SHAPES, STORAGE, TOKEN_IDS, random_tensors, write_folder
from tests.trainer.gemma2_numpy import logits_of
from trainer.base.base import load_base
from trainer.dialogues.tokens import encode_prompt


def logits_of_trainer(folder):
    ids = TOKEN_IDS[None]
    base = load_base(str(folder))
    return np.asarray(base.causal_lm({"token_ids": ids, "padding_mask": np.ones_like(ids)}))[0]


@pytest.fixture
def check(tmp_path, proto):
    """Writes a folder and compares; `means` is what the configuration stands for where it is not complete."""

    def compare(config, *, means=None, dtype=np.float32, stored=dict, **options):
        tensors = random_tensors(means or config, dtype)
        write_folder(tmp_path, config, stored(tensors), proto, **options)
        expected = logits_of(means or config, tensors, TOKEN_IDS)
        np.testing.assert_allclose(logits_of_trainer(tmp_path), expected, atol=1e-4)

    return compare


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_gives_its_logits(check, name):
    check(PLAIN | SHAPES[name])


def test_shapes_that_should_differ_do(proto):
    """Otherwise the comparisons above would prove nothing: each change of PLAIN that keeps its tensors is seen."""
    tensors = random_tensors(PLAIN)
    plain = logits_of(PLAIN, tensors, TOKEN_IDS)
    for name, change in SHAPES.items():
        config = PLAIN | change
        if change and random_tensors(config).keys() == tensors.keys() and config["vocab_size"] == PLAIN["vocab_size"]:
            same = all(each.shape == tensors[key].shape for key, each in random_tensors(config).items())
            assert not same or np.abs(logits_of(config, tensors, TOKEN_IDS) - plain).max() > 0.01, name


def test_a_query_scale_need_not_be_whole(check):
    check(PLAIN | {"query_pre_attn_scalar": 20.5})


@pytest.mark.parametrize("dtype", STORAGE.values(), ids=STORAGE)
def test_weights_are_read_in_every_precision(check, dtype):
    check(PLAIN, dtype=dtype)


def test_shards_are_found_through_their_index(check):
    check(PLAIN, shards=3)


def test_one_whole_file_is_preferred_to_an_older_index(check, tmp_path, proto):
    """As transformers does: the whole file is what was saved last."""
    write_folder(tmp_path, PLAIN, {name: 0 * each for name, each in random_tensors(PLAIN).items()}, proto, shards=2)
    check(PLAIN)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 123.0},
        {"rope_theta": 123.0, "rope_scaling": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}, "rope_theta": 7.0},
        {"rope_scaling": {"type": "default"}, "rope_theta": 123.0},
    ],
    ids=["old", "old, no scaling", "both", "older"],
)
def test_the_rotary_base_is_found_wherever_transformers_kept_it(check, rope):
    config = {key: value for key, value in PLAIN.items() if key != "rope_parameters"}
    check(config | rope, means=config | {"rope_theta": 123.0})


def test_what_a_configuration_leaves_out_has_the_values_of_transformers(check):
    filled = {"query_pre_attn_scalar": 256, "sliding_window": 4096}
    filled |= {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6}
    left_out = {"architectures", "hidden_activation", "rope_parameters", "tie_word_embeddings", *filled}
    config = {key: value for key, value in PLAIN.items() if key not in left_out}
    check(config, means=config | filled | {"rope_theta": 10_000.0})


def test_a_backbone_saved_alone_is_read(check):
    check(PLAIN, stored=lambda tensors: {name.removeprefix("model."): each for name, each in tensors.items()})


def test_an_output_embedding_written_twice_is_read(check):
    check(PLAIN, stored=lambda tensors: tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].copy()})


def test_tensors_that_nobody_uses_are_left_alone(check):
    """Rotary frequencies, as old versions wrote them, and the head of a classifier."""
    unused = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4), "score.weight": np.ones((2, 32))}
    check(PLAIN, stored=lambda tensors: tensors | unused)


def test_a_pack_computes_with_what_the_folder_says(tmp_path, proto, token_set):
    """Scale, rotary base, epsilon, soft caps, windows and layer types all reach the compiled evaluation."""
    from trainer.pack.pack import Pack

    rope = {"rope_type": "default", "rope_theta": 123.0}
    config = PLAIN | {"query_pre_attn_scalar": 27, "rms_norm_eps": 0.3, "rope_parameters": rope, "sliding_window": 3}
    config |= SHAPES["full attention first"] | SHAPES["tight soft caps"]
    tensors = random_tensors(config)
    write_folder(tmp_path, config, tensors, proto)
    tokens = token_set(3)
    pack = Pack(load_base(str(tmp_path)), tokens, {"val": tokens}, slots=1, rank_capacity=2, targets="attention_qv")
    losses = []
    for example in tokens.examples:
        logits = logits_of(config, tensors, example.token_ids)[:-1]
        nll = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(logits)), example.token_ids[1:]]
        losses.extend(nll[example.loss_mask[1:]])
    assert pack.base_metrics["val_loss"] == pytest.approx(np.mean(losses), abs=1e-4)


def test_generation_with_a_cache_writes_what_the_whole_forward_pass_would(tmp_path, proto):
    """Greedy, beyond the window, over layers of both kinds."""
    from trainer.pack.generation import generate

    config = PLAIN | {"num_hidden_layers": 3, "sliding_window": 3, "query_pre_attn_scalar": 27, "rms_norm_eps": 0.3}
    tensors = random_tensors(config)
    write_folder(tmp_path, config, tensors, proto)
    base = load_base(str(tmp_path))
    (sample,) = generate(base, None, ["가나다"], max_new_tokens=8)
    from trainer.dialogues import Turn

    ids = encode_prompt(base.tokenizer, [Turn("user", "가나다")])
    stops = {base.tokenizer.eos_id, base.tokenizer.end_of_turn_id}
    written: list[int] = []
    while len(written) < 8 and not stops & set(written):
        written.append(int(logits_of(config, tensors, np.array(ids + written))[-1].argmax()))
    reply = [each for each in written if each not in stops]
    assert sample.reply == base.tokenizer.decode(reply).strip()
