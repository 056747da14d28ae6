"""Every mistake in a spec is one sentence with its key, the value and the choices; all of them together."""

from typing import Any

import pytest

from sweeps.errors import SpecError
from sweeps.spec import file_mistakes, load_spec, parse_spec, read_spec

SMALL: dict[str, Any] = {
    "name": "x",
    "base": {"model": "builtin"},
    "data": {"train": "builtin:train", "validation": "builtin:validation"},
    "search": {"space": "quickstart"},
}


def mistakes(**sections: Any) -> list[str]:
    """Return the lines that a small spec with these sections replaced, or merged, is refused with."""
    merged = dict(SMALL)
    for section, value in sections.items():
        both = isinstance(value, dict) and isinstance(SMALL.get(section), dict)
        merged[section] = {**SMALL[section], **value} if both else value
    with pytest.raises(SpecError) as caught:
        parse_spec(merged)
    return str(caught.value).splitlines()


def test_all_mistakes_are_told_at_once():
    lines = mistakes(
        nmae="y",
        base={"dtype": "float16"},
        data={"train": "builtin:trian", "max_tokens": 0},
        search={"trials": 0, "sampler": "gird", "metric": "val_los"},
        training={"batch_size": 0, "learnin_rate": 1},
        compute={"slots": 0},
        promotion={"automatic": "yes"},
    )
    assert lines == [
        "base.dtype: must be one of float32, bfloat16, but got 'float16'. Did you mean `bfloat16`?",
        "data.train.source: must be the path of a file, an address, or one of builtin:train, builtin:validation, "
        "builtin:test, but got 'builtin:trian'. Did you mean `builtin:train`?",
        "data.max_tokens: must be at least 8, but got 0.",
        "search.trials: must be at least 1, but got 0.",
        "search.sampler: must be one of tpe, random, grid, but got 'gird'. Did you mean `grid`?",
        "training.learnin_rate: Unknown key. Did you mean `learning_rate`? Choose from: rank, alpha, scale, targets, "
        "dropout, learning_rate, weight_decay, warmup_fraction, schedule, clip_norm, batch_size, epochs, seed, "
        "evaluations_per_epoch.",
        "training.batch_size: must be a whole number from 1 to 1024, but got 0.",
        "compute.slots: must be auto or a whole number from 1 to 256, but got 0.",
        "promotion.automatic: must be true or false, but got 'yes'. Write true.",
        "nmae: Unknown key. Did you mean `name`? Choose from: name, base, data, search, training, compute, budget, "
        "samples, promotion, experiment.",
        "search.metric: must be one of val_loss, val_perplexity, val_accuracy, val_bits_per_byte, but got 'val_los'. "
        "Did you mean `val_loss`?",
    ]


def test_what_every_spec_needs_is_named():
    with pytest.raises(SpecError) as caught:
        parse_spec({"base": {}, "data": {}, "search": {}})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "name",
        "base.model",
        "data.train",
        "data.validation",
        "search.space",
    ]


@pytest.mark.parametrize("raw", [None, 3, "x", ["name"]])
def test_a_spec_is_a_mapping(raw):
    with pytest.raises(SpecError, match="A spec must map keys to values, but got "):
        parse_spec(raw)


@pytest.mark.parametrize("section", ["base", "data", "search", "training", "compute", "samples", "promotion"])
def test_a_section_is_a_mapping(section):
    (line,) = mistakes(**{section: [1]})
    assert line.startswith(f"{section}: must be a mapping of keys to values, but got [1].")


@pytest.mark.parametrize("section", ["base", "data", "search", "training", "compute", "samples", "promotion"])
def test_an_unknown_key_of_a_section_is_told_with_the_choices(section):
    (line,) = mistakes(**{section: {"zzz": 1}})
    assert line.startswith(f"{section}.zzz: Unknown key. Choose from: ")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "A", "-a", ".hidden", "a" * 64, "a b", "순위", "a\n", "a:b", None, 3, ["a"]]
)
def test_a_sweeps_name_can_name_files_and_runs(name):
    (line,) = mistakes(name=name)
    assert line.startswith("name: ")


@pytest.mark.parametrize("model", ["", "../x", "a/b", "/etc", "a:b", ".", "..", "a\\b", "a" * 256, "a\0"])
def test_a_registered_model_has_no_path_in_its_name(model):
    (line,) = mistakes(promotion={"model": model})
    assert line.startswith("promotion.model: must be 1 to 255 letters, digits, spaces, ")


@pytest.mark.parametrize("experiment", ["", " ", "a\nb", "a\0", " a", "a" * 251, "\ud800", 3])
def test_an_experiment_is_one_line_of_text(experiment):
    (line,) = mistakes(experiment=experiment)
    assert line.startswith("experiment: must be ")


LINE = "must be text on one line (1 to 4096 characters)"
SLOTS = "must be auto or a whole number from 1 to 256"
LIST = "must be a list such as [a, b]"


@pytest.mark.parametrize(
    ("section", "values", "line"),
    [
        ("search", {"trials": 1.0}, "trials: must be a whole number, but got 1.0. Write 1."),
        ("search", {"trials": True}, "trials: must be a whole number, but got True."),
        ("search", {"trials": "many"}, "trials: must be a whole number, but got 'many'."),
        ("search", {"trials": 10**30}, f"trials: must be at most 100000, but got {10**30}."),
        ("search", {"seed": -1}, "seed: must be at least 0, but got -1."),
        ("search", {"metric": 3}, "metric: must be text, but got 3. Put it in quotes."),
        ("search", {"enqueue": {"rank": 2}}, f"enqueue: {LIST}, but got {{'rank': 2}}."),
        ("search", {"enqueue": [3]}, "enqueue.0: must be a mapping of keys to values, but got 3."),
        ("samples", {"prompts": "안녕"}, f"prompts: {LIST}, but got '안녕'. Write ['안녕']."),
        ("samples", {"prompts": [" "]}, "prompts.0: must be text of 1 to 4096 characters, but got ' '."),
        ("compute", {"address": "a\nb"}, f"address: {LINE}, but got 'a\\nb'."),
        ("compute", {"slots": "all"}, f"slots: {SLOTS}, but got 'all'."),
        ("compute", {"slots": True}, f"slots: {SLOTS}, but got True."),
        (
            "training",
            {"targets": "all"},
            "targets: must be one of attention_qv, attention, all_linear, but got 'all'.",
        ),
        ("data", {"select": {"limit": 0}}, "select.limit: must be at least 1, but got 0."),
        (
            "data",
            {"train": {"source": "x", "format": "json"}},
            "train.format: must be one of auto, aihub, chat, csv, but got 'json'.",
        ),
        ("data", {"validation": {}}, "validation: must name at least one validation set, but got {}."),
        ("data", {"validation": {"a": {"format": "csv"}}}, "validation.a.source: is missing; every spec needs it."),
        (
            "data",
            {"train": {"source": "x.csv", "prompt_column": "Q"}},
            "train.response_column: is missing; `prompt_column` and `response_column` are given together.",
        ),
        (
            "data",
            {"train": {"source": "x", "format": "chat", "prompt_column": "Q", "response_column": "A"}},
            "train.format: must be auto or csv where columns are named, but got 'chat'.",
        ),
        (
            "data",
            {"train": {"source": "x", "roles": {"client": "users"}}},
            "train.roles.client: must be one of user, model, system, but got 'users'. Did you mean `user`?",
        ),
    ],
)
def test_one_mistake_is_one_sentence(section, values, line):
    assert mistakes(**{section: values}) == [f"{section}.{line}"]


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("samples", {"prompts": ["a"] * 65}, "prompts"),
        ("training", {"batch_size": True}, "batch_size"),
        ("training", {"alpha": 10**400}, "alpha"),
        ("training", {"config": {}}, "config"),
        ("data", {"loss_on": "replies"}, "loss_on"),
        ("data", {"train": "ftp://example.org/x.json"}, "train.source"),
        ("data", {"train": "a\ud800.json"}, "train.source"),
        ("base", {"model": ""}, "model"),
    ],
)
def test_the_key_of_a_mistake_is_told(section, values, key):
    (told,) = mistakes(**{section: values})
    assert told.startswith(f"{section}.{key}: ")


def test_secrets_in_a_mistaken_value_are_masked():
    lines = mistakes(data={"train": "https://me:hidden@h/x.json"}, compute={"address": "ray://:hidden@head:10001"})
    assert [line.partition(":")[0] for line in lines] == ["data.train.source", "compute.address"]
    assert "hidden" not in "".join(lines)


def test_emotions_and_age_groups_are_told_apart():
    lines = mistakes(data={"select": {"emotions": ["happy"], "age_groups": ["A09"]}})
    assert [line.partition(":")[0] for line in lines] == ["data.select.emotions", "data.select.age_groups"]
    assert "joy (E6)" in lines[0]


@pytest.mark.parametrize(
    "name", ["loss", "accuracy", "chat_loss", "bits", "train", "A", "1a", "a-b", "", "a b", "format"]
)
def test_a_validation_set_is_not_named_like_a_metric(name):
    (line,) = mistakes(data={"validation": {"val": "a.json", name: "b.json"}})
    assert "a validation set must be named with small letters" in line


def test_only_the_first_validation_set_may_be_called_val():
    assert mistakes(data={"validation": {"chat": "a.json", "val": "b.json"}})[0].startswith("data.validation.val: ")


def test_an_unknown_key_of_a_source_is_told_with_the_keys_of_a_source():
    (line,) = mistakes(data={"train": {"source": "x", "formt": "csv"}})
    assert line == (
        "data.train.formt: Unknown key. Did you mean `format`? "
        "Choose from: source, digest, format, prompt_column, response_column, roles, part."
    )
    (line,) = mistakes(data={"validation": {"chat": {"source": "x", "formt": "csv"}}})
    assert line.startswith("data.validation.chat.formt: Unknown key. Did you mean `format`?")


def test_mistakes_of_a_space_are_told_under_its_key():
    space = {"learning_rate": {"type": "float", "low": 0.01, "high": 0.001}, "rank": {"type": "choice", "values": []}}
    assert mistakes(search={"space": space}) == [
        "search.space.learning_rate.low: `low < high` must hold, but got low=0.01 and high=0.001.",
        "search.space.rank.values: must list at least one value, but the list is empty.",
    ]


def test_an_unknown_space_is_told_with_the_choices():
    assert mistakes(search={"space": "quikstart"}) == [
        "search.space: Unknown search space 'quikstart'. Did you mean `quickstart`? "
        "Choose from: gemma2_2b, gemma2_9b, quickstart, or give the path of a YAML file."
    ]


def test_every_value_that_a_space_can_give_is_one_that_the_trainer_takes():
    space = {
        "rank": {"type": "int", "low": 0, "high": 5000},
        "epochs": {"type": "float", "low": 1, "high": 3},
        "dropout": {"type": "choice", "values": [0.1, 1.0, "a"]},
        "schedule": "cosinus",
        "targets": {"type": "choice", "values": ["attention", "mlp"]},
    }
    assert mistakes(search={"space": space}) == [
        "search.space.rank.low: must be a whole number from 1 to 4096, but got 0.",
        "search.space.rank.high: must be a whole number from 1 to 4096, but got 5000.",
        "search.space.epochs.low: must be a whole number from 1 to 1000, but got 1.0. Use type: int.",
        "search.space.epochs.high: must be a whole number from 1 to 1000, but got 3.0. Use type: int.",
        "search.space.dropout.values.1: must be a number from 0 to below 1, but got 1.0.",
        "search.space.dropout.values.2: must be a number from 0 to below 1, but got 'a'.",
        "search.space.schedule: must be one of constant, linear, cosine, but got 'cosinus'.",
        "search.space.targets.values.1: must be one of attention_qv, attention, all_linear, but got 'mlp'.",
    ]


def test_a_parameter_is_set_in_one_place():
    assert mistakes(training={"rank": 4}) == ["search.space.rank: is also set in `training`; keep one of the two."]
    assert mistakes(training={"seed": 1}, search={"space": {"seed": 0, "rank": {"type": "choice", "values": [2]}}}) == [
        "search.space.seed: is also set in `training`; keep one of the two."
    ]


def test_a_name_that_means_nothing_must_decide_something():
    space = {"ranc": {"type": "choice", "values": [2, 4]}}
    (line,) = mistakes(search={"space": space})
    assert line.startswith("search.space.ranc: Unknown parameter. Did you mean `rank`? Choose from: rank, alpha, ")
    assert line.endswith("; any other name must decide a condition (`when`) of these.")


def test_a_grid_must_be_finite_and_large_enough():
    assert mistakes(search={"sampler": "grid"}) == [
        "search.space.learning_rate: a grid needs countable values; give `step`, or use type: choice."
    ]
    space = {"rank": {"type": "choice", "values": [2, 4]}, "epochs": {"type": "int", "low": 1, "high": 3}}
    assert mistakes(search={"sampler": "grid", "space": space, "trials": 7}) == [
        "search.trials: must be at most the 6 points of the grid, but got 7; each point is tried once."
    ]


def test_a_grid_that_nobody_waits_for_is_refused():
    space = {"rank": {"type": "int", "low": 1, "high": 200}, "seed": {"type": "int", "low": 0, "high": 199}}
    assert mistakes(search={"sampler": "grid", "space": space}) == [
        "search.space: a grid has at most 10000 points, but this space has 40000; "
        "give fewer values, or choose the sampler tpe or random."
    ]


def test_trials_that_would_all_be_the_same_are_refused():
    (line,) = mistakes(search={"space": {"rank": 4}, "trials": 2})
    assert line.startswith("search.space: must vary a parameter where there are 2 trials, but all are constants")
    assert parse_spec({**SMALL, "search": {"space": {"rank": 4}, "trials": 1}}).search.trials == 1


def test_enqueued_parameters_lie_in_the_space():
    enqueue = [{"rank": 3}, {"ranc": 2}, {"rank": 2, "batch_size": 1}, {"learning_rate": 1}]
    assert mistakes(search={"enqueue": enqueue}) == [
        "search.enqueue.0.rank: must be one of 2, 4, 8, 16, but got 3.",
        "search.enqueue.1.ranc: Unknown parameter. Did you mean `rank`? Choose from: rank, learning_rate, epochs.",
        "search.enqueue.2.batch_size: Unknown parameter. Choose from: rank, learning_rate, epochs.",
        "search.enqueue.3.learning_rate: must be a number from 0.001 to 0.1, but got 1.",
    ]


def test_chips_are_divided_evenly_among_base_models():
    assert mistakes(compute={"chips": 3, "chips_per_base": 2}) == [
        "compute.chips: must be a multiple of `chips_per_base`, 2, but got 3."
    ]


def test_no_more_is_enqueued_than_there_are_trials():
    assert mistakes(search={"trials": 1, "enqueue": [{"rank": 2}, {"rank": 4}]}) == [
        "search.enqueue: must list at most as many as there are trials (1), but lists 2."
    ]


def test_a_pruner_has_only_the_keys_of_its_kind():
    assert mistakes(search={"pruner": {"kind": "none", "min_evaluations": 2, "reduction_factor": 2}}) == [
        "search.pruner.min_evaluations: has no meaning for kind none; keys of that kind: kind. "
        "Remove it, or set all of it: `search.pruner={kind: none}`.",
        "search.pruner.reduction_factor: has no meaning for kind none; keys of that kind: kind. "
        "Remove it, or set all of it: `search.pruner={kind: none}`.",
    ]


def test_rules_between_sections_hold_although_other_sections_are_wrong():
    lines = mistakes(base={"dtype": "x"}, search={"metric": "val_chat_loss"}, training={"rank": 2, "alpha": "x"})
    assert [line.partition(":")[0] for line in lines] == [
        "base.dtype",
        "training.alpha",
        "search.space.rank",
        "search.metric",
    ]


@pytest.mark.parametrize("text", ["name: x\nname: y", "name: [", "!!python/name:os.system x", "- 1", "", "3"])
def test_text_that_is_no_spec_is_one_spec_error(text):
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    assert len(str(caught.value).splitlines()) == 1


def test_an_example_that_does_not_exist_is_told_with_the_choices():
    with pytest.raises(SpecError) as caught:
        load_spec("quikstart")
    assert str(caught.value) == (
        "Unknown example 'quikstart'. Did you mean `quickstart`? "
        "Choose from: chatbot_csv, gemma2_2b_korean, quickstart, or give the path of a YAML file."
    )


FIELDS = (
    "rank, alpha, scale, targets, dropout, learning_rate, weight_decay, warmup_fraction, schedule, clip_norm, "
    "batch_size, epochs, seed"
)
PRUNER = "search.pruner: must be a mapping with a `kind` of successive_halving, median, none, but got"


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"search": {"pruner": "asha"}}, f"{PRUNER} 'asha'. Write {{kind: successive_halving}}."),
        ({"search": {"pruner": "median"}}, f"{PRUNER} 'median'. Write {{kind: median}}."),
        ({"search": {"pruner": "medain"}}, f"{PRUNER} 'medain'. Did you mean `median`?"),
        (
            {"search": {"space": {"lr": [1e-4, 1e-3]}}},
            f"search.space.lr: Unknown parameter. Did you mean `learning_rate`? Choose from: {FIELDS}.",
        ),
        (
            {"search": {"space": {"lora-rank": {"type": "choices", "values": [2, 4]}}}},
            f"search.space.lora-rank: Unknown parameter. Did you mean `rank`? Choose from: {FIELDS}.",
        ),
        (
            {"training": {"num_train_epochs": 3}},
            f"training.num_train_epochs: Unknown key. Did you mean `epochs`? Choose from: {FIELDS}, "
            "evaluations_per_epoch.",
        ),
        (
            {"training": {"batch-size": 3}},
            f"training.batch-size: Unknown key. Did you mean `batch_size`? Choose from: {FIELDS}, "
            "evaluations_per_epoch.",
        ),
        (
            {"training": {"dropout": [0.0, 0.1]}},
            "training.dropout: must be a number from 0 to below 1, but got [0.0, 0.1]. To try several, write "
            "search.space.dropout: {type: choice, values: [0.0, 0.1]}.",
        ),
        (
            {"epochs": 3},
            "epochs: Unknown key. Choose from: name, base, data, search, training, compute, budget, samples, "
            "promotion, experiment. `epochs` belongs to `training`, or to `search.space` to be searched.",
        ),
        (
            {"training": {"targets": ["q_proj"]}},
            "training.targets: must be one of attention_qv, attention, all_linear, but got ['q_proj'].",
        ),
        (
            {"search": {"space": {"learning_rate": {"type": "loguniform", "low": 1e-4, "high": 1e-2}}}},
            "search.space.learning_rate.type: must be one of choice, int, float, constant, but got 'loguniform'. "
            "Write type: float, log: true.",
        ),
        (
            {"compute": {"trials": 3}},
            "compute.trials: Unknown key. Choose from: accelerator, workers, priority, slots, chips, chips_per_base, "
            "address, max_failures, checkpoint_minutes. `trials` belongs to `search`.",
        ),
        (
            {"search": {"trials": "8"}},
            "search.trials: must be a whole number, but got '8'. Write the number alone, without quotes: 8.",
        ),
        (
            {"data": {"max_tokens": "256 tokens"}},
            "data.max_tokens: must be a whole number, but got '256 tokens'. "
            "Write the number alone, without quotes: 256.",
        ),
        (
            {"budget": {"max_hours": "1.5h"}},
            "budget.max_hours: must be a number, but got '1.5h'. Write the number alone, without quotes: 1.5.",
        ),
        (
            {"promotion": {"automatic": "False"}},
            "promotion.automatic: must be true or false, but got 'False'. Write false.",
        ),
        (
            {"base": "gemma2_2b_en"},
            "base: must be a mapping of keys to values, but got 'gemma2_2b_en'. Its keys: model, dtype.",
        ),
        (
            {"base": {"dtype": "bf16"}},
            "base.dtype: must be one of float32, bfloat16, but got 'bf16'. Did you mean `bfloat16`?",
        ),
    ],
)
def test_what_a_newcomer_mistakes_is_told_with_what_helps(sections, line):
    assert mistakes(**sections) == [line]


@pytest.mark.parametrize(
    ("model", "help"),
    [
        ("google/gemma-2-2b-it", " If it is a model of the Hugging Face Hub, write hf://google/gemma-2-2b-it. "),
        ("gemma2-instruct-2b-en", " Did you mean `gemma2_instruct_2b_en`? "),
        ("Gemma2_2B_en", " Did you mean `gemma2_2b_en`? "),
        ("llama3_8b_en", "must be a preset of Gemma 2 or a folder that exists, but got 'llama3_8b_en'. Choose from: "),
    ],
)
def test_a_base_model_that_is_not_there_is_told_once_with_what_may_be_meant(model, help):
    (line,) = map(str, file_mistakes(parse_spec({**SMALL, "base": {"model": model}})))
    assert line.startswith("base.model: must be a preset of Gemma 2 or a folder that exists, but got ")
    assert help in line
