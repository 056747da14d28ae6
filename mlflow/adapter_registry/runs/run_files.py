"""Files of runs: how they reach the artifact store, and come back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Set
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar, final

from adapter_registry.errors import TrackingStoreError
from adapter_registry.store.outages import ForeignAnswerError
from trainer.masking import redact

T = TypeVar("T")


class _Patiently(Protocol):
    """Runs a call that is safe to repeat until the store answers."""

    def __call__(self, call: Callable[[], T], /) -> T: ...


@final
class RunFiles:
    """Writes and reads files of runs.

    Args:
        client: gives a client, which is opened when it is first needed.
        patiently: waits out outages.
        look_after: look for what was written: MLflow takes whatever page answers in a server's place for success.
    """

    def __init__(self, client: Callable[[], Any], patiently: _Patiently, *, look_after: bool) -> None:
        self._client = client
        self._patiently = patiently
        self._look_after = look_after

    def write(self, run_id: str, folder: str | None, files: Mapping[str, bytes]) -> None:
        """Store files, by name, in a folder of a run; None: beside its folders.

        Raises:
            TrackingStoreError: the store refused, with the place.
        """
        with tempfile.TemporaryDirectory() as local:
            for name, content in files.items():
                (Path(local) / name).write_bytes(content)
            self._named(run_id, lambda: self._upload(run_id, folder, local, files.keys()), "written to")

    def read(self, run_id: str, path: str) -> bytes | None:
        """A file's content; None when there is none.

        Raises:
            TrackingStoreError: the store refused, with the place.
        """
        return self._named(run_id, lambda: self._read(run_id, path), "read from")

    def _upload(self, run_id: str, folder: str | None, local: str, names: Set[str]) -> bool:
        self._client().log_artifacts(run_id, local, folder)
        if self._look_after:
            kept = {PurePosixPath(file.path).name for file in self._client().list_artifacts(run_id, folder)}
            if missing := names - kept:
                raise ForeignAnswerError(f"{', '.join(sorted(missing))} did not arrive in the run {run_id}.")
        return True

    def _read(self, run_id: str, path: str) -> bytes | None:
        parent = str(PurePosixPath(path).parent)
        found = self._client().list_artifacts(run_id, None if parent == "." else parent)
        if path not in {file.path for file in found if not file.is_dir}:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(self._client().download_artifacts(run_id, path, folder)).read_bytes()

    def _named(self, run_id: str, call: Callable[[], T], done: str) -> T:
        """Run a call; its error names the place, which an artifact store's own may leave out."""
        try:
            return self._patiently(call)
        except TrackingStoreError as error:
            where = redact(self._patiently(lambda: self._client().get_run(run_id)).info.artifact_uri)
            raise TrackingStoreError(f"{str(error).rstrip('.')} (files were to be {done} {where})") from None
