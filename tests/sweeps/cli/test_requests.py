"""The commands that steer a sweep, as they are typed, for one that nobody runs and for one that a process runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from search_spaces import load_space
from sweeps.cli import main
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import pending
from sweeps.settings import PrunerSettings, SearchSettings
from sweeps.spec import load_spec
from tests.command_line import Ended, python

Sweeps = Callable[..., Ended]

SPACE = {
    "rank": {"type": "choice", "values": [2, 4, 8]},
    "schedule": {"type": "choice", "values": ["constant", "cosine"]},
    "warmup_fraction": {"type": "float", "low": 0.0, "high": 0.2, "when": {"schedule": "cosine"}},
    "epochs": {"type": "int", "low": 1, "high": 3},
}


@pytest.fixture
def sweeps(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))

    def run(*arguments: str) -> Ended:
        code = main(arguments)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run


PARAMS = ({"rank": 8, "schedule": "cosine", "warmup_fraction": 0.1, "epochs": 2}, {"rank": 2, "epochs": 1})


@pytest.fixture
def sweep(ledger_url: str) -> Ledger:
    """A complete sweep of two trials: the first complete, the second failed."""
    changes = ["name=mine", "search.trials=2", f"search.space={json.dumps(SPACE)}", "training={}"]
    spec = load_spec("quickstart", changes)
    settings = SearchSettings(trials=2, pruner=PrunerSettings(kind="none"))
    space = load_space(SPACE)
    ledger = Ledger.create(ledger_url, "mine", settings, space, spec_yaml=spec.to_yaml(), enqueue=PARAMS)
    for number, state in enumerate[Any](("complete", "failed")):
        ledger.next_trial()
        ledger.note(number, run_id=f"run{number}")
        ledger.report(number, 1, 2.0)
        ledger.tell(number, state, value=2.0, because="diverged at step 5" if number else "")
    ledger.note_sweep(state="complete", run_id="sweep-run")
    return ledger


def now(ledger: Ledger) -> Ledger:
    """The ledger as it is: the one that the fixture holds remembers its trials, as a driver's may."""
    return Ledger.open(ledger.url, ledger.name)


def test_more_trials_are_asked_for_without_a_driver(sweeps: Sweeps, sweep: Ledger) -> None:
    ended = sweeps("extend", "mine", "--trials", "3")
    assert ended.code == 0
    assert ended.out == "3 more trials: 'mine' is to end with 5 trials. `sweeps resume mine` trains what is left.\n"
    assert sweeps("list").out.splitlines()[1].split()[:3] == ["mine", "stopped", "2/5"]
    assert sweep.record.driver is None


def test_failed_trials_are_tried_again_and_show_where_they_come_from(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("retry", "mine", "--failed").out.startswith("Trial to be tried again: 1 as 2. `sweeps resume mine`")
    assert "retry of 1" in sweeps("status", "mine").out
    told = json.loads(sweeps("status", "mine", "--json").out)["trials"][2]
    assert (told["retry_of"], told["state"], told["params"]) == (1, "waiting", now(sweep).trial(1).params)
    assert sweeps("retry", "mine", "--trial", "1").mistakes == [
        "Trial 1 of 'mine' is tried again already: trial 2 is waiting."
    ]


def test_a_trial_is_enqueued_with_some_of_its_parameters(sweeps: Sweeps, sweep: Ledger) -> None:
    ended = sweeps("trial", "enqueue", "mine", "rank=4", "schedule=cosine", "warmup_fraction=0.05")
    assert ended.out.startswith("Trial 2 is added: 'mine' is to end with 3 trials. `sweeps resume mine`")
    assert now(sweep).trial(2).params == {"rank": 4, "schedule": "cosine", "warmup_fraction": 0.05}


def test_a_clone_has_the_parameters_of_its_trial_but_for_changes(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("trial", "clone", "mine", "0").code == 0
    assert sweeps("trial", "clone", "mine", "0", "--set", "rank=2", "--set", "schedule=constant").code == 0
    assert now(sweep).trial(2).params == PARAMS[0]
    assert now(sweep).trial(3).params == {"rank": 2, "schedule": "constant", "epochs": 2}  # there is no warmup now


def test_what_is_added_by_hand_may_be_pruned_only_if_that_is_said(sweeps: Sweeps, sweep: Ledger) -> None:
    for how in ([], ["--may-prune"]):
        assert sweeps("trial", "enqueue", "mine", "rank=4", *how).code == 0
        assert sweeps("trial", "clone", "mine", "0", *how).code == 0
    assert [trial.to_the_end for trial in now(sweep).trials()[2:]] == [True, True, False, False]


def train(ledger: Ledger, params: dict[str, Any], state: Any = "complete", *, epochs: int = 1) -> int:
    """Let a trial train so many epochs."""
    ledger.add(params, request=str(len(ledger.trials())))
    trial = ledger.next_trial()
    assert trial
    ledger.note(trial.number, run_id=f"run{trial.number}")
    for evaluation in range(1, epochs + 1):
        ledger.report(trial.number, evaluation, 2.0)
    ledger.tell(trial.number, state, value=2.0, because="it was not good")
    return trial.number


def test_who_asks_for_more_epochs_at_a_constant_rate_hears_how_to_train_only_those(
    sweeps: Sweeps, sweep: Ledger
) -> None:
    """The first two epochs of three would be trained again, to the same loss; done all the same, for he asked."""
    constant = {"rank": 2, "schedule": "constant"}
    number = train(sweep, {**constant, "epochs": 2}, epochs=2)
    stopped = train(sweep, {"rank": 4, "schedule": "cosine", "warmup_fraction": 0.1, "epochs": 3}, "pruned")
    note = f"Note: Its first 2 epochs are those of trial {number}, to the same loss."
    for command in (
        ["clone", "mine", str(number), "--set", "epochs=3"],
        ["enqueue", "mine", "schedule=constant", "rank=2", "epochs=3"],
    ):
        ended = sweeps("trial", *command)
        assert ended.code == 0
        assert "is added" in ended.out
        assert ended.err.startswith(note)
        assert f"trial continue mine {number} --epochs 3`." in ended.err
    assert f"trial continue mine {stopped} --epochs 3`." in sweeps("trial", "clone", "mine", str(stopped)).err


def test_who_asks_for_the_same_again_hears_it(sweeps: Sweeps, sweep: Ledger) -> None:
    ended = sweeps("trial", "clone", "mine", "0")
    assert ended.err == "Note: Trial 0 has the same parameters: this one ends with the same loss.\n"


def test_nothing_is_said_where_another_length_is_another_training(sweeps: Sweeps, sweep: Ledger) -> None:
    """A rate that falls depends on the number of steps, one failed has nothing to go on from, and 4 is another rank."""
    for arguments in (
        ["clone", "mine", "0", "--set", "epochs=3"],
        ["clone", "mine", "0", "--set", "epochs=1"],
        ["clone", "mine", "0", "--set", "rank=4"],
        ["clone", "mine", "1"],
        ["enqueue", "mine", "rank=8"],
    ):
        ended = sweeps("trial", *arguments)
        assert (ended.code, ended.err) == (0, "")


def test_a_finished_trial_is_to_train_on_beyond_the_space(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("trial", "continue", "mine", "0", "--epochs", "9").code == 0
    trial = now(sweep).trial(2)
    assert (trial.continues, trial.params["epochs"], trial.drawn) == (0, 9, PARAMS[0])
    assert "continues 0" in sweeps("status", "mine").out


def test_a_trial_that_waits_is_stopped(sweeps: Sweeps, sweep: Ledger) -> None:
    sweeps("trial", "clone", "mine", "0")
    assert sweeps("trial", "stop", "mine", "2").out == "Trial 2 of 'mine' is stopped.\n"
    assert now(sweep).trial(2).state == "pruned"


def test_a_sweep_that_nobody_runs_is_paused_but_not_stopped(sweeps: Sweeps, sweep: Ledger) -> None:
    assert sweeps("pause", "mine").out == "Nobody is running the sweep 'mine'.\n"  # it is complete
    sweeps("extend", "mine", "--trials", "1")
    assert sweeps("pause", "mine").out.startswith("Nobody is running the sweep 'mine'; it is paused. `sweeps resume")
    assert "mine is paused: 2 of 3 trials finished" in sweeps("status", "mine").out
    assert sweeps("stop", "mine", "--now").out.startswith("Nobody is running the sweep 'mine' (paused, 2 of 3")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trial", "enqueue", "mine", "rnak=4"], "rnak: Unknown parameter. Did you mean `rank`? Choose from: rank, "),
        (["trial", "enqueue", "mine", "rank=3"], "rank: must be one of 2, 4, 8, but got 3."),
        (["trial", "enqueue", "mine", "rank"], "KEY=VALUE: must be written key=value, but got 'rank'."),
        (["trial", "enqueue", "mine", "rank=[2"], "the value of rank"),
        (["trial", "enqueue", "mine", "warmup_fraction=0.1"], "warmup_fraction: exists only when `schedule` is cosine"),
        (["trial", "clone", "mine", "0", "--set", "epochs=9"], "epochs: must be a whole number from 1 to 3"),
        (["trial", "clone", "mine", "7"], "The sweep 'mine' has no trial 7; its trials are 0 to 1."),
        (["trial", "continue", "mine", "0", "--epochs", "2"], "--epochs must be more than the 2 that trial 0 has"),
        (["trial", "continue", "mine", "0", "--epochs", "5000"], "`epochs` must be a whole number from 1 to 1000"),
        (["trial", "continue", "mine", "1", "--epochs", "5"], "Trial 1 of 'mine' failed; try it again with"),
        (["trial", "stop", "mine", "0"], "Trial 0 of 'mine' cannot be stopped: it is complete."),
        (["retry", "mine", "--trial", "0"], "Trial 0 of 'mine' is complete; only a failed trial can be retried."),
        (["extend", "nobody", "--trials", "1"], "No sweep is named 'nobody'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_impossible_is_one_sentence_and_nothing_is_written(
    sweeps: Sweeps, sweep: Ledger, arguments: list[str], told: str
) -> None:
    before = sweep.study.user_attrs
    ended = sweeps(*arguments)
    assert ended.code == 2
    (mistake,) = ended.mistakes
    assert told in mistake
    assert now(sweep).study.user_attrs == before
    assert len(now(sweep).trials()) == 2


@pytest.mark.parametrize("arguments", [["retry", "mine"], ["retry", "mine", "--failed", "--trial", "1"]])
def test_retry_wants_to_know_which_trials(sweeps: Sweeps, sweep: Ledger, arguments: list[str]) -> None:
    ended = sweeps(*arguments)
    assert ended.code == 2
    assert "--failed, or --trial with a number" in ended.err


@pytest.mark.parametrize("command", ["stop", "enqueue", "clone", "continue"])
def test_every_command_of_a_single_trial_has_help_and_an_example(sweeps: Sweeps, command: str) -> None:
    ended = sweeps("trial", command, "--help")
    assert ended.code == 0
    assert f"Example:  sweeps trial {command} quickstart" in ended.out


# ------------------------------------------------------------------------------------------------- a driver that runs


DRIVER = """
import sys, time
from sweeps.ledger.claim import Claim
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.requests import Answer, answer, pending
ledger = Ledger.open(sys.argv[1], "mine")
claim = Claim(ledger)
print("claimed", flush=True)
while not pending(ledger):
    time.sleep(0.05)
if sys.argv[2] == "dies":
    sys.exit()
answer(ledger, pending(ledger)[0], Answer("That is what it says.", refused=sys.argv[2] == "refuses"))
time.sleep(60)
"""


@contextmanager
def driven(sweep: Ledger, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the claim as a driver does."""
    with python("-c", DRIVER, sweep.url, how) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "claimed\n", driver.communicate()
        yield driver
        driver.kill()


def test_a_driver_is_asked_and_its_answer_is_told(sweeps: Sweeps, sweep: Ledger) -> None:
    with driven(sweep, "answers"):
        ended = sweeps("extend", "mine", "--trials", "3")
    assert (ended.code, ended.out) == (0, "That is what it says.\n")
    assert now(sweep).trials_asked == 2  # it is the driver's to write


def test_what_a_driver_refuses_is_told_with_exit_code_2(sweeps: Sweeps, sweep: Ledger) -> None:
    with driven(sweep, "refuses"):
        ended = sweeps("trial", "clone", "mine", "0")
    assert (ended.code, ended.mistakes) == (2, ["That is what it says."])


def test_a_driver_that_dies_before_it_answers_leaves_the_request_to_the_command(sweeps: Sweeps, sweep: Ledger) -> None:
    with driven(sweep, "dies"):  # nobody waits for that process meanwhile: it is left as a zombie
        ended = sweeps("extend", "mine", "--trials", "3")
    assert ended.out.startswith("3 more trials: 'mine' is to end with 5 trials. `sweeps resume mine`")
    assert pending(now(sweep)) == []


def test_a_driver_that_does_not_answer_is_named_and_asked_all_the_same(
    sweeps: Sweeps, sweep: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.cli.shared.requests.ANSWER_S", 0.0)
    with driven(sweep, "answers") as driver:
        ended = sweeps("extend", "mine", "--trials", "3")
    assert ended.code == 0
    assert f"Process {driver.pid} on " in ended.out
    assert "has not answered yet" in ended.out
