"""Names and values as MLflow takes them."""

import pytest

from adapter_registry.names import clipped, entity_key, param_text, quoted, short_value, trial_run_name


def test_a_run_name_shows_number_rank_rate_and_epochs() -> None:
    params = {"rank": 8, "learning_rate": 1.2e-3, "epochs": 2, "seed": 7}
    assert trial_run_name(3, params, ("rank", "learning_rate", "epochs")) == "trial-03 r=8 lr=1.2e-3 ep=2"


def test_a_parameter_without_a_short_form_keeps_its_name() -> None:
    assert trial_run_name(120, {"targets": "all_linear"}, ("targets", "rank")) == "trial-120 targets=all_linear"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2e-3, "1.2e-3"), (12345.0, "1.2e+4"), (0.05, "0.05"), (0.0, "0"), (True, "True"), (None, "None")],
)
def test_values_are_short(value: object, text: str) -> None:
    assert short_value(value) == text


@pytest.mark.parametrize("name", ["val_loss", "system/worker-0/cpu", "val_감정_loss", "a b.c-d"])
def test_a_name_that_mlflow_takes_is_unchanged(name: str) -> None:
    assert entity_key(name) == name


@pytest.mark.parametrize("name", ["val_a?_loss", "val_a!_loss", "a//b", "../x", "/x", "", ".", "x" * 300])
def test_a_name_that_mlflow_refuses_is_changed_to_one_it_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(entity_key(name))
    assert len(entity_key(name)) <= 250


def test_two_names_never_become_one() -> None:
    """Both lose their forbidden character, but not what tells them apart."""
    assert entity_key("val_a?_loss") != entity_key("val_a!_loss")


def test_a_long_parameter_says_how_long_it_was() -> None:
    text = param_text("가" * 7000)
    assert len(text) == 6000
    assert text.endswith("… (7000 characters)")


def test_none_is_null_as_in_yaml() -> None:
    assert param_text(None) == "null"


def test_a_text_within_the_limit_is_unchanged() -> None:
    assert clipped("x" * 10, 10) == "x" * 10


def test_a_quoted_name_uses_the_other_mark() -> None:
    assert (quoted("a"), quoted("it's")) == ("'a'", '"it\'s"')


def test_a_name_with_both_marks_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        quoted("'\"")
