"""One sentence of an exception, for people: the root cause without traceback, kept short."""

from __future__ import annotations

from search_spaces.errors import SearchSpaceError
from sweeps.errors import SweepsError
from trainer.errors import TrainerError

MAX_CHARS = 500


def sentence_of(error: BaseException) -> str:
    """Return the message of an error's root cause; its type is named where the message was not written for people."""
    cause = root_cause(error)
    text = str(cause).strip()
    if isinstance(cause, SweepsError | TrainerError | SearchSpaceError) or type(cause).__module__.startswith(
        "adapter_registry"
    ):
        return text
    first_line = text.splitlines()[0].strip() if text else ""
    if len(first_line) > MAX_CHARS:
        first_line = first_line[:MAX_CHARS] + " …"
    return f"{type(cause).__name__}: {first_line}" if first_line else type(cause).__name__


def root_cause(error: BaseException) -> BaseException:
    """Unwrap what Ray put around an error that crossed a process."""
    cause = getattr(error, "cause", None)
    return root_cause(cause) if isinstance(cause, BaseException) else error
