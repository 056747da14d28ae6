"""Tells another service when a sweep has ended or failed, or when a champion has changed: a signed HTTP request.

SWEEPS_WEBHOOK_URL      where to; without it nothing is sent
SWEEPS_WEBHOOK_SECRET   signs what is sent; text, or `whsec_` and base64

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), for which there are libraries
in most languages: `webhook-signature: v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, final
from urllib.parse import urlsplit

from search_spaces.wording import show
from sweeps.errors import ClaimLostError, HomeError
from sweeps.sentences import sentence_of
from trainer.masking import redact

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion
    from adapter_registry.models.promotion import Promotion
    from sweeps.driver.driver import SweepResult

URL, SECRET = "SWEEPS_WEBHOOK_URL", "SWEEPS_WEBHOOK_SECRET"
TIMEOUT_S = 10.0
PAUSES_S = (0.0, 1.0, 5.0)  # before each attempt
_ENCODED = "whsec_"


@final
@dataclass(frozen=True)
class Webhook:
    """Where to tell, and how to sign it; without a `url` nothing is told."""

    url: str = field(default="", repr=False)
    secret: bytes = field(default=b"", repr=False)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read it from the environment.

        Raises:
            HomeError: it is no address, or there is no secret.
        """
        url, secret = environment.get(URL, "").strip(), environment.get(SECRET, "").strip()
        if not url:
            return cls()
        if not url.startswith(("http://", "https://")):
            raise HomeError(f"{URL} must begin with http:// or https://, but got {show(redact(url))}.")
        if not secret:
            raise HomeError(f"{SECRET} must be set where {URL} is: it signs what is sent.")
        try:
            encoded = secret.removeprefix(_ENCODED)
            key = base64.b64decode(encoded, validate=True) if secret.startswith(_ENCODED) else secret.encode()
        except binascii.Error:
            raise HomeError(f"{SECRET} must be base64 after {_ENCODED}, but is not.") from None
        return cls(url, key)

    def sweep_ended(self, result: SweepResult, metric: str) -> str:
        """Tell how a sweep ended; why that could not be told, or nothing."""
        best = result.best
        data = {
            "sweep": result.name,
            "run_id": result.run_id,
            "trials": Counter(trial.state for trial in result.trials),
            "best": best and {"trial": best.number, "metric": metric, "value": best.score, "run_id": best.run_id},
            "seconds": round(result.seconds, 1),
        }
        return self._send(f"sweep.{result.state}", data)

    @contextlib.contextmanager
    def telling_of_failure(self, name: str) -> Iterator[None]:
        """Tell when a driver gives up; the sweep can be resumed. One that another driver has taken goes on there."""
        try:
            yield
        except ClaimLostError:
            raise
        except Exception as error:
            self._send("sweep.failed", {"sweep": name, "error": redact(sentence_of(error))})
            raise

    def champion_changed(self, promotion: Promotion) -> str:
        """Tell of a new champion, if it is one; why that could not be told, or nothing."""
        if not promotion.moved:
            return ""
        now, before = promotion.champion, promotion.previous
        return self._send("champion.changed", {"now": _described(now), "before": before and _described(before)})

    def _send(self, kind: str, data: Mapping[str, Any]) -> str:
        import requests

        if not self.url:
            return ""
        stamp = int(time.time())
        message = {"type": kind, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)), "data": data}
        body = json.dumps(message, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"} | signed(self.secret, f"msg_{uuid.uuid4().hex}", stamp, body)
        reason = ""
        for pause in PAUSES_S:
            time.sleep(pause)
            try:
                answer = requests.post(self.url, body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
            except requests.RequestException as error:
                reason = type(error).__name__
                continue
            if answer.ok:
                return ""
            reason = f"it answered {answer.status_code}"
        host = urlsplit(self.url).netloc.rpartition("@")[2]  # paths of webhooks are often secret
        return f"the webhook at {host} was not told of {kind}: {reason}"


def signed(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that show who sent a body, and when (in seconds since 1970)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def _described(champion: Champion) -> dict[str, Any]:
    return {
        "model": champion.model,
        "version": champion.version,
        "sweep": champion.sweep,
        "trial": champion.trial,
        "metric": champion.metric,
        "value": champion.value,
    }
