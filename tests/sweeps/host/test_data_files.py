"""Data at addresses: fetched once, never changed behind a sweep's back; one sentence when it is not there."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sweeps.datasets import pinned, read_data
from sweeps.errors import HomeError, SpecError
from sweeps.host.data_files import at_hand, digest_of
from sweeps.host.node_cache import cache_folder
from sweeps.spec import parse_spec
from tests.services import serving
from trainer.errors import DataError

DIALOGUE = {
    "messages": [{"role": "user", "content": "요즘 잠을 못 자요"}, {"role": "model", "content": "힘드시겠어요."}]
}


class _Server(ThreadingHTTPServer):
    """Serves a folder on the loopback, and keeps the paths that it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        if self.command == "GET":
            self.server.asked.append(self.path)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.fixture
def server(folder) -> Iterator[_Server]:
    server = _Server(folder)
    with serving(server):
        yield server


def write(folder: Path, dialogues: int = 3) -> str:
    """Write dialogues as `train.jsonl`; their digest."""
    content = "".join(json.dumps(DIALOGUE, ensure_ascii=False) + "\n" for _ in range(dialogues)).encode()
    (folder / "train.jsonl").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def spec_of(source):
    raw = {"name": "x", "base": {"model": "builtin"}, "search": {"space": "quickstart"}}
    return parse_spec({**raw, "data": {"train": source, "validation": source}})


# ---- fetching -------------------------------------------------------------------------------------------------------


def test_what_was_fetched_once_is_at_hand_without_its_server(folder, server):
    digest = write(folder)
    address = server.address("train.jsonl")
    first = at_hand(address, digest, None)
    (folder / "train.jsonl").unlink()
    assert at_hand(address, digest, None) == first
    assert first.read_bytes().count(b"\n") == 3
    assert first.is_relative_to(cache_folder())


def test_processes_that_want_the_same_file_fetch_it_once(folder, server):
    digest = write(folder)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: at_hand(server.address("train.jsonl"), digest, None), range(8)))
    assert len(set(found)) == 1
    assert len(server.asked) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(folder, server):
    digest = write(folder)
    address = server.address("train.jsonl")
    at_hand(address, digest, None).write_bytes(b"half of i")
    assert digest_of(at_hand(address, digest, None)) == digest


def test_data_that_has_changed_since_the_launch_is_refused(folder, server):
    digest = write(folder)
    changed = write(folder, dialogues=4)
    with pytest.raises(DataError, match=rf"must have the digest {digest[:12]}….* but has {changed[:12]}…") as caught:
        at_hand(server.address("train.jsonl"), digest, None)
    assert "Launch a new sweep" in str(caught.value)


def test_without_a_digest_the_newest_content_is_fetched(folder, server):
    write(folder)
    at_hand(server.address("train.jsonl"), None, None)
    changed = write(folder, dialogues=4)
    assert digest_of(at_hand(server.address("train.jsonl"), None, None)) == changed


def test_an_artifact_of_a_run_is_an_address(tmp_path):
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    digest = write(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with MlflowTracker(uri, "test", str(tmp_path / "artifacts")) as tracker:
        run_id = tracker.open_sweep("x", spec_yaml="", tags={}, params={})
        tracker.log_file(run_id, "data/train.jsonl", (tmp_path / "train.jsonl").read_bytes())
    found = at_hand(f"runs:/{run_id}/data/train.jsonl", digest, uri)
    assert found.name == "train.jsonl"
    assert digest_of(found) == digest


# ---- what cannot be fetched -----------------------------------------------------------------------------------------


def test_a_missing_file_is_told_by_its_address(server):
    address = server.address("missing.jsonl")
    with pytest.raises(DataError, match="cannot be read from here") as caught:
        at_hand(address, None, None)
    assert address in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/x\.json.* cannot be read from here"):
        at_hand("http://127.0.0.1:1/x.json", None, None)


def test_a_scheme_whose_package_is_missing_names_it():
    with pytest.raises(DataError, match=r"needs the Python package 's3fs', which is missing.*pip install s3fs"):
        at_hand("s3://bucket/train.json", None, None)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path / "file"))
    with pytest.raises(HomeError, match=r"cannot be used for what is fetched: .*SWEEPS_CACHE"):
        at_hand("http://127.0.0.1:1/x.json", None, None)


# ---- in a spec ------------------------------------------------------------------------------------------------------


def test_a_spec_is_pinned_to_the_content_that_the_launch_saw(folder, server):
    digest = write(folder)
    spec = pinned(spec_of({"source": server.address("train.jsonl"), "format": "chat"}))
    assert spec.data.train.digest == digest
    assert spec.data.validation["val"].digest == digest
    assert spec.data.train.format == "chat"
    assert len(server.asked) == 1
    assert len(read_data(spec).train.dialogues) == 3
    assert len(server.asked) == 1
    assert pinned(spec) is spec


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://host/x.json", r"must begin with s3://, gs://, http://, https://, hf://, but got 'ftp://host/x.json'"),
        ("https://me:secret@host/x.json", r"must not hold a password or token.*https://me:\*\*\*@host"),
        ("https://host/x.json?token=secret", r"must not hold a password or token.*token=\*\*\*"),
        ("https://host/x.json?X-Amz-Signature=secret", r"must not hold a password or token.*Signature=\*\*\*"),
    ],
)
def test_addresses_that_cannot_be_data_are_refused(source, said):
    with pytest.raises(SpecError, match=said) as caught:
        spec_of(source)
    assert "secret" not in str(caught.value)


def test_a_digest_is_a_sha256():
    with pytest.raises(SpecError, match="must be a SHA-256 of 64 hexadecimal digits, but got 'abc'"):
        spec_of({"source": "https://host/x.json", "digest": "abc"})
