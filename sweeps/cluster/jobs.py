"""The job server of a cluster's head, asked over HTTP: Ray's own client, with errors that say what to do."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from search_spaces.wording import show
from sweeps.errors import ClusterError
from sweeps.sentences import sentence_of
from trainer.masking import redact

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

POLL_S = 0.5
HERE = "auto"  # Ray's word for the cluster that this process is on a node of
PURPOSE, SWEEP = "sweeps.purpose", "sweeps.name"

Purpose = Literal["probe", "driver", "keep-alive"]


@dataclass(frozen=True)
class Job:
    """A job on the cluster.

    state   `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`
    began   in seconds since 1970; 0 while it waits
    """

    id: str
    purpose: str
    sweep: str
    state: str
    message: str
    began: float

    @property
    def is_over(self) -> bool:
        """Whether it runs no more."""
        return self.state in {"SUCCEEDED", "FAILED", "STOPPED"}


@final
class Jobs:
    """Jobs of one cluster.

    Args:
        address: of the head's dashboard, `http://HEAD:8265`. Ray's token authentication is used where the environment
            turns it on (`RAY_AUTH_MODE=token` with `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`).

    Raises:
        ClusterError: nobody answers there, the token is wrong, or its Ray is another version.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise ClusterError(
                f"The address of a cluster must be that of its dashboard, such as http://HEAD:8265, or {HERE} on one "
                f"of its nodes, but got {show(redact(address))}."
            )
        self.address = redact(address)
        with self._errors():
            from ray.job_submission import JobSubmissionClient

            for chatty in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
                logging.getLogger(chatty).setLevel(logging.WARNING)
            self._client: JobSubmissionClient = JobSubmissionClient(address)
            self._check_version()

    def submit(self, purpose: Purpose, sweep: str, command: str, *, files: Path, modules: list[str], hook: str) -> Job:
        """Run a command on the head.

        Args:
            purpose, sweep: kept with the job, to find it again.
            command: of a shell, run in a folder with `files`.
            files: a folder; its content is sent along.
            modules: folders of packages that are sent along, importable on all nodes.
            hook: function that each of its workers' processes calls when it begins.

        Raises:
            ClusterError: it was refused.
        """
        with self._errors():
            job = self._client.submit_job(
                entrypoint=command,
                runtime_env={"working_dir": str(files), "py_modules": modules, "worker_process_setup_hook": hook},
                metadata={PURPOSE: purpose, SWEEP: sweep},
            )
        return self.look(job)

    def look(self, job: str) -> Job:
        """How a job is doing.

        Raises:
            ClusterError: the cluster does not answer, or knows of no such job.
        """
        with self._errors():
            return _job(self._client.get_job_info(job))

    def wait(self, job: Job, timeout_s: float) -> Job:
        """Wait for a job's end.

        Raises:
            ClusterError: it has not ended in that time.
        """
        deadline = time.monotonic() + timeout_s
        while not job.is_over:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"The cluster at {self.address} has not finished the job {job.id} in {timeout_s:.0f} s: it is "
                    f"{job.state}{f' ({job.message})' if job.message else ''}. Look at it in the dashboard."
                )
            time.sleep(POLL_S)
            job = self.look(job.id)
        return job

    def drivers(self, sweep: str) -> list[Job]:
        """Drivers of a sweep, and what keeps them alive; the newest last.

        Raises:
            ClusterError: the cluster does not answer.
        """
        with self._errors():
            jobs = [_job(info) for info in self._client.list_jobs()]
        own = [job for job in jobs if job.sweep == sweep and job.purpose in {"driver", "keep-alive"}]
        return sorted(own, key=lambda job: job.began)

    def stop(self, job: Job) -> None:
        """End a job's process.

        Raises:
            ClusterError: the cluster does not answer.
        """
        with self._errors():
            self._client.stop_job(job.id)

    def logs(self, job: Job) -> str:
        """Everything that a job has written so far.

        Raises:
            ClusterError: the cluster does not answer.
        """
        with self._errors():
            return str(self._client.get_job_logs(job.id) or "")

    def follow(self, job: Job) -> Iterator[str]:
        """What a job has written and goes on to write, until its end.

        Raises:
            ClusterError: the cluster does not answer.
        """
        told = 0
        while True:
            over = self.look(job.id).is_over
            text = self.logs(job)
            yield text[told:]
            told = len(text)
            if over:
                return
            time.sleep(POLL_S)

    def _check_version(self) -> None:
        """Ray speaks to its own version only; the job server takes a client of any."""
        import ray

        answer = self._client._do_request("GET", "/api/version").json()  # the client's own method tells its API's only
        theirs = answer.get("ray_version", "of an unknown version")
        if theirs != ray.__version__:
            raise ClusterError(
                f"The cluster at {self.address} must run Ray {ray.__version__}, as this machine does, but runs Ray "
                f"{theirs}. Install the same version in both places."
            )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError:
            raise ClusterError(
                f"The cluster at {self.address} refuses this machine's token. Set RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's."
            ) from None
        except (ConnectionError, requests.exceptions.RequestException):
            raise ClusterError(
                f"Nobody answers at {self.address}. Is the head running, and its dashboard's port open to this machine?"
            ) from None
        except RuntimeError as error:
            raise ClusterError(f"The cluster at {self.address} refuses: {_first(error)}.") from None


def _job(info: Any) -> Job:
    metadata = info.metadata or {}
    return Job(
        id=str(info.submission_id),
        purpose=metadata.get(PURPOSE, ""),
        sweep=metadata.get(SWEEP, ""),
        state=str(getattr(info.status, "value", info.status)),
        message=redact((info.message or "").strip()),
        began=(info.start_time or 0) / 1000,
    )


def _first(error: Exception) -> str:
    text = redact(sentence_of(error)).splitlines()[0]
    with contextlib.suppress(ValueError, AttributeError):
        text = json.loads(text[text.index("{") :]).get("msg", text)
    return text.rstrip(".")
