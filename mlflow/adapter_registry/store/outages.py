"""Whether an error of the tracking store is an outage, which is waited out, and what ends it; else it is a refusal.

away         no connection, an overloaded server, a locked database
signed out   a token or session has expired, or a sign-in page, a proxy or another service answers in MLflow's place
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from adapter_registry.store.environment import first_line

START = "Start it, correct MLFLOW_TRACKING_URI, or unset it to use a local SQLite file."
SIGN_IN = (
    "Its sign-in has expired, or something else answers in its place: new credentials are needed, in "
    "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD. A file that one of them with _FILE names is "
    "read again by itself."
)
_AWAY_CODES = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
_AWAY_TEXTS = (
    "UNIQUE constraint failed",  # somebody wrote the same parameters at the same moment: now they are there
    "failed with exception",  # MLflow's words for a connection that was refused, reset or cut
    "failed with timeout exception",
    "database is locked",
)
_SIGNED_OUT_CODES = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
_SIGNED_OUT = (401, 403, 405, 407, 511)  # 405: a sign-in page that takes no POST


class ForeignAnswerError(ConnectionError):
    """An answer that looks like success, but is not MLflow's."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What the store, or who stands before it, said, and a sentence that tells what ends it."""

    reason: str
    remedy: str = START

    @property
    def is_sign_out(self) -> bool:
        """Whether credentials end it."""
        return self.remedy == SIGN_IN


def outage_of(error: BaseException) -> Outage | None:
    """The outage that an error tells of; None: a refusal, or no error of the store at all."""
    if said := _signed_out(error):
        return Outage(said, SIGN_IN)
    return Outage(_reason(error)) if _is_away(error) else None


def is_from_store(error: BaseException) -> bool:
    """Whether MLflow or what it stands on raised it; anything else is a mistake in this program."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("mlflow.", "requests.", "sqlalchemy."))


def _signed_out(error: BaseException) -> str:
    """How somebody answered who is not MLflow, or does not let us through to it; '' when nobody did."""
    status = _status(error)
    if status in _SIGNED_OUT or 300 <= status < 400:
        return f"error code {status}"
    if getattr(error, "error_code", "") in _SIGNED_OUT_CODES:
        return first_line(error)
    if isinstance(error, json.JSONDecodeError) or "not in a valid JSON format" in str(error):
        return "a page instead of an answer"
    told = getattr(error, "json", None)  # what MLflow made its exception of; its own server always gives a code
    if isinstance(error, ForeignAnswerError) or (isinstance(told, dict) and "error_code" not in told):
        return "an answer that is not MLflow's"
    return ""


def _is_away(error: BaseException) -> bool:
    status = _status(error)
    if status:
        return status >= 500 or status in {408, 425, 429}
    if type(error).__module__.startswith(("requests.", "urllib3.")) or isinstance(
        error, ConnectionError | TimeoutError
    ):
        return True
    return getattr(error, "error_code", "") in _AWAY_CODES or any(text in str(error) for text in _AWAY_TEXTS)


def _status(error: BaseException) -> int:
    """The HTTP status that was not as it should be; 0: the error tells of none."""
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    found = re.search(r"failed with error code (\d{3})", str(error))  # MLflow's words, where the body is no JSON
    return int(found[1]) if found else 0


def _reason(error: BaseException) -> str:
    """What the operating system said, where it is buried in an HTTP client's account; else the first line."""
    text = first_line(error)
    found = re.search(r"\[Errno -?\d+\] ([\w ]+)|(timed out)|failed with (error code \d+)|too many (\d+) error", text)
    if not found:
        return text
    return found[1] or found[2] or found[3] or f"error code {found[4]}"
