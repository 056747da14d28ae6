"""SweepSpec: what a sound spec means, and that it is kept whole."""

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

import sweeps.spec
from search_spaces import Choice, SearchSpace, SearchSpaceError, load_space
from sweeps.errors import SpecError
from sweeps.settings import BudgetSettings, ComputeSettings, PrunerSettings, SearchSettings
from sweeps.spec import SweepSpec, example_names, file_mistakes, load_spec, metric_names, parse_spec, read_spec
from trainer.config import TrialConfig


def spec(**sections: Any) -> SweepSpec:
    """Return a small spec with some of its sections replaced."""
    data = {"train": "builtin:train", "validation": "builtin:validation"}
    return parse_spec(
        {"name": "x", "base": {"model": "builtin"}, "data": data, "search": {"space": "quickstart"}, **sections}
    )


def test_a_budget_and_the_time_between_checkpoints_reach_the_driver() -> None:
    limited = load_spec("quickstart", ["budget.max_hours=2", "budget.max_trials=5", "compute.checkpoint_minutes=0.5"])
    assert limited.budget.settings() == BudgetSettings(max_hours=2.0, max_trials=5)
    assert limited.compute.settings(slots=1).checkpoint_s == 30.0
    assert read_spec(limited.to_yaml()) == limited
    with pytest.raises(SpecError, match=r"budget.max_hours: must be greater than 0, but got -1"):
        load_spec("quickstart", ["budget.max_hours=-1"])


def test_defaults_are_the_documented_ones():
    small = spec()
    assert (small.search.trials, small.search.sampler, small.search.metric) == (12, "tpe", "val_loss")
    assert (small.data.loss_on, small.data.max_tokens, small.base.dtype) == ("response", 256, "float32")
    assert (small.compute.accelerator, small.compute.slots, small.compute.max_failures) == ("auto", "auto", 2)
    assert (small.promotion.model, small.promotion.automatic, small.experiment) == ("x", True, "gemma-sweeps")
    assert small.training.config == TrialConfig()


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError):
        spec().name = "y"
    with pytest.raises(ValidationError):
        spec().search.trials = 3


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_sound_and_round_trips(name):
    example = load_spec(name)
    assert read_spec(example.to_yaml()) == example
    assert pickle.loads(pickle.dumps(example)) == example
    assert parse_spec(example.to_mapping()) == example


def test_the_quickstart_needs_no_files():
    assert file_mistakes(load_spec("quickstart")) == []
    assert load_spec("quickstart").search.trials == 12


def test_the_korean_example_begins_with_the_settings_of_the_notebook():
    example = load_spec("gemma2_2b_korean")
    first = example.trial_config(example.search.enqueue[0])
    assert first == TrialConfig(rank=2, learning_rate=1e-4, weight_decay=0.01, batch_size=1, epochs=2)
    assert first.lora_scale == 1
    assert (example.base.model, example.base.dtype, example.data.max_tokens) == (
        "gemma2_instruct_2b_en",
        "bfloat16",
        256,
    )


def test_the_whole_spec_is_written_defaults_and_all():
    written = spec().to_mapping()
    assert written["search"]["space"] == load_space("quickstart").to_mapping()
    assert written["training"]["clip_norm"] is None
    assert not set(written["training"]) & {"rank", "learning_rate", "epochs"}
    assert list(written) == list(SweepSpec.model_fields)


def test_a_spec_that_python_builds_takes_a_space():
    space = SearchSpace({"rank": Choice([2, 4])})
    assert spec(search={"space": space}).search.space == space


def test_a_trials_configuration_is_the_constants_and_the_parameters():
    space = {
        "rank": {"type": "choice", "values": [4, 8]},
        "scaling": {"type": "choice", "values": ["unit", "over_rank"]},
        "alpha": {"type": "choice", "values": [16], "when": {"scaling": "over_rank"}},
        "dropout": 0.1,
    }
    small = spec(search={"space": space}, training={"batch_size": 4, "learning_rate": "2e-4"})
    assert small.helpers == {"scaling"}
    common = {"rank": 8, "dropout": 0.1, "batch_size": 4, "learning_rate": 2e-4}
    assert small.trial_config({"rank": 8, "scaling": "unit"}) == TrialConfig(**common)
    assert small.trial_config({"rank": 8, "scaling": "over_rank", "alpha": 16}) == TrialConfig(**common, alpha=16)
    with pytest.raises(SearchSpaceError, match="rank: must be one of 4, 8, but got 3"):
        small.trial_config({"rank": 3, "scaling": "unit"})


def test_extremes_bound_what_a_field_can_be():
    small = load_spec("gemma2_2b_korean")
    assert max(small.extremes("rank")) == 64
    assert small.extremes("epochs") == (1, 3)
    assert small.extremes("batch_size") == (1,)
    assert small.extremes("alpha") == (16, 32, 64, None)


def test_the_first_validation_set_is_val_in_metrics_whatever_its_name():
    data = {"train": "a.json", "validation": {"korean": "b.json", "chat": {"source": "c.csv", "format": "csv"}}}
    small = spec(data=data, search={"space": "quickstart", "metric": "val_chat_accuracy"})
    assert list(small.data.validation_sets) == ["val", "chat"]
    assert small.data.validation_sets["chat"].format == "csv"
    assert small.search.direction == "maximize"
    assert small.metrics == (
        *("val_loss", "val_perplexity", "val_accuracy", "val_bits_per_byte"),
        *("val_chat_loss", "val_chat_perplexity", "val_chat_accuracy", "val_chat_bits_per_byte"),
    )


def test_metric_names_are_those_that_the_trainer_reports():
    from trainer.pack.evaluation import metric_name

    assert metric_names(["val", "chat"])[0] == metric_name("val", "loss")
    assert metric_names(["val", "chat"])[-1] == metric_name("chat", "bits_per_byte")


def test_only_accuracies_are_to_be_high():
    assert {m: sweeps.spec.direction_of(m) for m in metric_names(["val"])} == {
        "val_loss": "minimize",
        "val_perplexity": "minimize",
        "val_accuracy": "maximize",
        "val_bits_per_byte": "minimize",
    }


def test_a_single_source_may_be_a_mapping():
    source = {"source": "b.csv", "format": "csv", "prompt_column": "Q", "response_column": "A"}
    small = spec(data={"train": source, "validation": source})
    assert small.data.validation_sets["val"] == small.data.train


def test_roles_of_a_source_are_kept():
    source = {"source": "b.jsonl", "roles": {"client": "user", "상담사": "model"}}
    small = spec(data={"train": source, "validation": "c.jsonl"})
    assert small.data.train.roles == {"client": "user", "상담사": "model"}
    assert small.to_mapping()["data"]["train"]["roles"] == source["roles"]
    assert parse_spec(small.to_mapping()) == small


def test_an_empty_section_is_an_absent_one():
    assert spec(training=None, compute=None) == spec()


def test_enqueued_parameters_are_kept_as_the_space_writes_them():
    search = {"space": "quickstart", "enqueue": [{"rank": 2.0, "learning_rate": "1e-3"}, {"epochs": 1}]}
    assert spec(search=search).search.enqueue == ({"rank": 2, "learning_rate": 1e-3}, {"epochs": 1})


def test_only_keys_of_the_pruners_kind_are_written():
    pruners = [{"kind": "none"}, {"kind": "median", "warmup_trials": 2}, {"reduction_factor": 2}]
    written = [spec(search={"space": "quickstart", "pruner": p}).to_mapping()["search"]["pruner"] for p in pruners]
    assert written == [
        {"kind": "none"},
        {"kind": "median", "min_evaluations": 1, "warmup_trials": 2, "enqueued": False},
        {"kind": "successive_halving", "min_evaluations": 1, "reduction_factor": 2, "enqueued": False},
    ]


def test_sections_become_the_settings_that_the_ledger_and_the_workers_take():
    small = spec(search={"space": "quickstart", "pruner": {"kind": "median"}, "seed": 3}, compute={"workers": 2})
    assert small.search.settings() == SearchSettings(seed=3, pruner=PrunerSettings(kind="median"))
    assert small.compute.settings(slots=8) == ComputeSettings(workers=2, slots=8)


def test_everything_public_is_there():
    assert all(hasattr(sweeps.spec, name) for name in sweeps.spec.__all__)


def test_importing_a_spec_imports_nothing_heavy():
    import subprocess
    import sys

    heavy = "{'jax', 'keras', 'mlflow', 'ray', 'optuna', 'pandas', 'tensorflow', 'torch'}"
    code = f"import sys; from sweeps import home, spec; spec.load_spec('quickstart'); print({heavy} & set(sys.modules))"
    path = {"PYTHONPATH": ".:mlflow", "PATH": ""}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, check=True)
    assert found.stdout.strip() == "set()"
