"""What is told to another service, how it is signed, and that a service which does not answer ends nothing."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from adapter_registry.models.champions import Champion
from adapter_registry.models.promotion import Promotion
from sweeps import webhook
from sweeps.driver.driver import SweepResult
from sweeps.errors import HomeError
from sweeps.ledger.trial_record import TrialRecord
from sweeps.webhook import Webhook
from tests.services import Heard, hearing

SECRET = "a secret of ours"


@pytest.fixture
def receiver() -> Iterator[Heard]:
    with hearing() as heard:
        yield heard


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(webhook, "PAUSES_S", (0.0, 0.0, 0.0))


def hook(url: str, secret: str = SECRET) -> Webhook:
    return Webhook.of_environment({"SWEEPS_WEBHOOK_URL": url, "SWEEPS_WEBHOOK_SECRET": secret})


def ended(state="complete") -> SweepResult:
    best = TrialRecord(number=3, params={}, state="complete", value=2.5, evaluations={}, run_id="abc")
    trials = (best, TrialRecord(number=4, params={}, state="pruned", evaluations={}))
    return SweepResult(
        name="emotions",
        state=state,
        run_id="r",
        trials=trials,
        best=best,
        seconds=60.04,
        occupancy=None,
        warnings=(),
    )


def champion(version: int) -> Champion:
    return Champion(
        model="emotions",
        version=version,
        run_id="abc",
        sweep="emotions",
        trial=3,
        epoch=2,
        metric="val_loss",
        direction="minimize",
        value=2.5,
        base_name="builtin",
        base_digest="",
        validation="",
        adapter_sha256="",
        since_ms=0,
        engine="gemma",
        replaced=None,
        data={},
    )


def test_the_end_of_a_sweep_is_told(receiver):
    assert hook(receiver.url).sweep_ended(ended(), "val_loss") == ""
    ((_, body),) = receiver.requests
    message = json.loads(body)
    assert message["type"] == "sweep.complete"
    assert message["data"] == {
        "sweep": "emotions",
        "run_id": "r",
        "trials": {"complete": 1, "pruned": 1},
        "best": {"trial": 3, "metric": "val_loss", "value": 2.5, "run_id": "abc"},
        "seconds": 60.0,
    }


@pytest.mark.parametrize(
    ("secret", "key"), [(SECRET, SECRET.encode()), ("whsec_" + base64.b64encode(b"\0bytes").decode(), b"\0bytes")]
)
def test_whoever_knows_the_secret_can_check_who_sent_it(receiver, secret, key):
    hook(receiver.url, secret).sweep_ended(ended("paused"), "val_loss")
    ((headers, body),) = receiver.requests
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"


def test_a_new_champion_is_told_and_one_that_stays_is_not(receiver):
    here = hook(receiver.url)
    assert here.champion_changed(Promotion(champion(2), champion(1), moved=False)) == ""
    assert receiver.requests == []
    here.champion_changed(Promotion(champion(2), champion(1), moved=True))
    data = json.loads(receiver.requests[0][1])["data"]
    assert (data["now"]["version"], data["before"]["version"]) == (2, 1)


def test_a_failure_is_told_without_secrets(receiver):
    error = RuntimeError("no answer from postgresql://me:hunter2@db/x")
    with pytest.raises(RuntimeError), hook(receiver.url).telling_of_failure("emotions"):
        raise error
    assert b"hunter2" not in receiver.requests[0][1]
    assert json.loads(receiver.requests[0][1])["data"]["sweep"] == "emotions"


def test_a_service_that_fails_is_asked_again(receiver):
    receiver.answers = [500, 503, 200]
    assert hook(receiver.url).sweep_ended(ended(), "val_loss") == ""
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == 3


def test_a_service_that_refuses_is_a_note_that_hides_the_path(receiver):
    receiver.answers = [403]
    problem = hook(receiver.url).sweep_ended(ended(), "val_loss")
    assert problem.endswith("was not told of sweep.complete: it answered 403")
    assert "hidden-path" not in problem


def test_a_service_that_is_not_there_is_a_note():
    problem = hook("http://127.0.0.1:1/x").sweep_ended(ended(), "val_loss")
    assert problem == "the webhook at 127.0.0.1:1 was not told of sweep.complete: ConnectionError"


def test_without_an_address_nothing_is_told():
    assert Webhook.of_environment({}).sweep_ended(ended(), "val_loss") == ""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SWEEPS_WEBHOOK_URL": "example.com"}, "SWEEPS_WEBHOOK_URL must begin with http:// or https://"),
        ({"SWEEPS_WEBHOOK_URL": "https://example.com"}, "SWEEPS_WEBHOOK_SECRET must be set"),
        (
            {"SWEEPS_WEBHOOK_URL": "https://example.com", "SWEEPS_WEBHOOK_SECRET": "whsec_?"},
            "SWEEPS_WEBHOOK_SECRET must be base64 after whsec_",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(environment, said):
    with pytest.raises(HomeError, match=said):
        Webhook.of_environment(environment)
