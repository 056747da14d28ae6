"""Who is in a worker: trials in line, in slots, and those that have ended but whose reports are not fetched yet.

Bookkeeping only, without threads of its own. Two sides use it, a worker's callers and its engine's thread, and both
hold `changed` while they do; waiting for reports is the exception, and needs no lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from sweeps.progress import SlotStatus
from sweeps.workers.reports import Lost, Report, Scored, StillWaiting
from trainer.config import TrialConfig
from trainer.events import Progress

LINE_S = 2.0  # after which a trial in line may look for another worker


@final
class Mailbox:
    """A trial's reports. They are kept: when its process dies, the next one hears them all again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reports: list[Report] = []
        self._heard = 0

    def put(self, report: Report) -> None:
        """Add a report."""
        with self._changed:
            self._reports.append(report)
            self._changed.notify_all()

    def next(self, timeout_s: float) -> Report | None:
        """The next report that was not heard yet; None when there is none in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._heard < len(self._reports), timeout_s):
                return None
            self._heard += 1
            return self._reports[self._heard - 1]

    @property
    def heard_scores(self) -> int:
        """How many evaluations were heard."""
        with self._changed:
            return sum(isinstance(report, Scored) for report in self._reports[: self._heard])

    def rewind(self) -> None:
        """Tell everything again."""
        with self._changed:
            self._heard = 0


@dataclass(eq=False)
class Tenant:
    """A trial in a worker.

    key        its name in the engine
    seat       the process that hears its reports, by the name that this one chose
    ready      whether it may take a slot: one that was trained before waits for its checkpoint
    saved_at   when its last checkpoint was taken, or when it began
    scored     evaluations that it is told of, or will be; only the engine's thread looks at it
    judged     evaluations after which it may go on
    """

    key: str
    seat: str
    number: int
    run_id: str
    ready: bool = True
    checkpoint: bytes | None = None
    config: TrialConfig = field(default_factory=TrialConfig)
    progress: Progress | None = None
    in_line: bool = False
    in_slot: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    saved_at: float = field(default_factory=time.monotonic)
    scored: int = 0
    judged: int = 0
    reports: Mailbox = field(default_factory=Mailbox)

    def next_report(self, timeout_s: float) -> Report | StillWaiting | None:
        """Wait for the next report; None when there is none yet."""
        self.asked_at = time.monotonic()
        report = self.reports.next(min(timeout_s, LINE_S) if self.in_line else timeout_s)
        self.asked_at = time.monotonic()
        return StillWaiting(key=self.key) if report is None and self.in_line and self.ready else report

    @property
    def slot_status(self) -> SlotStatus:
        """How far it is."""
        seen = self.progress
        metrics = seen.metrics if seen is not None else {}
        return SlotStatus(
            key=self.key,
            number=self.number,
            step=seen.step if seen is not None else 0,
            steps_total=seen.steps_total if seen is not None else None,
            epoch=seen.epoch if seen is not None else 0.0,
            train_loss=metrics.get("train_loss"),
            tokens_per_second=metrics.get("tokens_per_second"),
        )


@final
class Tenancy:
    """The tenants of one worker; a trial is here once at most."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._tenants: dict[str, Tenant] = {}
        self._line: list[Tenant] = []
        self._leaving: set[str] = set()
        self._expecting = False  # others to line up when slots are free

    @property
    def in_slots(self) -> list[Tenant]:
        """Those that train."""
        return [tenant for tenant in self._tenants.values() if tenant.in_slot]

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @property
    def held(self) -> int:
        """How many have a slot, or stand in line for one."""
        return len(self.in_slots) + self.waiting

    @property
    def is_empty(self) -> bool:
        """Whether nobody is here, nor has reports to fetch."""
        return not self._tenants

    @property
    def restless(self) -> bool:
        """Whether the engine has something to do about them."""
        return bool(self._leaving) or any(tenant.ready for tenant in self._line)

    def get(self, key: str) -> Tenant | None:
        """Return a tenant by its key, if it is known."""
        return self._tenants.get(key)

    def at(self, seat: str) -> Tenant | None:
        """Return the tenant whose reports go to a seat."""
        return next((tenant for tenant in self._tenants.values() if tenant.seat == seat), None)

    def of(self, number: int) -> Tenant | None:
        """Return a tenant by its trial's number."""
        return next((tenant for tenant in self._tenants.values() if tenant.number == number), None)

    def add(self, tenant: Tenant) -> None:
        """Take in a tenant; it has neither slot nor place in line."""
        self._tenants[tenant.key] = tenant

    def line_up(self, tenant: Tenant) -> None:
        """Put a tenant at the end of the line."""
        tenant.in_line = self._expecting = True
        self._line.append(tenant)
        self.changed.notify_all()

    def ask_on(self, tenant: Tenant) -> None:
        """Hear that a trial asks for its next report, and so was not stopped by those before."""
        tenant.judged = tenant.reports.heard_scores
        self.changed.notify_all()

    def wait_until_settled(self, slots: int, timeout_s: float, interrupted: Callable[[], bool]) -> None:
        """Wait until all slots are spoken for, and everybody in one knows whether to go on.

        Slots that stay free for so long are not waited for any more, until somebody lines up.
        """

        def settled() -> bool:
            taken = len(self.in_slots) + sum(tenant.ready for tenant in self._line)
            judged = all(tenant.judged >= tenant.scored for tenant in self.in_slots)
            return interrupted() or (judged and (taken >= slots or not self._expecting))

        self._expecting = self.changed.wait_for(settled, timeout_s) and self._expecting

    def step_up(self) -> Tenant | None:
        """Take the first of the line who is ready into a slot."""
        tenant = next((tenant for tenant in self._line if tenant.ready), None)
        if tenant is not None:
            self._line.remove(tenant)
            tenant.in_line, tenant.in_slot = False, True
        return tenant

    def take_leaving(self) -> set[str]:
        """Return, once, the keys whose slots the engine is to free."""
        leaving, self._leaving = self._leaving, set()
        return leaving

    def end(self, tenant: Tenant, report: Report) -> None:
        """Send a tenant its last report, and take it out of line or slot."""
        if tenant.in_line:
            self._line.remove(tenant)
        if tenant.in_slot:
            self._leaving.add(tenant.key)
        tenant.in_line = tenant.in_slot = False
        tenant.reports.put(report)
        self.changed.notify_all()

    def end_all(self, report: Callable[[Tenant], Report]) -> None:
        """End everybody who is in line or in a slot; who has finished keeps that as the last news."""
        for tenant in self._tenants.values():
            if tenant.in_line or tenant.in_slot:
                self.end(tenant, report(tenant))

    def forget(self, tenant: Tenant) -> None:
        """End a tenant that nobody asks for any more."""
        self._tenants.pop(tenant.key, None)
        self.end(tenant, seat_lost(tenant.key))

    def forget_the_silent(self, lease_s: float) -> None:
        """Forget those whose process has not asked for a report for so long."""
        deadline = time.monotonic() - lease_s
        for tenant in [tenant for tenant in self._tenants.values() if tenant.asked_at < deadline]:
            self.forget(tenant)

    def send_the_line_away(self, report: Callable[[Tenant], Report]) -> None:
        """End those that have not begun."""
        for tenant in list(self._line):
            self.end(tenant, report(tenant))


def seat_lost(key: str) -> Report:
    """Tell a process that was not heard in time: the driver may have been held up, which is not the trial's failure."""
    return Lost(key=key, reason="its seat was given up, for nobody asked for its reports", preempted=True)
