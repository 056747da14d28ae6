"""The ledger in real databases, SQLite files and PostgreSQL: what survives, what repeats, and what never counts."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest

from search_spaces import SearchSpace, load_space
from sweeps.errors import LedgerError, NotFoundError
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import open_storage
from sweeps.ledger.trial_record import TrialRecord
from sweeps.settings import PrunerSettings, SearchSettings

SETTINGS = SearchSettings(trials=6, seed=3)


def finish(ledger: Ledger, trial: TrialRecord, value: float) -> None:
    """Report one evaluation and complete the trial."""
    ledger.report(trial.number, 1, value)
    ledger.tell(trial.number, "complete", value=value)


def run_all(ledger: Ledger, at_most: int = 1000) -> list[TrialRecord]:
    """Complete trials one after the other, with a value that follows from the parameters."""
    done = []
    while len(done) < at_most and (trial := ledger.next_trial()) is not None:
        finish(ledger, trial, abs(math.log10(trial.params["learning_rate"]) + 3) + 1 / trial.params["rank"])
        done.append(ledger.trial(trial.number))
    return done


def test_exactly_the_trials_asked_for_are_handed_out(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    assert [t.number for t in run_all(ledger)] == list(range(6))
    assert ledger.next_trial() is None
    assert Ledger.open(any_ledger, "s", space).next_trial() is None


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_sweep_asks_for_the_trials_that_an_uninterrupted_one_asks_for(
    tmp_path: Path, space: SearchSpace, sampler: str
) -> None:
    """Number and history decide a trial's parameters: opening the ledger anew after every trial changes nothing."""
    settings = dataclasses.replace(SETTINGS, sampler=sampler)
    whole = run_all(Ledger.create(f"sqlite:///{tmp_path}/a.db", "s", settings, space))
    Ledger.create(f"sqlite:///{tmp_path}/b.db", "s", settings, space)
    pieces = [run_all(Ledger.open(f"sqlite:///{tmp_path}/b.db", "s", space), at_most=1)[0] for _ in range(6)]
    assert [t.params for t in pieces] == [t.params for t in whole]
    assert len({t.params["learning_rate"] for t in whole}) == 6


def test_another_seed_asks_for_other_trials(ledger_url: str, space: SearchSpace) -> None:
    first = run_all(Ledger.create(ledger_url, "a", SETTINGS, space))
    other = run_all(Ledger.create(ledger_url, "b", dataclasses.replace(SETTINGS, seed=4), space))
    assert not {t.params["learning_rate"] for t in first} & {t.params["learning_rate"] for t in other}


def test_unfinished_trials_are_handed_out_first_then_enqueued_ones(any_ledger: str, space: SearchSpace) -> None:
    params = {"learning_rate": 1e-3, "rank": 8, "epochs": 2}
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space, enqueue=[params])
    first, second, third = (ledger.next_trial() for _ in range(3))
    assert first and second and third
    assert first.params == params
    finish(ledger, second, 1.0)
    again = Ledger.open(any_ledger, "s", space)
    handed = [again.next_trial() for _ in range(3)]
    assert [t and t.number for t in handed] == [0, 2, 3]
    assert [t and t.attempts for t in handed] == [2, 2, 1]
    assert handed[0] and handed[0].params == params
    assert handed[1] and handed[1].params == third.params


def test_a_trial_that_a_killed_driver_had_not_sampled_gets_the_parameters_it_would_have_had(
    tmp_path: Path, space: SearchSpace
) -> None:
    whole = Ledger.create(f"sqlite:///{tmp_path}/a.db", "s", SETTINGS, space).next_trial()
    ledger = Ledger.create(f"sqlite:///{tmp_path}/b.db", "s", SETTINGS, space)
    trial = ledger.study.ask()
    trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)  # and then the driver is killed
    resumed = Ledger.open(f"sqlite:///{tmp_path}/b.db", "s", space).next_trial()
    assert whole and resumed
    assert resumed.number == 0
    assert resumed.params == whole.params


def test_a_pruned_trial_keeps_its_evaluations_and_never_wins(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    pruned, complete = ledger.next_trial(), ledger.next_trial()
    assert pruned and complete
    ledger.report(pruned.number, 1, 0.5)
    ledger.report(pruned.number, 2, 0.4)
    ledger.tell(pruned.number, "pruned", because="not among the best")
    finish(ledger, complete, 0.9)
    told = ledger.trial(pruned.number)
    assert (told.state, told.value, told.evaluations) == ("pruned", 0.4, {1: 0.5, 2: 0.4})
    assert told.ended_because == "not among the best"
    best = ledger.best()
    assert best is not None
    assert best.number == complete.number


def test_the_best_of_an_accuracy_is_the_highest(ledger_url: str, space: SearchSpace) -> None:
    settings = dataclasses.replace(SETTINGS, metric="val_accuracy")
    ledger = Ledger.create(ledger_url, "s", settings, space)
    for value in (0.2, 0.7, 0.5):
        trial = ledger.next_trial()
        assert trial
        finish(ledger, trial, value)
    best = ledger.best()
    assert best is not None
    assert best.value == 0.7


def test_the_driver_remembers_of_a_trial_what_the_database_holds(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SearchSettings(trials=4), space, enqueue=[{"rank": 8}])
    for number in range(3):
        assert ledger.next_trial() is not None
        ledger.report(number, 1, 2.0)
    ledger.tell(0, "complete", value=1.5)
    remembered = ledger.study.get_trials()
    ledger.read_anew()
    assert ledger.study.get_trials() == remembered
    assert all(list(trial.params) == list(trial.distributions) == list(space.varied) for trial in remembered[:3])


def test_a_step_reported_twice_keeps_its_first_value(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    trial = ledger.next_trial()
    assert trial
    assert ledger.report(trial.number, 1, 0.5)
    assert not ledger.report(trial.number, 1, 0.4)
    assert ledger.trial(trial.number).evaluations == {1: 0.5}


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_a_number_is_no_completion(any_ledger: str, space: SearchSpace, value: float | None) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    trial = ledger.next_trial()
    assert trial
    if value is not None:
        with pytest.raises(LedgerError, match="finite number, but trial 0 reported"):
            ledger.report(trial.number, 1, value)
    ledger.tell(trial.number, "complete", value=value)
    told = ledger.trial(trial.number)
    assert (told.state, told.value) == ("failed", None)
    assert str(value) in told.ended_because
    assert ledger.best() is None


def test_a_trial_that_has_ended_stays_as_it_is(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    trial = ledger.next_trial()
    assert trial
    finish(ledger, trial, 0.5)
    ledger.tell(trial.number, "failed", because="late news")
    assert ledger.trial(trial.number).state == "complete"
    assert ledger.trial(trial.number).ended_because == ""


def test_rungs_survive_the_driver(any_ledger: str, space: SearchSpace) -> None:
    """The pruner's answers are the same whether one process asks them all, or each is asked by a new one."""
    answers: dict[str, list[bool]] = {"one": [], "many": []}
    for name, given in answers.items():
        ledger = Ledger.create(any_ledger, name, SETTINGS, space)
        for value in [0.9, 0.5, 0.7, 0.4, 0.6, 0.3]:
            if name == "many":
                ledger = Ledger.open(any_ledger, name, space)
            trial = ledger.next_trial()
            assert trial
            ledger.report(trial.number, 1, value)
            given.append(ledger.should_prune(trial.number, 1))
            ledger.tell(trial.number, "pruned" if given[-1] else "complete", value=value)
    assert answers["one"] == answers["many"] == [False, False, True, False, True, False]


def test_no_pruner_prunes_nothing(ledger_url: str, space: SearchSpace) -> None:
    settings = dataclasses.replace(SETTINGS, pruner=PrunerSettings(kind="none"))
    ledger = Ledger.create(ledger_url, "s", settings, space)
    for value in (0.1, 0.9, 1.0, 2.0):
        trial = ledger.next_trial()
        assert trial
        ledger.report(trial.number, 1, value)
        assert not ledger.should_prune(trial.number, 1)


def test_the_median_pruner_waits_for_its_warm_up(ledger_url: str, space: SearchSpace) -> None:
    settings = dataclasses.replace(SETTINGS, pruner=PrunerSettings(kind="median", min_evaluations=2, warmup_trials=2))
    ledger = Ledger.create(ledger_url, "s", settings, space)
    for _ in range(2):
        trial = ledger.next_trial()
        assert trial
        ledger.report(trial.number, 1, 0.1)
        ledger.report(trial.number, 2, 0.1)
        assert not ledger.should_prune(trial.number, 2)
        ledger.tell(trial.number, "complete", value=0.1)
    bad = ledger.next_trial()
    assert bad
    ledger.report(bad.number, 1, 0.9)
    assert not ledger.should_prune(bad.number, 1)
    ledger.report(bad.number, 2, 0.9)
    assert ledger.should_prune(bad.number, 2)


def test_a_grid_is_walked_once_and_ends(ledger_url: str) -> None:
    """Conditions included: the alpha of a trial that does not use it makes no second trial."""
    grid = load_space(
        {
            "rank": {"type": "choice", "values": [2, 4]},
            "scaling": {"type": "choice", "values": ["fixed", "alpha_over_rank"]},
            "alpha": {"type": "choice", "values": [8.0, 16.0], "when": {"scaling": "alpha_over_rank"}},
        }
    )
    settings = SearchSettings(trials=50, sampler="grid")
    Ledger.create(ledger_url, "s", settings, grid)
    seen = []
    while (trial := (ledger := Ledger.open(ledger_url, "s", grid)).next_trial()) is not None:
        seen.append(tuple(sorted(trial.params.items())))
        finish(ledger, trial, 1.0)
    assert ledger.trials_asked == grid.size == 6
    assert sorted(seen) == sorted(tuple(sorted(p.items())) for p in grid.points())


def test_a_stopped_trial_is_unfinished_until_it_is_handed_out_again(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space)
    trial = ledger.next_trial()
    assert trial
    ledger.stop(trial.number, "the sweep was stopped")
    assert ledger.trial(trial.number).state == "stopped"
    assert [t.number for t in ledger.unfinished()] == [0]
    again = Ledger.open(any_ledger, "s", space).next_trial()
    assert again
    assert (again.number, again.state, again.ended_because) == (0, "running", "")


def test_notes_about_trial_and_sweep_are_kept(any_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(any_ledger, "s", SETTINGS, space, spec_yaml="name: s\n")
    trial = ledger.next_trial()
    assert trial
    ledger.note(trial.number, run_id="abc", worker="w")
    ledger.note_sweep(state="running", run_id="parent")
    again = Ledger.open(any_ledger, "s")
    assert (again.trial(0).run_id, again.trial(0).worker) == ("abc", "w")
    assert again.spec_yaml == "name: s\n"
    assert again.settings == SETTINGS
    sweep = Ledger.sweeps(any_ledger)[0]
    assert (sweep.name, sweep.state, sweep.run_id, sweep.trials) == ("s", "running", "parent", 6)
    assert sweep.counts == {"running": 1}


def test_a_ledger_opened_to_read_hands_out_nothing(ledger_url: str, space: SearchSpace) -> None:
    Ledger.create(ledger_url, "s", SETTINGS, space)
    with pytest.raises(LedgerError, match="opened to read"):
        Ledger.open(ledger_url, "s").next_trial()


def test_a_second_sweep_of_the_same_name_is_refused(any_ledger: str, space: SearchSpace) -> None:
    Ledger.create(any_ledger, "s", SETTINGS, space)
    with pytest.raises(LedgerError, match="sweeps resume s"):
        Ledger.create(any_ledger, "s", SETTINGS, space)


def test_a_sweep_whose_creation_was_cut_off_is_created_anew(any_ledger: str, space: SearchSpace) -> None:
    Ledger.create(any_ledger, "other", SETTINGS, space)
    optuna.create_study(study_name="s", storage=open_storage(any_ledger))
    assert [s.name for s in Ledger.sweeps(any_ledger)] == ["other"]
    assert Ledger.create(any_ledger, "s", SETTINGS, space).next_trial() is not None


def test_an_unknown_sweep_is_named_with_the_choices(any_ledger: str, space: SearchSpace) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        Ledger.open(any_ledger, "s")
    Ledger.create(any_ledger, "known", SETTINGS, space)
    with pytest.raises(NotFoundError, match=r"No sweep is named 's'.*: known\."):
        Ledger.open(any_ledger, "s")


def test_a_file_that_is_no_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("not a database, whatever its name says" * 100)
    with pytest.raises(LedgerError, match=r"file is not a database.*SWEEPS_LEDGER"):
        Ledger.sweeps(f"sqlite:///{path}")


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(LedgerError, match="SWEEPS_LEDGER") as error:
        Ledger.sweeps("postgresql://me:secret@127.0.0.1:1/ledger")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_readers_do_not_wait_for_the_driver(ledger_url: str, space: SearchSpace, tmp_path: Path) -> None:
    """While a transaction writes, `sweeps status` in another process can read."""
    Ledger.create(ledger_url, "s", SETTINGS, space)
    writer = sqlite3.connect(tmp_path / "ledger.db")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE studies SET study_name = 'renamed'")
    assert [s.name for s in Ledger.sweeps(ledger_url)] == ["s"]
    writer.close()


def stopped_by_hand(ledger: Ledger, values: list[float], **asked: Any) -> TrialRecord:
    """Report evaluations of a trial, and stop it as `sweeps trial stop` does."""
    if asked:
        ledger.add({"rank": 8}, request="r", **asked)
    trial = ledger.next_trial()
    assert trial
    for evaluation, value in enumerate(values, 1):
        ledger.report(trial.number, evaluation, value)
    ledger.tell(trial.number, "pruned", because=BY_HAND)
    return ledger.trial(trial.number)


def test_a_trial_stopped_by_hand_competes_with_its_best_whole_epoch(any_ledger: str, space: SearchSpace) -> None:
    """Two evaluations make an epoch, whose adapter is stored at its end: 0.1 and 0.2 are those of none."""
    settings = dataclasses.replace(SETTINGS, evaluations_per_epoch=2)
    ledger = Ledger.create(any_ledger, "s", settings, space)
    complete = ledger.next_trial()
    assert complete
    finish(ledger, complete, 0.5)
    stopped = stopped_by_hand(ledger, [0.1, 0.3, 0.6, 0.4, 0.2])
    assert (stopped.state, stopped.value, stopped.kept, stopped.score) == ("pruned", 0.2, 0.3, 0.3)
    best = Ledger.open(any_ledger, "s").best()
    assert best is not None
    assert (best.number, best.score) == (stopped.number, 0.3)
    too_early = stopped_by_hand(ledger, [0.01])
    assert too_early.score is None
    again = ledger.best()
    assert again is not None
    assert again.number == stopped.number


def test_of_a_trial_stopped_by_hand_only_stored_epochs_count_once_that_is_known(
    ledger_url: str, space: SearchSpace
) -> None:
    ledger = Ledger.create(ledger_url, "s", SETTINGS, space)
    stopped = stopped_by_hand(ledger, [0.5, 0.4, 0.3])
    assert stopped.score == 0.3
    ledger.note_stored(stopped.number, [1, 2])  # its worker died while it stored the third
    assert ledger.trial(stopped.number).score == 0.4
    ledger.note_stored(stopped.number, [])
    assert ledger.trial(stopped.number).score is None
    assert ledger.best() is None


def test_what_a_continued_trial_has_of_another_one_does_not_count_for_it(ledger_url: str, space: SearchSpace) -> None:
    """Those adapters are in the other one's run."""
    ledger = Ledger.create(ledger_url, "s", dataclasses.replace(SETTINGS, trials=1), space)
    first = ledger.next_trial()
    assert first
    finish(ledger, first, 0.3)
    longer = stopped_by_hand(ledger, [0.3, 0.4], continues=first.number, epochs=5)
    assert longer.score == 0.4


def test_an_accuracy_of_a_trial_stopped_by_hand_is_its_highest(ledger_url: str, space: SearchSpace) -> None:
    ledger = Ledger.create(ledger_url, "s", dataclasses.replace(SETTINGS, metric="val_accuracy"), space)
    assert stopped_by_hand(ledger, [0.2, 0.6, 0.4]).score == 0.6
