"""Names and values as MLflow takes them: run names, metric keys, parameter strings, tags."""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

SWEEP_NAME = "sweep.name"
SWEEP_ID = "sweep.id"  # of its ledger: another ledger may have a sweep of the same name
SWEEP_TRIAL = "sweep.trial"
SWEEP_STATE = "sweep.state"
SWEEP_RETRY_OF = "sweep.retry_of"  # the number of the failed trial that this one tries again
SWEEP_CONTINUES = "sweep.continues"  # the number of the trial that this one trains on
SWEEP_KEPT = "sweep.kept"  # on the one run that stays when several processes have created the same
SWEEP_ORPHAN = "sweep.orphan"  # in place of SWEEP_TRIAL: the number of a trial that the run is not, or no longer, of
SWEEP_PROMPT = "sweep.prompt"  # what its champion may be asked, in the language that it was trained in
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"

# MLflow's own limits; beyond them it refuses (a key) or cuts in silence (a value).
MAX_KEY_CHARS = 250
MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 8000

_SHORT = {
    "rank": "r",
    "learning_rate": "lr",
    "epochs": "ep",
    "batch_size": "bs",
    "alpha": "α",
    "weight_decay": "wd",
    "dropout": "do",
}
_FORBIDDEN = re.compile(r"[^\w./\- ]")


def trial_run_name(number: int, params: Mapping[str, Any], shown: Sequence[str]) -> str:
    """A run's name that tells trials apart at a glance, e.g. `trial-03 r=8 lr=1.2e-3`.

    Without the sweep's name: the UI nests trials below their sweep, in a column of 18 characters.
    """
    parts = [f"{_SHORT.get(name, name)}={short_value(params[name])}" for name in shown if name in params]
    return " ".join([f"trial-{number:02d}", *parts])


def short_value(value: Any) -> str:
    """A parameter's value in a few characters."""
    if isinstance(value, float) and value and not 1e-2 <= abs(value) < 1e4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def entity_key(name: str) -> str:
    """A metric's or parameter's name as MLflow takes it (a dataset's name may hold anything).

    A name that has to change ends with a digest of the original: two names never become one.
    """
    key = _FORBIDDEN.sub("_", name)
    if not key or posixpath.normpath(key) != key or key.startswith(("..", "/")) or key == ".":
        key = key.replace("/", "_").replace(".", "_")
    if key and key == name and len(key) <= MAX_KEY_CHARS:
        return key
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{key[: MAX_KEY_CHARS - 9]}-{digest}"


def param_text(value: Any) -> str:
    """A parameter's value as text; a long one keeps its beginning and says how long it was."""
    return clipped("null" if value is None else str(value), MAX_PARAM_CHARS)


def stored_value(value: float) -> float:
    """A metric's value as it was logged: MLflow's databases keep infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def clipped(text: str, limit: int) -> str:
    """The text, or its beginning and its length when it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters)"
    return text[: limit - len(note)] + note


def quoted(text: str) -> str:
    """A string literal of MLflow's filter language.

    Raises:
        ValueError: it holds both kinds of quotation marks, which that language cannot express.
    """
    for mark in ("'", '"'):
        if mark not in text:
            return f"{mark}{text}{mark}"
    raise ValueError(f"A name must not hold both kinds of quotation marks, but got {text!r}.")
