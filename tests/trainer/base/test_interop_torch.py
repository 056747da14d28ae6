"""Checkpoints that transformers wrote give the logits that transformers computed.

Skipped where torch and transformers are not installed; `test_interop.py` says the same without them.
"""

import json

import numpy as np
import pytest

from tests.trainer.gemma2_folders import PLAIN, SHAPES, TOKEN_IDS
from tests.trainer.gemma2_numpy import logits_of

torch = pytest.importorskip("torch", reason="compares with transformers: pip install torch transformers")
transformers = pytest.importorskip("transformers", reason="compares with transformers: pip install torch transformers")

pytestmark = pytest.mark.interop


def make(shape, dtype="float32"):
    """A random Gemma 2 of transformers with norms, soft caps and epsilon that matter."""
    config = transformers.Gemma2Config(**{k: v for k, v in (PLAIN | shape).items() if k != "architectures"})
    model = transformers.Gemma2ForCausalLM._from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.empty_like(parameter).normal_(0, 0.4, generator=generator))
    return model.to(getattr(torch, dtype)).eval()


def save(model, folder, proto, **options):
    model.save_pretrained(folder, **options)
    (folder / "tokenizer.model").write_bytes(proto)


def logits_of_transformers(model):
    with torch.no_grad():
        return model(torch.tensor(TOKEN_IDS[None])).logits[0].numpy()


def logits_of_trainer(folder):
    from trainer.base.base import load_base

    ids = TOKEN_IDS[None]
    base = load_base(str(folder))
    return np.asarray(base.causal_lm({"token_ids": ids, "padding_mask": np.ones_like(ids)}))[0]


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_gives_the_logits_of_transformers(tmp_path, proto, name):
    model = make(SHAPES[name])
    save(model, tmp_path, proto)
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_the_plain_reference_is_that_of_transformers(name):
    model = make(SHAPES[name])
    tensors = {key: value.numpy() for key, value in model.state_dict().items()}
    ours = logits_of(model.config.to_dict(), tensors, TOKEN_IDS)
    np.testing.assert_allclose(ours, logits_of_transformers(model), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_stored_in_half_precision_are_computed_with_in_float32(tmp_path, proto, dtype):
    save(make({}, dtype), tmp_path, proto)
    model = transformers.Gemma2ForCausalLM.from_pretrained(tmp_path, dtype="float32", attn_implementation="eager")
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)


def test_weights_stored_in_float32_are_rounded_to_bfloat16_as_transformers_rounds_them(tmp_path, proto):
    from trainer.base.base import load_base

    save(make({}), tmp_path, proto)
    model = transformers.Gemma2ForCausalLM.from_pretrained(tmp_path, dtype="bfloat16")
    backbone = load_base(str(tmp_path), dtype="bfloat16").backbone
    ours = np.asarray(backbone.transformer_layers[1].ffw_linear.kernel.value, np.float32)
    np.testing.assert_array_equal(ours.T, model.model.layers[1].mlp.down_proj.weight.detach().float().numpy())


def test_weights_in_many_files_are_found_through_their_index(tmp_path, proto):
    model = make({})
    save(model, tmp_path, proto, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)


def test_a_rotary_base_is_read_from_where_older_versions_of_transformers_wrote_it(tmp_path, proto):
    model = make({"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}})
    save(model, tmp_path, proto)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_theta": 123.0, "rope_scaling": None}))
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)


def test_a_backbone_saved_alone_has_the_same_weights_under_shorter_names(tmp_path, proto):
    model = make({})
    save(model.model, tmp_path, proto)
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)


def test_keys_that_a_configuration_leaves_out_have_the_values_of_transformers(tmp_path, proto):
    """Soft caps 50 and 30, epsilon 1e-6, query scale 256, window 4096."""
    model = make({"query_pre_attn_scalar": 256, "sliding_window": 4096})
    save(model, tmp_path, proto)
    config = json.loads((tmp_path / "config.json").read_text())
    left_out = ("attn_logit_softcapping", "final_logit_softcapping", "rms_norm_eps", "query_pre_attn_scalar")
    for key in (*left_out, "sliding_window", "layer_types", "rope_parameters", "hidden_activation", "architectures"):
        del config[key]
    (tmp_path / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(logits_of_trainer(tmp_path), logits_of_transformers(model), atol=1e-4)
