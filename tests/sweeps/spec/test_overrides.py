"""`--set key.sub=value`: values as in YAML, short forms opened where a key leads into them."""

import pytest

from search_spaces import Choice, Float
from sweeps.errors import SpecError
from sweeps.spec import load_spec


def mistakes(*overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_spec("quickstart", overrides)
    return str(caught.value).splitlines()


def test_values_are_written_as_in_yaml():
    spec = load_spec(
        "quickstart",
        [
            "search.trials=4",
            "training.weight_decay=1e-3",
            "training.alpha=null",
            "promotion.automatic=false",
            "samples.prompts=[안녕, 'a: b']",
            "search.pruner={kind: median, warmup_trials: 2}",
            "compute.address=ray://head:10001",
        ],
    )
    assert spec.search.trials == 4
    assert (spec.training.config.weight_decay, spec.training.config.alpha) == (1e-3, None)
    assert spec.promotion.automatic is False
    assert spec.samples.prompts == ("안녕", "a: b")
    assert spec.search.pruner.warmup_trials == 2
    assert spec.compute.address == "ray://head:10001"


def test_the_last_of_two_wins():
    assert load_spec("quickstart", ["search.trials=4", "search.trials=5"]).search.trials == 5


def test_a_named_space_is_opened_where_a_key_leads_into_it():
    parameters = load_spec(
        "quickstart", ["search.space.learning_rate.high=1e-2", "search.space.rank.values=[2, 4]"]
    ).search.space.parameters
    assert parameters["learning_rate"] == Float(1e-3, 1e-2, log=True)
    assert parameters["rank"] == Choice([2, 4])


def test_a_new_parameter_joins_a_named_space():
    spec = load_spec("quickstart", ["search.space.dropout={type: choice, values: [0, 0.1]}"])
    assert set(spec.search.space.varied) == {"rank", "learning_rate", "epochs", "dropout"}


def test_sources_are_opened_where_a_key_leads_into_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = load_spec("quickstart", ["data.train=t.csv", "data.train.format=csv", "data.validation.chat=chat.jsonl"])
    assert (spec.data.train.source, spec.data.train.format) == (str(tmp_path / "t.csv"), "csv")
    assert list(spec.data.validation_sets) == ["val", "chat"]
    assert load_spec("quickstart", ["data.validation.format=aihub"]).data.validation["val"].format == "aihub"


def test_places_in_a_list_are_counted_from_zero():
    assert load_spec("quickstart", ["samples.prompts.0=안녕"]).samples.prompts[0] == "안녕"
    assert mistakes("samples.prompts.3=안녕") == ["samples.prompts.3: must be a place in a list of 3, counted from 0."]


@pytest.mark.parametrize("override", ["search.trials", "=3", "search..trials=3", ".=3", ""])
def test_an_override_has_a_key_and_a_value(override):
    assert mistakes(override) == [f"--set: must be written key.sub=value, but got {override!r}."]


def test_an_override_through_a_plain_value_is_told():
    assert mistakes("search.trials.x=3") == ["search.trials.x: cannot be set, because `search.trials` is 12."]


def test_an_override_that_is_no_yaml_names_itself():
    (line,) = mistakes("samples.prompts=[a")
    assert line.startswith("the value of --set samples.prompts, line 1, column ")


def test_overrides_and_what_they_break_are_told_together():
    lines = mistakes("search.trials", "search.trials=0", "serch.trials=4", "search.space.learning_rate.low=1")
    assert [line.partition(":")[0] for line in lines] == [
        "--set",
        "search.space.learning_rate.low",
        "search.trials",
        "serch",
    ]


def test_an_unknown_space_cannot_be_opened():
    assert mistakes("search.space=nothing", "search.space.rank=2")[0].startswith(
        "search.space: Unknown search space 'nothing'."
    )
