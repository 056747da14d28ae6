"""Whatever a spec or a data file holds: exit code 0, or 2 with sentences; no traceback, and nothing is left behind.

Every case goes through the command line, `sweeps launch FILE --dry-run`, in this process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.cli import main
from sweeps.cli.app import app
from tests.sweeps.spoiled_specs import MAPPINGS, TEXTS, WORDS, mutated
from tests.trainer.dialogue_files import (
    AIHUB,
    CHAT,
    EDITS,
    GOOD_FILES,
    JSON_VALUES,
    SHAREGPT,
    TOKENS,
    edited,
    place_in,
)

pytestmark = pytest.mark.slow

LONGEST_S = 20.0  # on a machine that does much else; a case that waits or reads for ever is cut off by pytest
Launch = Callable[[dict[str, bytes]], str]


def fuzz(cases: int) -> settings:
    return settings(max_examples=cases, deadline=None, derandomize=True, database=None)


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, with what would change if it was written."""
    return {str(each): (each.lstat().st_size, each.lstat().st_mtime_ns) for each in folder.rglob("*")}


def dry_run(spec: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a dry run; the streams encode as a terminal's do."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["launch", spec, "--dry-run"])
        out.flush(), err.flush()
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder of all cases, whose home is not there yet."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI", "COLUMNS"):
            patch.delenv(name, raising=False)
        patch.setenv("SWEEPS_HOME", str(folder / "home"))
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("sweeps.cli.app.app", typer.main.get_command(app))  # else typer builds all commands each time
        yield folder


@pytest.fixture(scope="module")
def launch(folder: Path) -> Launch:
    """Launches `spec.yaml` among some files, checks what is true of every case, and returns the errors."""

    def run(files: dict[str, bytes]) -> str:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        before, began = seen(folder), time.monotonic()
        code, out, err = dry_run("spec.yaml")
        assert time.monotonic() - began < LONGEST_S
        assert seen(folder) == before
        for name in files:
            (folder / name).unlink()
        check_ending(code, out, err)
        return err

    return run


def check_ending(code: int, out: str, err: str) -> None:
    assert code in {0, 2}, err
    assert "Traceback" not in out + err
    lines = err.splitlines()
    assert bool(lines) == (code == 2)
    for line in lines:
        assert line.startswith("Error: ")
        assert line.isprintable()
        assert len(line) > len("Error: x.")


def reads(source: object, **options: object) -> bytes:
    """A spec that trains on a source."""
    spec = {
        "name": "fuzz",
        "base": {"model": "builtin"},
        "data": {"train": {"source": source, **options}, "validation": "pairs.csv"},
        "search": {"space": {"rank": {"type": "choice", "values": [2, 4]}}, "trials": 2},
        "compute": {"slots": 2},
    }
    return yaml.safe_dump(spec, allow_unicode=False).encode()


PAIRS = {"pairs.csv": GOOD_FILES["pairs.csv"]}


# --- specs ----------------------------------------------------------------------------------------------------------


@st.composite
def yaml_files(draw: st.DrawFn) -> bytes:
    """A spoiled example as a file; mostly it reads a small data file, which is quicker than what is built in."""
    raw = draw(mutated())
    if isinstance(raw.get("data"), dict) and draw(st.integers(0, 9)):
        raw["data"] |= {"train": "pairs.csv"} if isinstance(raw["data"].get("train"), str) else {}
        raw["data"] |= {"validation": "pairs.csv"} if isinstance(raw["data"].get("validation"), str) else {}
    style = draw(st.sampled_from([None, True, False]))
    text = yaml.safe_dump(raw, allow_unicode=draw(st.booleans()), default_flow_style=style)
    return text.encode("utf-8", "surrogatepass")


@fuzz(700)
@given(content=yaml_files())
def test_a_spoiled_spec_leaves_sentences_and_no_trace(launch: Launch, content: bytes) -> None:
    launch(PAIRS | {"spec.yaml": content})


PIECES = [
    *(
        b"!!python/object:os.system ",
        b"!!python/object/apply:os.system ['touch pwned'] ",
        b"!!binary ",
        b"!!set ",
        b"!x ",
    ),
    *(
        b"&a ",
        b"*a",
        b"<<: ",
        b"---\n",
        b"...\n",
        b"%YAML 9.9\n",
        b"? ",
        b"| ",
        b">-\n",
        b"[" * 50,
        b"{" * 50,
        b"- " * 50,
    ),
    *(b"\t", b"\xc2\x85", b"\xe2\x80\xa8", b"1e999", b"0x" + b"f" * 99, b".nan", b"-.inf", b"9" * 5000, b"\\ud800"),
]
BYTES = (
    st.sampled_from(PIECES + TOKENS[:-3])
    | st.binary(max_size=4)
    | WORDS.map(lambda word: word.encode("utf-8", "surrogatepass"))
)
PLACES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), BYTES), max_size=3)
ENCODINGS = st.sampled_from(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp949", "utf-7"])


@fuzz(500)
@given(text=st.sampled_from(TEXTS), encoding=ENCODINGS, edits=PLACES, cut=st.floats(0, 4))
def test_a_damaged_text_leaves_sentences_and_no_trace(
    launch: Launch, text: str, encoding: str, edits: list[tuple[float, int, bytes]], cut: float
) -> None:
    content = edited(text.replace("builtin:train", "pairs.csv").encode(encoding), edits)
    launch(PAIRS | {"spec.yaml": content[: int(cut * len(content))]})


def bomb(levels: int) -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x, x]", *lines, f"name: *a{levels - 1}"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "null",
        "[]",
        "- 1",
        "name: !!python/object/apply:os.system ['touch pwned']",
        "!!python/object/new:os.system ['touch pwned']",
        "name: !!python/name:os.system",
        "name: !include /etc/passwd",
        "name: &a [*a]",
        "&a {name: *a, base: *a, data: *a}",
        bomb(12),
        "name: " + "[" * 20_000,
        "name: " + "[" * 20_000 + "]" * 20_000,
        "{" * 5_000,
        "- " * 5_000,
        "a: " * 3_000,
        "? " * 3_000,
        "name: " + "9" * 100_000,
        "x" * 300_000,
        "name: a\nname: b",
        "<<: {name: a}",
        "--- a\n--- b",
        "name: ../../pwned\nbase: {model: builtin}",
        "experiment: ../../pwned",
        "promotion: {model: ../../pwned}",
    ],
    ids=lambda text: text[:24],
)
def test_hostile_yaml_is_refused(launch: Launch, text: str) -> None:
    assert launch({"spec.yaml": text.encode()})


# --- data files -----------------------------------------------------------------------------------------------------

FORMATS = st.sampled_from(["auto", "auto", "aihub", "chat", "csv"])
SUFFIXES = st.sampled_from(["", "", ".json", ".jsonl", ".csv", ".tsv", ".xlsx"])
MORE = [b"<start_of_turn>model\n", b"<end_of_turn>", b"<bos>", b"<pad>", b"1e999", b"1" * 4000, "가".encode("cp949")]
DAMAGE = EDITS | st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.sampled_from(MORE)), min_size=1, max_size=3)


@fuzz(600)
@given(name=st.sampled_from(sorted(GOOD_FILES)), edits=DAMAGE, suffix=SUFFIXES, format=FORMATS, cut=st.floats(0.01, 4))
def test_a_damaged_data_file_leaves_sentences_and_no_trace(
    launch: Launch, name: str, edits: list[tuple[float, int, bytes]], suffix: str, format: str, cut: float
) -> None:
    content = edited(GOOD_FILES[name], edits)
    data = f"data{suffix or Path(name).suffix}"
    launch(PAIRS | {"spec.yaml": reads(data, format=format), data: content[: int(cut * len(content)) or None]})


@fuzz(400)
@given(
    record=st.sampled_from([AIHUB, CHAT, *SHAREGPT]),
    steps=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    value=JSON_VALUES | st.sampled_from(["\ud800", "<end_of_turn>", "\0", 10**400, 1e308, -0.0, "\ufeff", "\u202e"]),
    remove=st.booleans(),
    format=FORMATS,
)
def test_any_value_in_a_record_leaves_sentences_and_no_trace(
    launch: Launch, record: Any, steps: list[int], value: Any, remove: bool, format: str
) -> None:
    broken = json.loads(json.dumps([record, record]))
    here, key = place_in(broken, steps)
    if remove:
        del here[key]
    else:
        here[key] = value
    launch(PAIRS | {"spec.yaml": reads("data.json", format=format), "data.json": json.dumps(broken).encode()})


PATHS = [
    *(
        "../../etc/shadow",
        "/etc",
        ".",
        "..",
        "/",
        "",
        " ",
        "~",
        "~root/x",
        "~nobody-of-this-name/x",
        "a\0b",
        "x" * 5000,
    ),
    *("/dev/zero", "/dev/stdin", "/dev/tty", "/dev/random", "/dev/full", "/dev/fd/0", "/proc/self/mem", "/proc/kmsg"),
    *("/proc/kcore", "/proc/self/fd/0", "/proc/self/environ", "/proc/self/pagemap", "/sys/kernel/tracing/trace_pipe"),
    *(
        "fifo",
        "link-to-zero",
        "link-to-fifo",
        "loop",
        "dangling",
        "folder",
        "spec.yaml",
        "huge.json",
        "http://x/y.json",
    ),
    *("file:///dev/zero", "builtin:../../x", "builtin:", "builtin:nothing", "\ud800.json", "pairs.csv/x", "C:\\x"),
]


@pytest.fixture
def traps(folder: Path) -> Iterator[None]:
    """What a path can lead to that is no file of data."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    with (folder / "huge.json").open("wb") as file:
        file.truncate(2**42)  # holes: nothing is on the disk
    links = {"link-to-zero": "/dev/zero", "link-to-fifo": "fifo", "loop": "loop", "dangling": "nowhere"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    yield
    (folder / "folder").rmdir()
    for name in ("fifo", "huge.json", *links):
        (folder / name).unlink()


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:24]))
@pytest.mark.parametrize("place", ["data.train", "data.validation", "base.model", "search.space", "the spec"])
def test_a_path_that_leads_elsewhere_is_refused_without_reading_it(
    launch: Launch, folder: Path, path: str, place: str
) -> None:
    if place == "the spec":
        before = seen(folder)
        check_ending(*dry_run(path))
        assert seen(folder) == before
        return
    spec = yaml.safe_load(reads("pairs.csv"))
    section, key = place.split(".")
    spec[section][key] = path
    assert launch(PAIRS | {"spec.yaml": yaml.safe_dump(spec).encode("utf-8", "surrogatepass")})


@pytest.mark.parametrize("name", ["config.json", "tokenizer.model", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["fifo", "zero", "empty", "nested", "list", "folder"])
def test_a_base_model_of_traps_is_refused(launch: Launch, folder: Path, name: str, kind: str) -> None:
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2"}))
    trap = base / name
    trap.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(trap)
    elif kind == "zero":
        trap.symlink_to("/dev/zero")
    elif kind == "folder":
        trap.mkdir()
    else:
        trap.write_text({"empty": "", "nested": "[" * 100_000, "list": "[1]"}[kind])
    try:
        spec = yaml.safe_load(reads("pairs.csv")) | {"base": {"model": "./base"}}
        assert launch(PAIRS | {"spec.yaml": yaml.safe_dump(spec).encode()})
    finally:
        for each in base.iterdir():
            each.rmdir() if each.is_dir() and not each.is_symlink() else each.unlink()
        base.rmdir()


def test_the_examples_that_are_spoiled_here_can_be_launched(launch: Launch) -> None:
    """Else every case above would end at its first mistake."""
    quick = next(raw for raw in MAPPINGS if raw["name"] == "quickstart")
    assert launch({"spec.yaml": yaml.safe_dump(quick, allow_unicode=True).encode()}) == ""
    assert launch(PAIRS | {"spec.yaml": reads("pairs.csv")}) == ""
