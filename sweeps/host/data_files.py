"""Data files at an address: fetched once per machine, and checked against the digest that the launch has seen.

    path = at_hand("s3://bucket/train.json", digest="3f2a…", tracking_uri=None)

Addresses are what fsspec opens (`s3://`, `gs://`, `http(s)://`, `hf://`), and `runs:/RUN/PATH`: an artifact of an
MLflow run, as which a launch on a cluster ships the files of the machine that it was typed on.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from search_spaces.wording import choices, show
from sweeps.host.node_cache import cache_folder, only_one
from sweeps.sentences import root_cause, sentence_of
from trainer.errors import DataError
from trainer.masking import redact

SCHEMES = ("s3", "gs", "http", "https", "hf")
RUNS = "runs:/"
_NEEDED = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}


def is_address(source: str) -> bool:
    """Whether a data source is an address, and no path of this machine."""
    return "://" in source or source.startswith(RUNS)


def is_builtin(source: str) -> bool:
    """Whether a data source is meant as one that comes with the package, though perhaps misspelt."""
    return source.startswith("builtin")


def is_file(source: str) -> bool:
    """Whether a data source is a path of the machine that reads the spec."""
    return not is_address(source) and not is_builtin(source)


def check_address(source: str) -> None:
    """Check that an address can be one of data.

    Raises:
        ValueError: another scheme, or a password or token in it.
    """
    if not source.startswith(RUNS) and source.partition("://")[0] not in SCHEMES:
        raise ValueError(f"must begin with {choices([f'{each}://' for each in SCHEMES])}, but got {show(source)}.")
    if redact(source) != source:
        raise ValueError(
            f"must not hold a password or token, because MLflow keeps the spec, but got {show(redact(source))}. Give "
            "them by the environment of the machines that read it."
        )


def at_hand(source: str, digest: str | None, tracking_uri: str | None) -> Path:
    """Return a file of this machine with the content at an address; one of a known digest is fetched once.

    Args:
        source: the address.
        digest: SHA-256 of the content, in hex; None: whatever is there now.
        tracking_uri: of MLflow, for `runs:/` addresses; None: as the environment says.

    Raises:
        DataError: it cannot be read from here, or has another digest.
        HomeError: this machine has no folder for it.
    """
    folder = cache_folder() / "data" / hashlib.sha256(source.encode()).hexdigest()[:32]
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(source).path).name)[-100:] or "data"
    with only_one(folder):
        if digest is not None and (kept := folder / digest / name).exists() and digest_of(kept) == digest:
            return kept
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            fetched = Path(temporary) / name
            _fetch(source, fetched, tracking_uri)
            found = digest_of(fetched)
            if digest not in (None, found):
                raise DataError(
                    f"The data at {show(source)} must have the digest {digest:.12}… that it had when the sweep was "
                    f"launched, but has {found:.12}…. Launch a new sweep for data that has changed."
                )
            kept = folder / found / name
            kept.parent.mkdir(exist_ok=True)
            return fetched.replace(kept)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(source: str, target: Path, tracking_uri: str | None) -> None:
    """Fetch a file.

    Raises:
        DataError: it cannot be read from here.
    """
    try:
        if source.startswith(RUNS):
            _fetch_artifact(source, target, tracking_uri)
        else:
            _fetch_file(source, target)
    except ImportError as error:
        package = _NEEDED.get(source.partition("://")[0], error.name or "")
        raise DataError(
            f"The data at {show(source)} needs the Python package {package!r}, which is missing. Install it on every "
            f"machine that reads it: pip install {package}."
        ) from None
    except Exception as error:
        reason = redact(sentence_of(root_cause(error)).rstrip("."))
        raise DataError(f"The data at {show(source)} cannot be read from here: {reason}.") from None


def _fetch_file(source: str, target: Path) -> None:
    import fsspec

    files, path = fsspec.url_to_fs(source)
    files.get_file(path, str(target))


def _fetch_artifact(source: str, target: Path, tracking_uri: str | None) -> None:
    from adapter_registry.store.connection import client

    run_id, _, path = source.removeprefix(RUNS).partition("/")
    store = client(tracking_uri or os.environ["MLFLOW_TRACKING_URI"])
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        Path(store.download_artifacts(run_id, path, folder)).replace(target)
