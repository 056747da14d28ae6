"""A trial's checkpoints in its run: the last two, in two places that are written in turn.

Nothing has to be deleted, which not every artifact store can, and one whole checkpoint is there at any moment: the
content comes first, then the manifest that names its digest. A write that was cut off leaves a content that its
manifest does not fit, and the other place is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from adapter_registry.runs.tracking import Tracker

PLACES = ("checkpoints/1", "checkpoints/2")
STATE_FILE = "state.npz"
MANIFEST_FILE = "manifest.json"
_KEPT_IN_MIND = 10_000


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """What a checkpoint is: taken after the optimiser step `step`, `size` bytes whose digest is `sha256` (hex)."""

    step: int
    sha256: str
    size: int

    @classmethod
    def read(cls, content: bytes | None) -> CheckpointManifest | None:
        """Read a manifest; None when it is missing or is none."""
        try:
            values = json.loads(content or b"")
            return cls(int(values["step"]), str(values["sha256"]), int(values["size"]))
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
            return None


@final
class Checkpoints:
    """Writes and reads the checkpoints of the runs of one tracker; used by one thread at a time for each run."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._next: dict[str, int] = {}

    def save(self, run_id: str, step: int, content: bytes, *, may_have_some: bool = True) -> None:
        """Store a checkpoint in the place of the older of the two, without looking for them where there are none."""
        if run_id not in self._next:
            self._next[run_id] = self._order(run_id)[-1][0] if may_have_some else 0
        place = self._next[run_id]
        manifest = CheckpointManifest(step, hashlib.sha256(content).hexdigest(), len(content))
        self._tracker.log_file(run_id, f"{PLACES[place]}/{STATE_FILE}", content)
        self._tracker.log_file(run_id, f"{PLACES[place]}/{MANIFEST_FILE}", json.dumps(asdict(manifest)).encode())
        self._next[run_id] = 1 - place
        if len(self._next) > _KEPT_IN_MIND:
            self._next.pop(next(iter(self._next)))

    def latest(self, run_id: str) -> bytes | None:
        """The content of the newest whole checkpoint; None when there is none."""
        for place, manifest in self._order(run_id):
            content = self._tracker.read_file(run_id, f"{PLACES[place]}/{STATE_FILE}") if manifest else None
            if manifest and content and hashlib.sha256(content).hexdigest() == manifest.sha256:
                self._next[run_id] = 1 - place
                return content
        return None

    def _order(self, run_id: str) -> list[tuple[int, CheckpointManifest | None]]:
        """Both places, the newest first and an empty one last."""
        files = [self._tracker.read_file(run_id, f"{place}/{MANIFEST_FILE}") for place in PLACES]
        read = [CheckpointManifest.read(file) for file in files]
        return sorted(
            enumerate(read), key=lambda pair: (-1 if pair[1] is None else pair[1].step, pair[0]), reverse=True
        )
