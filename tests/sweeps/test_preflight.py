"""What the checks before a launch say of dialogues that are longer than `data.max_tokens`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sweeps.datasets import read_data
from sweeps.preflight import Preflight, check_spec
from sweeps.spec import load_spec
from trainer.errors import DataError

Check = Callable[..., Preflight]

SHORT, LONG = ["안녕", "네, 안녕하세요"], ["요즘 잠을 못 자요", "그랬군요", "마음이 무거워요", "쉬어 볼까요?"] * 12
WORDY = ["안녕", "네 " * 60]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks the quickstart with other dialogues for both sets."""
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "home"))

    def run(dialogues: Sequence[Sequence[str]], *overrides: str) -> Preflight:
        lines = [
            {"messages": [{"role": "model" if i % 2 else "user", "content": text} for i, text in enumerate(texts)]}
            for texts in dialogues
        ]
        path = tmp_path / "dialogues.jsonl"
        path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        sources = [f"data.train={path}", f"data.validation={path}", "training.evaluations_per_epoch=1"]
        return check_spec(load_spec("quickstart", [*sources, *overrides]))

    return run


def test_dialogues_that_are_cut_are_told_and_kept(check: Check) -> None:
    checked = check([LONG] * 3 + [SHORT], "data.max_tokens=64")
    assert checked.dialogues == {"train": 4, "val": 4}
    assert any(
        told.startswith("train: 3 dialogues are longer than 64 tokens and cut at turns") for told in checked.remarks
    )
    assert len(checked.remarks) == 2


def test_lost_replies_are_told_with_the_limit_that_keeps_them(check: Check) -> None:
    told = check([SHORT] * 3 + [WORDY], "data.max_tokens=64").remarks
    lost = [each for each in told if each.startswith("val: lost 1 of 4 replies")]
    limit = int(lost[0].partition("`data.max_tokens: ")[2].partition("`")[0])
    assert lost[0].endswith("keeps all")
    assert check([SHORT] * 3 + [WORDY], f"data.max_tokens={limit}").remarks == ()


def test_a_set_that_would_lose_most_of_its_replies_is_refused(check: Check) -> None:
    with pytest.raises(DataError, match=r"3 of 4 of 'train' need more than 64; raise `max_tokens`: with \d+ all"):
        check([SHORT] + [WORDY] * 3, "data.max_tokens=64")


def test_digests_are_those_of_before_where_nothing_is_cut_and_others_where_it_is(check: Check) -> None:
    """So that old champions stay comparable, but not with sweeps that score replies which theirs left out."""

    def of_before(checked: Preflight) -> str:
        data = read_data(checked.spec)
        key = f"{data.validation['val'].digest} {checked.spec.data.loss_on} {checked.spec.data.max_tokens}"
        return hashlib.sha256(key.encode()).hexdigest()

    whole, cut = check([SHORT, SHORT, LONG], "data.max_tokens=2048"), check([SHORT, SHORT, LONG], "data.max_tokens=64")
    assert whole.digests["val"] == of_before(whole)
    assert cut.digests["val"] != of_before(cut)


def test_a_vocabulary_that_is_not_at_hand_leaves_open_what_is_cut(check: Check) -> None:
    """The digest is then of the rule, whatever the worker finds: it does not depend on what a machine has fetched."""
    here = check([SHORT], "data.max_tokens=64")
    afar = check([SHORT], "data.max_tokens=64", "base.model=gemma2_instruct_2b_en")
    assert afar.digests["val"] != here.digests["val"]
    assert afar.digests["val"] == check([SHORT], "data.max_tokens=64", "base.model=gemma2_2b_en").digests["val"]


def test_roles_of_the_spec_are_those_of_the_data(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "named.jsonl"
    path.write_text(json.dumps([{"speaker": "A", "text": "안녕"}, {"speaker": "B", "text": "네"}]), encoding="utf-8")
    with pytest.raises(DataError, match=r"named.jsonl, record 1: `messages\[0\].speaker` must be a known role"):
        check([SHORT], f"data.validation={path}")
    checked = check([SHORT], f"data.validation.source={path}", "data.validation.roles={A: user, B: model}")
    assert checked.dialogues == {"train": 1, "val": 1}
