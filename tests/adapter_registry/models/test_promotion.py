"""Promotion and rollback in a real registry: all rules by SQLite, the whole way by a real server too.

Adapters are files as the trainer writes them, and the stand-in engine answers for them.
"""

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from adapter_registry import Dataset, MlflowTracker
from adapter_registry.errors import AdapterFilesError, ModelNotFoundError, PromotionRefusedError
from adapter_registry.models.champions import champion, champion_files, champions, load_champion
from adapter_registry.models.promotion import Promotion, promote, rollback
from adapter_registry.models.prompts import Conversation
from adapter_registry.names import SWEEP_PROMPT

Trial = Callable[..., str]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Any:
    """SQLite, unless the test asks for both."""
    return request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_store")


@pytest.fixture
def make_trial(opened: MlflowTracker, request: pytest.FixtureRequest) -> Trial:
    """Makes a finished trial with one adapter per validation loss."""
    numbers = iter(range(100))

    def make(*losses: float, sweep: str = "s", base: str = "5e" * 32, steps: bool = True, **other: float) -> str:
        parent = make_sweep(opened, sweep)
        number = next(numbers)
        run = opened.open_trial(parent, sweep, number, {"rank": 8})
        for epoch, loss in enumerate(losses, 1):
            opened.log_metrics(run, {"val_loss": loss, **other}, 10 * epoch)
            opened.log_adapter(
                run, epoch, adapter_files(f"{sweep} {number} {epoch}", base), step=10 * epoch if steps else None
            )
        opened.set_state(run, "complete")
        return run

    make_sweep = request.getfixturevalue("make_sweep")
    adapter_files = request.getfixturevalue("make_adapter_files")
    return make


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A registered model's name of the test's own."""
    return str(request.node.name).replace("[", "-").strip("]")


@pytest.fixture
def ask(opened: MlflowTracker, model: str) -> Callable[..., Promotion]:
    """Promotes a run with the stand-in engine."""
    return lambda run, **options: promote(opened.tracking_uri, run, model=model, engine="echo", **options)


def aliases(tracker: MlflowTracker, model: str) -> dict[str, str]:
    return {alias: str(v) for alias, v in tracker.client.get_registered_model(model).aliases.items()}


@pytest.mark.parametrize("store", ["sqlite", "server"], indirect=True)
def test_a_better_adapter_becomes_champion_and_rollback_undoes_it(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    first, second, third = (make_trial(loss) for loss in (3.0, 2.0, 1.0))
    assert champion(opened.tracking_uri, model) is None
    assert ask(first).champion.version == 1
    promoted = [ask(second), ask(third)]
    assert [(p.champion.version, p.previous and p.previous.version, p.moved) for p in promoted] == [
        (2, 1, True),
        (3, 2, True),
    ]
    assert aliases(opened, model) == {"champion": "3", "previous_champion": "2"}
    assert rollback(opened.tracking_uri, model).champion.run_id == second
    assert aliases(opened, model) == {"champion": "2", "previous_champion": "1"}
    assert rollback(opened.tracking_uri, model).champion.run_id == first
    assert aliases(opened, model) == {"champion": "1"}
    with pytest.raises(ModelNotFoundError, match="first champion"):
        rollback(opened.tracking_uri, model)
    assert ask(third).champion.version == 3


def test_the_same_run_makes_one_version(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    run = make_trial(2.0)
    assert [ask(run).moved, ask(run).moved, ask(run, force=True).moved] == [True, False, False]
    assert len(opened.client.search_model_versions(f"name = '{model}'")) == 1
    assert len(opened.client.search_logged_models([opened.experiment_id])) == 1


def test_a_worse_or_equal_adapter_is_refused_with_both_numbers(
    make_trial: Trial, ask: Callable[..., Promotion]
) -> None:
    ask(make_trial(2.0))
    for worse in (2.5, 2.0):
        run = make_trial(worse)
        with pytest.raises(PromotionRefusedError, match=rf"val_loss {worse:g} .*has 2\. .*force"):
            ask(run)
    assert ask(run, force=True).champion.version == 2


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_metric_that_is_not_finite_never_wins(make_trial: Trial, ask: Callable[..., Promotion], loss: float) -> None:
    run = make_trial(loss)
    with pytest.raises(PromotionRefusedError, match="finite"):
        ask(run, force=True)


def test_another_base_model_or_metric_cannot_be_compared(make_trial: Trial, ask: Callable[..., Promotion]) -> None:
    ask(make_trial(2.0, val_accuracy=0.1))
    with pytest.raises(PromotionRefusedError, match=r"same base model.*1\.5.*2"):
        ask(make_trial(1.5, base="99" * 32))
    with pytest.raises(PromotionRefusedError, match="same metric"):
        ask(make_trial(1.5, val_accuracy=0.9), metric="val_accuracy", direction="maximize")


def test_another_validation_set_cannot_be_compared(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion]
) -> None:
    """The number is lower, but was measured on other dialogues."""
    ask(make_trial(2.0))
    run = make_trial(1.0, sweep="other")
    opened.set_tags(run, {"data.val.digest": "00" * 32})
    with pytest.raises(PromotionRefusedError, match="same validation set"):
        ask(run)
    assert ask(run, force=True).champion.validation == "00" * 32


def test_an_adapter_is_compared_on_the_set_that_it_was_measured_on(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion]
) -> None:
    """The sweep went on with other data afterwards."""
    run = make_trial(2.0, sweep="moved")
    digest = opened.client.get_run(run).data.tags["data.val.digest"]
    moved = [Dataset("val", "00" * 32, "other.jsonl", "validation")]
    opened.open_sweep("moved", spec_yaml="", tags={}, params={}, datasets=moved)
    assert ask(run).champion.validation == digest
    again = opened.open_trial(opened.find_sweep("moved") or "", "moved", 9, {})
    assert opened.client.get_run(again).data.tags["data.val.digest"] == "00" * 32


def test_the_best_epoch_is_promoted_unless_another_is_asked_for(
    make_trial: Trial, ask: Callable[..., Promotion]
) -> None:
    run = make_trial(3.0, 1.5, 2.0)
    best = ask(run).champion
    assert (best.epoch, best.value) == (2, 1.5)
    last = ask(run, epoch="last", force=True).champion
    assert (last.epoch, last.value, last.version) == (3, 2.0, 2)
    assert ask(run, epoch=1, force=True).champion.value == 3.0
    with pytest.raises(AdapterFilesError, match=r"epoch 9.*Choose from: 1, 2, 3"):
        ask(run, epoch=9)


def test_a_diverged_epoch_is_not_the_best(make_trial: Trial, ask: Callable[..., Promotion]) -> None:
    assert ask(make_trial(2.0, math.nan)).champion.epoch == 1


def test_a_version_remembers_its_evidence(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    found = ask(make_trial(2.0)).champion
    assert champion(opened.tracking_uri, model) == found
    assert (found.sweep, found.trial, found.metric, found.value) == ("s", 0, "val_loss", 2.0)
    assert (found.base_name, found.base_digest, found.validation) == ("builtin", "5e" * 32, "c1" * 32)
    assert found.data == {"train": "7a" * 32, "val": "c1" * 32}
    assert found.uri == f"models:/{model}@champion"


def test_a_half_uploaded_adapter_is_not_promoted(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion]
) -> None:
    """Its manifest, stored last, is missing."""
    run = make_trial()
    opened.log_file(run, "adapters/epoch_0001/adapter.lora.h5", b"half")
    opened.log_metrics(run, {"val_loss": 1.0}, 1)
    opened.flush()
    with pytest.raises(AdapterFilesError, match="no whole adapter"):
        ask(run)


def test_a_changed_adapter_is_neither_promoted_nor_used(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    run = make_trial(2.0)
    found = ask(run).champion
    assert set(champion_files(opened.tracking_uri, found)) == {"adapter.lora.h5", "adapter.json"}
    opened.log_file(run, "adapters/epoch_0001/adapter.lora.h5", b"tampered with")
    for attempt in (lambda: ask(run), lambda: champion_files(opened.tracking_uri, found)):
        with pytest.raises(AdapterFilesError, match="has changed since it was saved"):
            attempt()


def test_only_trials_can_be_promoted(opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion]) -> None:
    make_trial(1.0)
    with pytest.raises(ModelNotFoundError, match="no trial of a sweep"):
        ask(opened.find_sweep("s"))
    with pytest.raises(ModelNotFoundError, match="There is no run"):
        ask("0" * 32)


def test_champions_are_listed_the_newest_first(opened: MlflowTracker, make_trial: Trial, model: str) -> None:
    names = [f"{model}-{letter}" for letter in "ab"]
    for name, loss in zip(names, (2.0, 3.0), strict=True):
        promote(opened.tracking_uri, make_trial(loss), model=name, engine="echo")
    assert [c.model for c in champions(opened.tracking_uri)][:2] == names[::-1]


def test_models_of_others_are_left_alone(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    """On a shared server, `champion` of another project's model is neither listed nor moved."""
    run = make_trial(2.0)
    opened.client.create_registered_model(model)
    version = opened.client.create_model_version(model, source=f"{opened.client.get_run(run).info.artifact_uri}/x")
    opened.client.set_registered_model_alias(model, "champion", version.version)
    assert model not in [c.model for c in champions(opened.tracking_uri)]
    with pytest.raises(ModelNotFoundError, match="not made by a promotion"):
        ask(run, force=True)
    assert aliases(opened, model) == {"champion": "1"}


def test_the_champion_answers_without_mlflow_models(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    ask(make_trial(2.0))
    found, engine = load_champion(opened.tracking_uri, model)
    options: dict[str, Any] = {"max_new_tokens": 2, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    assert found.version == 1
    assert engine([Conversation((("user", "안녕하세요"),))], **options) == ["builtin: 안녕"]


def test_a_missing_champion_names_those_that_exist(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str
) -> None:
    ask(make_trial(2.0))
    with pytest.raises(ModelNotFoundError, match=rf"no champion of 'nobody'.*{model}"):
        load_champion(opened.tracking_uri, "nobody")
    with pytest.raises(ModelNotFoundError, match="no champion to roll back"):
        rollback(opened.tracking_uri, "nobody")


@pytest.mark.parametrize(("prompt", "shown"), [("Was nun?", '"Was nun?"'), (None, '"…"')])
def test_the_registered_model_suggests_a_prompt_of_its_sweeps_own(
    opened: MlflowTracker, make_trial: Trial, ask: Callable[..., Promotion], model: str, prompt: str | None, shown: str
) -> None:
    run = make_trial(2.0, sweep=model)
    if prompt is not None:
        opened.set_tags(opened.find_sweep(model) or "", {SWEEP_PROMPT: prompt})
    version = ask(run).champion.version
    description = opened.client.get_registered_model(model).description
    assert f"generate --model {shlex.quote(model)} {shown}" in description
    assert f'load_champion("{model}").predict([{shown}])' in description
    source = opened.client.get_model_version(model, str(version)).source
    example = Path(url2pathname(urlsplit(source).path)) / "input_example.json"
    assert json.dumps(prompt or "…")[1:-1] in json.dumps(json.loads(example.read_text()))
