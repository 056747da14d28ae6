"""Asks a sweep for something: its driver through the ledger, or without one, whoever asks does it there and then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.requests import Answer, Asked, Request

ANSWER_S = 15.0  # a driver looks every two seconds, and starts its workers before it looks for the first time
POLL_S = 0.2


@dataclass(frozen=True)
class Asking:
    """How it went.

    text        a sentence for the person
    is_driven   whether a process was running the sweep
    """

    text: str
    is_driven: bool


def ask(ledger: Ledger, request: Request) -> Asking:
    """Ask, and wait a few seconds for the answer.

    Raises:
        RequestError: it was refused, and why.
    """
    from sweeps.errors import RequestError
    from sweeps.ledger.requests import answer_to, post
    from sweeps.opening import is_driven

    asked = post(ledger, request)
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        driven = is_driven(ledger.record)
        answer = answer_to(ledger, asked) if driven else _carry_out(ledger, asked)
        if answer is not None and answer.refused:
            raise RequestError(answer.text)
        if answer is not None:
            return Asking(answer.text, driven)
        time.sleep(POLL_S)
    holder = ledger.record.driver or {}
    who = f"Process {holder.get('pid')} on {holder.get('host')}"
    return Asking(f"{who}, which runs {ledger.name!r}, has not answered yet; it is asked all the same.", True)


def ask_for_more(ledger: Ledger, request: Request) -> None:
    """Ask for trials, and say what becomes of them."""
    asking = ask(ledger, request)
    to_go_on = f" `{program()} resume {ledger.name}` trains what is left."
    typer.echo(asking.text if asking.is_driven else asking.text + to_go_on)


def _carry_out(ledger: Ledger, asked: Asked) -> Answer | None:
    """Do what is asked with the claim of our own; None while another has it."""
    from sweeps.errors import BusyError, ClaimLostError
    from sweeps.ledger.carrying_out import carry_out_pending
    from sweeps.ledger.claim import Claim
    from sweeps.ledger.requests import answer_to

    answered = answer_to(ledger, asked)  # by a driver that has ended since
    if answered is not None:
        return answered
    try:
        claim = Claim(ledger)
    except (BusyError, ClaimLostError):
        return None
    try:
        carry_out_pending(ledger)
    finally:
        claim.release()
    return answer_to(ledger, asked)
