"""load_space: names, files and mappings; every mistake with its key and the choices."""

from pathlib import Path

import pytest

from search_spaces import Choice, DocumentError, Float, SearchSpaceError, load_space, ready_spaces

CONSTANT = "must be a mapping with `type`, or a constant (text on one line, a finite number, true, false or null)"


def mistakes(source, **options) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        load_space(source, **options)
    return str(caught.value).splitlines()


def test_python_objects_and_yaml_forms_make_equal_spaces():
    yaml_form = {"rank": {"type": "choice", "values": [2, 4]}, "epochs": 2}
    assert load_space(yaml_form) == load_space({"rank": Choice([2, 4]), "epochs": 2})


def test_a_space_is_returned_as_it_is():
    space = load_space({"rank": 2})
    assert load_space(space) is space


def test_every_mistake_is_told_with_its_key():
    source = {
        "learning_rate": {"type": "float", "low": 0.01, "high": 0.001, "log": True},
        "rank": {"type": "choise", "values": [1]},
        "epochs": {"type": "int", "low": 1, "hihg": 3},
        "alpha": [16, 32],
        "dropout": float("nan"),
        "scale": {"values": [1]},
        "seed": {},
    }
    assert mistakes(source) == [
        "learning_rate.low: `low < high` must hold, but got low=0.01 and high=0.001.",
        "rank.type: must be one of choice, int, float, constant, but got 'choise'. Did you mean `choice`?",
        "epochs.hihg: Unknown key. Did you mean `high`? Choose from: type, low, high, step, log, when.",
        "epochs.high: is missing; a parameter of type int needs low, high.",
        f"alpha: {CONSTANT}, but got [16, 32]. Write {{type: choice, values: [16, 32]}} to choose between them.",
        f"dropout: {CONSTANT}, but got nan.",
        "scale.type: must be one of choice, int, float, constant; it is missing.",
        "seed.type: must be one of choice, int, float, constant; it is missing.",
    ]


def test_a_key_of_another_type_is_unknown():
    assert mistakes({"rank": {"type": "choice", "values": [1], "log": True}}) == [
        "rank.log: Unknown key. Choose from: type, values, when."
    ]


@pytest.mark.parametrize("source", [3, None, ["rank"], True, 1.5])
def test_other_values_are_no_space(source):
    assert mistakes(source)[0].startswith("must be one of gemma2_2b, gemma2_9b, quickstart, a YAML file, or a mapping")


def test_a_name_that_is_nearly_right_is_guessed():
    assert mistakes("quikstart") == [
        "Unknown search space 'quikstart'. Did you mean `quickstart`? "
        "Choose from: gemma2_2b, gemma2_9b, quickstart, or give the path of a YAML file."
    ]


def test_a_file_is_read_from_the_given_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text("rank: {type: choice, values: [2, 4]}\n", encoding="utf-8")
    assert load_space("mine.yaml", folder=tmp_path) == load_space(tmp_path / "mine.yaml")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbfrank: 2\n")
    assert load_space(tmp_path / "mine.yaml").parameters.keys() == {"rank"}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"rank: 2\nrank: 4\n", "line 2, column 1: the key `rank` is given twice; keep one."),
        (b"- rank\n", "must map parameters to values, but holds ['rank']."),
        (b"", "is empty, but must map keys to values."),
        (b"# rank: 2\n", "is empty, but must map keys to values."),
        (b"rank: \xff\n", "must be UTF-8 text, but byte 6 is not; save it as UTF-8."),
        (b"rank: [2, 4\n", "this is no YAML:"),
    ],
)
def test_a_file_that_is_no_space_is_told_with_its_place(tmp_path, content, part):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    (line,) = mistakes(path)
    assert line.startswith(str(path))
    assert part in line


@pytest.mark.parametrize(
    "source", ["/nowhere/space.yaml", Path("/nowhere"), "a\0b", "~nobody_at_all/x.yaml", "x" * 5000 + ".yaml"]
)
def test_a_path_that_leads_nowhere_is_a_document_error(source):
    with pytest.raises(DocumentError):
        load_space(source)


def test_a_folder_is_no_file(tmp_path):
    assert "is no file" in mistakes(tmp_path)[0]


def test_there_is_a_ready_space_for_the_quickstart_and_for_two_sizes_of_gemma():
    assert set(ready_spaces()) == {"quickstart", "gemma2_2b", "gemma2_9b"}


@pytest.mark.parametrize("name", ready_spaces())
def test_a_ready_space_round_trips(name):
    assert load_space(load_space(name).to_mapping()) == load_space(name)


def test_the_space_of_2b_covers_what_it_promises():
    parameters = load_space("gemma2_2b").parameters
    assert parameters["rank"] == Choice([4, 8, 16, 32, 64])
    assert parameters["learning_rate"] == Float(5e-5, 2e-3, log=True)
    assert parameters["epochs"].grid() == (1, 2, 3)
    assert parameters["alpha"].conditions[0].parent == "scaling"
