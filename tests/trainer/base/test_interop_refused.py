"""A Hugging Face folder that cannot be computed with, or is not whole, is one clear sentence and never wrong logits."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.trainer.gemma2_folders import FULL, PLAIN, SLIDING, random_tensors, write_folder
from trainer.base.base import load_base
from trainer.base.names import find_base
from trainer.base.shapes import read_shape
from trainer.errors import BaseModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def refused(tmp_path, proto):
    """Writes a folder, damages it, and gives the one message that checking and loading it raise."""

    def message(change=None, *, tensors=None, damage=lambda folder: None, **options):
        write_folder(tmp_path, PLAIN | (change or {}), random_tensors(PLAIN) | (tensors or {}), proto, **options)
        damage(tmp_path)
        with pytest.raises(BaseModelError) as loading:
            load_base(str(tmp_path))
        text = str(loading.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    return message


@pytest.mark.parametrize("model_type", ["gemma", "gemma3_text", "llama", None])
def test_another_architecture_is_refused_by_its_type(refused, model_type):
    spelled = "null" if model_type is None else repr(model_type)
    assert "`model_type` in" in (text := refused({"model_type": model_type}))
    assert text.endswith(f"must be 'gemma2' (Gemma 2), but got {spelled}.")


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("hidden_activation", "silu", "'gelu_pytorch_tanh'"),
        ("tie_word_embeddings", False, "true"),
        ("attention_bias", True, "false"),
        ("use_bidirectional_attention", True, "null or false"),
        ("quantization_config", {"load_in_4bit": True}, "null"),
        ("vocab_size", 0, "a positive integer"),
        ("num_hidden_layers", 2.5, "a positive integer"),
        ("hidden_size", None, "a positive integer"),
        ("intermediate_size", "48", "a positive integer"),
        ("sliding_window", None, "a positive integer"),
        ("sliding_window", True, "a positive integer"),
        ("query_pre_attn_scalar", 0, "a positive number"),
        ("rms_norm_eps", float("nan"), "a positive number"),
        ("rope_parameters", {"rope_theta": -1.0}, "a positive number"),
        ("attn_logit_softcapping", 0.0, "a positive number, or null for none"),
        ("final_logit_softcapping", float("inf"), "a positive number, or null for none"),
        ("num_attention_heads", 3, "a multiple of `num_key_value_heads` (2)"),
        ("head_dim", 7, "even"),
        ("layer_types", [FULL], "a list of 2 (`num_hidden_layers`) times 'sliding_attention' or 'full_attention'"),
        ("layer_types", [SLIDING, "chunked_attention"], "a list of 2"),
        ("layer_types", "full_attention", "a list of 2"),
        ("rope_parameters", {"rope_type": "dynamic", "factor": 2.0}, "'default'"),
        ("rope_parameters", {FULL: {"rope_theta": 5.0}, SLIDING: {"rope_theta": 7.0}}, "one object"),
        ("rope_scaling", {"type": "linear", "factor": 2.0}, "'default'"),
    ],
)
def test_a_value_that_cannot_be_computed_with_is_refused_by_its_key(refused, key, value, rule):
    text = refused({key: value})
    assert f"must be {rule}" in text
    named = {"rope_parameters": "rope_", "rope_scaling": "rope_"}.get(key, f"`{key}`")
    assert named in text
    assert "but got" in text


def test_a_configuration_that_is_missing_is_told(refused):
    assert "has no config.json" in refused(damage=lambda folder: (folder / "config.json").unlink())


@pytest.mark.parametrize("content", ['{"model_type": "gem', "[]", "\x00"])
def test_a_configuration_that_is_cut_off_is_told(refused, content):
    text = refused(damage=lambda folder: (folder / "config.json").write_text(content))
    assert "config.json' must" in text
    assert "JSON" in text


@pytest.mark.parametrize("other", [(), ("tokenizer.json",)], ids=["nothing else", "tokenizer.json"])
def test_a_tokenizer_that_is_missing_is_told_with_where_to_get_it(refused, tmp_path, other):
    def damage(folder):
        (folder / "tokenizer.model").unlink()
        for name in other:
            (folder / name).write_text("{}")

    text = refused(damage=damage)
    assert "has no tokenizer.model" in text
    assert "tokenizer.json does not replace it" in text
    assert f"`hf download google/gemma-2-2b-it tokenizer.model --local-dir {tmp_path}`" in text


def write_peft(folder, noted="google/gemma-2-2b-it"):
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": noted}))
    (folder / "adapter_model.safetensors").write_bytes(b"")


def test_an_adapter_beside_a_base_model_is_told_and_not_left_out(refused):
    """Transformers would apply it: the bare base model is not what the folder is."""
    text = refused(damage=write_peft)
    assert "must hold a base model alone, but holds an adapter as well (adapter_config.json)" in text
    assert "`merge_and_unload`" in text
    assert "take the adapter's files out of the folder" in text


def test_weights_of_an_adapter_alone_beside_a_base_model_are_told(refused):
    text = refused(damage=lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""))
    assert "an adapter as well (adapter_model.safetensors)" in text


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras's, when it saves
def test_an_adapter_beside_a_keras_hub_preset_is_told(tmp_path, new_causal_lm):
    new_causal_lm().save_to_preset(str(tmp_path))
    assert find_base(str(tmp_path)) == (str(tmp_path), {})
    write_peft(tmp_path)
    with pytest.raises(BaseModelError, match="an adapter as well"):
        find_base(str(tmp_path))


@pytest.mark.parametrize(
    ("noted", "named"), [("google/gemma-2-2b-it", "trained on ('google/gemma-2-2b-it'), or"), (None, "trained on, or")]
)
def test_an_adapter_alone_is_told_with_its_base_model(tmp_path, noted, named):
    write_peft(tmp_path, noted)
    with pytest.raises(BaseModelError) as told:
        find_base(str(tmp_path))
    assert "holds an adapter alone (adapter_config.json). Give the base model that it was " + named in str(told.value)


def test_an_adapter_of_keras_hub_alone_is_told(tmp_path):
    (tmp_path / "adapter.lora.h5").write_bytes(b"")
    with pytest.raises(BaseModelError, match=r"holds an adapter alone \(adapter\.lora\.h5\)"):
        find_base(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 100])
def test_a_tokenizer_that_is_damaged_is_told(refused, content):
    text = refused(damage=lambda folder: (folder / "tokenizer.model").write_bytes(content))
    assert "SentencePiece" in text


def test_weights_that_are_missing_are_told(refused):
    assert f"neither {WEIGHTS} nor {INDEX}" in refused(damage=lambda folder: (folder / WEIGHTS).unlink())


def test_pickled_weights_are_refused_with_the_way_out(refused):
    text = refused(damage=lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"))
    assert "must be safetensors, but got pytorch_model.bin" in text
    assert "save_pretrained" in text


@pytest.mark.parametrize("size", [0, 5, 200, 10_000])
def test_weights_that_are_cut_off_are_told(refused, size):
    text = refused(damage=lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:size]))
    assert f"{WEIGHTS} is cut off or not safetensors" in text


def test_a_pointer_instead_of_weights_is_told(refused):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    assert "Git LFS" in refused(damage=lambda folder: (folder / WEIGHTS).write_text(pointer))


def test_a_missing_shard_is_told_by_name(refused):
    shard = "model-00002-of-00003.safetensors"
    assert f"{shard} is missing" in refused(shards=3, damage=lambda folder: (folder / shard).unlink())


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": ["a"]}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_is_told(refused, content):
    text = refused(shards=3, damage=lambda folder: (folder / INDEX).write_text(content))
    assert "must be a JSON object with a `weight_map`" in text


def rewrite(names):
    """Damage: the same weights under other names; None leaves one out."""

    def damage(folder):
        tensors = {names(name): each for name, each in random_tensors(PLAIN).items()}
        save_file({name: each for name, each in tensors.items() if name}, folder / WEIGHTS)

    return damage


def without_norms_around_the_ffn(name):
    return None if "feedforward_layernorm" in name else name


def test_a_gemma_1_that_claims_to_be_gemma_2_is_told_for_what_it_is(refused):
    text = refused(damage=rewrite(without_norms_around_the_ffn))
    assert "those of Gemma 1 (no layer has a `pre_feedforward_layernorm`), though its config.json says gemma2" in text
    assert "Download" not in text


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("model.layers.0.self_attn.q_norm.weight", "Gemma 3"),
        ("vision_tower.embeddings.weight", "a model of images and text"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "a PEFT adapter"),
    ],
)
def test_weights_of_another_model_are_told_for_what_they_are(refused, written, named):
    assert f"they are those of {named}" in refused(tensors={written: np.zeros(8, np.float32)})


def test_one_missing_norm_is_a_damaged_download(refused):
    missing = "model.layers.1.pre_feedforward_layernorm.weight"
    text = refused(damage=rewrite(lambda name: None if name == missing else name))
    assert f"the tensor `{missing}` is missing. Download or save the folder again" in text


def test_a_tensor_of_another_shape_is_told_with_both(refused):
    text = refused(tensors={Q: np.zeros((16, 32), np.float32)})
    assert f"`{Q}` must have shape (32, 32) by its config.json, but has (16, 32)" in text


def test_a_tensor_with_as_many_values_in_another_shape_is_told(refused):
    """A transposed matrix has as many values as the right one."""
    name = "model.layers.0.mlp.up_proj.weight"
    assert "must have shape (48, 32)" in refused(tensors={name: np.zeros((32, 48), np.float32)})


def test_a_configuration_with_more_layers_than_the_weights_is_told(refused):
    assert "tensor `model.layers.2." in refused({"num_hidden_layers": 3})


def test_a_configuration_with_fewer_layers_than_the_weights_is_told(refused):
    assert "`model.layers.1." in refused({"num_hidden_layers": 1})


def test_tensors_that_gemma_2_has_not_are_told(refused):
    bias = Q.replace("weight", "bias")
    assert f"`{bias}` is not a tensor of a Gemma 2" in refused(tensors={bias: np.zeros(32, np.float32)})


def test_quantised_weights_are_told(refused):
    assert "is I8" in refused(tensors={Q: np.zeros((32, 32), np.int8)})


def test_an_output_embedding_of_its_own_is_refused(refused):
    text = refused(tensors={"lm_head.weight": np.zeros((320, 32), np.float32)})
    assert "`lm_head.weight` must be left out or equal" in text


def test_an_embedding_smaller_than_the_tokenizer_is_refused(refused):
    small = {"model.embed_tokens.weight": np.zeros((64, 32), np.float32)}
    assert "embedding only 64 rows" in refused({"vocab_size": 64}, tensors=small)


def test_damage_is_told_before_anything_is_loaded(tmp_path, proto):
    write_folder(tmp_path, PLAIN, random_tensors(PLAIN), proto)
    assert find_base(str(tmp_path))[1]["rope_theta"] == PLAIN["rope_parameters"]["rope_theta"]
    assert read_shape(str(tmp_path)).head_dim == PLAIN["head_dim"]
    (tmp_path / WEIGHTS).unlink()
    for look in (find_base, read_shape):
        with pytest.raises(BaseModelError, match=WEIGHTS):
            look(str(tmp_path))


def test_a_model_of_the_hub_is_read_as_a_folder(tmp_path, proto, monkeypatch):
    """With the same mends and the same refusals; its download is asked for by patterns."""
    import huggingface_hub

    write_folder(tmp_path, PLAIN | {"rms_norm_eps": 0.3}, random_tensors(PLAIN), proto)
    asked = {}

    def snapshot_download(name, **options):
        asked.update(name=name, **options)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    base = load_base("hf://somebody/gemma")
    assert (base.name, asked["name"]) == ("hf://somebody/gemma", "somebody/gemma")
    assert base.backbone.transformer_layers[0].pre_ffw_norm.epsilon == 0.3
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma"}))
    with pytest.raises(BaseModelError, match="model_type"):
        load_base("hf://somebody/gemma")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras's, when it saves
def test_a_keras_hub_model_without_a_vocabulary_is_told(tmp_path, new_causal_lm, monkeypatch):
    causal_lm = new_causal_lm()
    causal_lm.preprocessor = None
    causal_lm.save_to_preset(str(tmp_path))
    with pytest.raises(BaseModelError, match=r"no vocabulary .*Save the model together with its preprocessor"):
        find_base(str(tmp_path))
    monkeypatch.setattr(
        "trainer.base.base.find_base", lambda name: (str(tmp_path), {})
    )  # as KerasHub would download it
    with pytest.raises(BaseModelError, match=r"'kaggle://somebody/gemma' has no vocabulary"):
        load_base("kaggle://somebody/gemma")
