"""Shapes that are known before a base model is loaded agree with the loaded one."""

import pytest

from trainer import lora
from trainer.base.shapes import BaseShape, check_rank, read_shape, shape_of
from trainer.config import TrialConfig
from trainer.errors import BaseModelError, ConfigError

TWO_B = "gemma2_instruct_2b_en"


def test_the_tiny_models_kernels_are_those_of_its_layers(base):
    shape = BaseShape(layers=2, hidden_dim=32, ffn_dim=48, heads=4, kv_heads=2, head_dim=8, vocabulary_size=320)
    assert shape_of(base.backbone) == shape
    sites = lora.find_sites(base.backbone)
    assert {site.target: site.kernel_shape for site in sites} == shape.kernels("all_linear")
    assert shape.parameters == base.backbone.count_params()
    factors = lora.first_values(sites, 5, 0)
    values = sum(each.a.size + each.b.size for each in factors.values())
    assert shape.adapter_parameters("all_linear", 5) == values


def test_two_b_has_its_published_size():
    """2,614,341,888 parameters: Gemma Team 2024, arXiv 2408.00118, table 2 (embedding and rest together)."""
    assert read_shape(TWO_B).parameters == 2_614_341_888


def test_a_rank_above_the_smallest_matrix_is_refused_by_name():
    kernels = read_shape(TWO_B).kernels("attention_qv")
    check_rank(kernels, 256)
    with pytest.raises(ConfigError, match=r"at most 256, the size of `query`.*got 257"):
        check_rank(kernels, 257)


def test_an_unknown_base_model_gets_the_choices():
    with pytest.raises(BaseModelError, match="gemma2_2b_en"):
        read_shape("gemma2_3b_en")


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank", 0), ("rank", True), ("learning_rate", float("nan")), ("learning_rate", 10**400), ("dropout", 1.0),
     ("targets", "everything"), ("schedule", None), ("seed", -1), ("epochs", 1.5)],
)  # fmt: skip
def test_an_impossible_hyperparameter_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"`{name}` must be"):
        TrialConfig(**{name: value})
