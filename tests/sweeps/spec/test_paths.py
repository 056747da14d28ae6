"""Relative paths start from the spec's folder; what is not there is told before anything starts."""

from pathlib import Path

import pytest

from sweeps.errors import SpecError
from sweeps.spec import SweepSpec, file_mistakes, load_spec, read_spec

SPEC = """
name: x
base: {{model: {model}}}
data: {{train: {train}, validation: {{val: builtin:validation, chat: {{source: ../chat.jsonl}}}}}}
search: {{space: {space}}}
"""


def write(folder: Path, *, model: str = "builtin", train: str = "train.json", space: str = "quickstart") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sweep.yaml"
    path.write_text(SPEC.format(model=model, train=train, space=space), encoding="utf-8")
    return path


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def load(path: Path, *overrides: str) -> SweepSpec:
    return load_spec(path, overrides)


def test_paths_start_from_the_specs_folder(tmp_path, elsewhere):
    spec = load(write(tmp_path / "specs"))
    assert spec.data.train.source == str(tmp_path / "specs" / "train.json")
    assert spec.data.validation["chat"].source == str(tmp_path / "chat.jsonl")


def test_paths_of_overrides_start_from_here(tmp_path, elsewhere):
    spec = load(write(tmp_path / "specs"), "data.train=mine.json", "data.validation.chat.source=chat.jsonl")
    assert spec.data.train.source == str(elsewhere / "mine.json")
    assert spec.data.validation["chat"].source == str(elsewhere / "chat.jsonl")


def test_a_home_folder_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert load(write(tmp_path, train="~/train.json")).data.train.source == "/home/me/train.json"


def test_a_space_beside_the_spec_is_read(tmp_path, elsewhere):
    (tmp_path / "my_space.yaml").write_text("rank: {type: choice, values: [2, 4]}")
    assert load(write(tmp_path, space="my_space.yaml")).search.space.varied == ("rank",)


@pytest.mark.parametrize("model", ["builtin", "gemma2_2b_en", "kaggle://keras/gemma2/keras/gemma2_2b_en", "hf://a/b"])
def test_names_of_models_stay_names(tmp_path, model):
    assert load(write(tmp_path, model=model)).base.model == model


@pytest.mark.parametrize("model", ["./gemma", "gemma", "../specs/gemma"])
def test_a_folder_of_a_model_becomes_absolute(tmp_path, elsewhere, model):
    (tmp_path / "specs" / "gemma").mkdir(parents=True)
    assert load(write(tmp_path / "specs", model=model)).base.model == str(tmp_path / "specs" / "gemma")


def test_a_resolved_spec_means_the_same_anywhere(tmp_path, elsewhere, monkeypatch):
    spec = load(write(tmp_path / "specs"))
    text = spec.to_yaml()
    monkeypatch.chdir("/")
    assert read_spec(text) == spec


def test_missing_files_are_told_with_their_keys(tmp_path):
    spec = load(write(tmp_path / "specs", model="./nothing"))
    assert [m.key for m in file_mistakes(spec)] == ["base.model", "data.train", "data.validation.chat"]
    assert str(file_mistakes(spec)[1]) == (
        f"data.train: must be a file that can be read, but '{tmp_path}/specs/train.json' does not exist."
    )


def test_files_that_are_there_are_no_mistakes(tmp_path):
    path = write(tmp_path / "specs")
    (tmp_path / "specs" / "train.json").write_text("[]")
    (tmp_path / "chat.jsonl").write_text("")
    assert file_mistakes(load(path)) == []


def test_a_folder_is_no_data_file(tmp_path):
    path = write(tmp_path / "specs", train=".")
    (mistake,) = (str(each) for each in file_mistakes(load(path)) if each.key == "data.train")
    assert f"is a folder. Put records of a file each into one file: jq -c . {tmp_path / 'specs'}/*.json" in mistake


def test_a_preset_that_does_not_exist_is_told_with_the_choices(tmp_path):
    spec = load(write(tmp_path, model="gemma2_2b_em"))
    assert "gemma2_2b_en" in file_mistakes(spec)[0].text


@pytest.mark.parametrize("train", ["~nobody_at_all/x.json", '"a\\0b"', "x" * 4000])
def test_strange_paths_are_told_and_not_crashed_on(tmp_path, train):
    path = write(tmp_path, train=train)
    try:
        assert "data.train" in [m.key for m in file_mistakes(load(path))]
    except SpecError as error:
        assert error.mistakes[0].key == "data.train.source"
