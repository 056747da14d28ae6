"""What other processes ask of a sweep: requests in its ledger, which whoever holds the claim carries out and answers.

`sweeps stop`, `extend`, `trial enqueue` and the like post one and wait for its answer. A request without an answer is
pending, also for a driver that begins later; what it changes bears its id, so nothing is done twice.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger

_REQUEST, _ANSWER = "request:", "answer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Let running trials store checkpoints and end; the sweep can be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Stop, on purpose and for a while: the sweep says that it is paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """End the workers at once; trials go on from their last checkpoints when the sweep is resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Ask for so many more trials."""

    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try failed trials once more, each as a new trial; without numbers all that were not tried again before."""

    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTrial:
    """End one trial, as pruned."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTrial:
    """Try these parameters; what is not given is sampled.

    epochs      to train, whatever the search space says; None: as drawn
    continues   the trial whose last checkpoint it starts from
    may_prune   whether it is stopped early like one that the search proposed; else it trains to its end
    """

    params: Mapping[str, Any]
    epochs: int | None = None
    continues: int | None = None
    may_prune: bool = False


Request = Stop | Pause | Cancel | Extend | Retry | StopTrial | AddTrial

_KINDS: dict[str, type[Request]] = {
    "stop": Stop,
    "pause": Pause,
    "cancel": Cancel,
    "extend": Extend,
    "retry": Retry,
    "stop_trial": StopTrial,
    "add_trial": AddTrial,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its id; ids sort by the time of asking."""

    id: str
    request: Request


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, as a sentence; `refused`: nothing, and why."""

    text: str
    refused: bool = False


def post(ledger: Ledger, request: Request) -> Asked:
    """Ask for something."""
    asked = Asked(f"{time.time_ns():019d}-{os.getpid()}-{uuid.uuid4().hex[:6]}", request)
    ledger.note_sweep(**{_REQUEST + asked.id: {"kind": _NAMES[type(request)], **asdict(request)}})
    return asked


def pending(ledger: Ledger) -> list[Asked]:
    """List the requests without an answer, the oldest first."""
    attrs = ledger.study.user_attrs
    ids = sorted(key.removeprefix(_REQUEST) for key in attrs if key.startswith(_REQUEST))
    return [Asked(each, _read(attrs[_REQUEST + each])) for each in ids if _ANSWER + each not in attrs]


def answer(ledger: Ledger, asked: Asked, answer: Answer) -> None:
    """Say what became of a request: it is pending no more."""
    ledger.note_sweep(**{_ANSWER + asked.id: asdict(answer)})


def answer_to(ledger: Ledger, asked: Asked) -> Answer | None:
    """Return what became of a request; None while it is pending."""
    written = ledger.study.user_attrs.get(_ANSWER + asked.id)
    return None if written is None else Answer(**written)


def _read(written: Mapping[str, Any]) -> Request:
    fields = {key: value for key, value in written.items() if key != "kind"}
    if written["kind"] == "retry":
        fields["numbers"] = tuple(fields["numbers"])
    return _KINDS[written["kind"]](**fields)
