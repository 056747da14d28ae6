"""How a command ends: the user's mistakes as one sentence each and exit code 2, surprises in a log and exit code 1."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import textwrap
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from trainer.masking import redact

FAILED, WRONG, STOPPED, CANCELLED = 1, 2, 3, 130


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end in an exit code, whatever happens in it."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            say("Cancelled.")
            raise typer.Exit(CANCELLED) from None
        except BrokenPipeError:  # `sweeps list | head`: nobody listens any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            raise typer.Exit(tell(error)) from None

    return run


def say(text: str) -> None:
    """Write a line for the person, beside what a script reads."""
    from sweeps.terminal.wording import printable

    if sys.stderr.isatty():  # break lines between words
        columns = shutil.get_terminal_size().columns
        text = textwrap.fill(text, max(columns, 20), break_long_words=False, break_on_hyphens=False)
    with contextlib.suppress(BrokenPipeError):
        typer.echo(printable(text), err=True)


def tell(error: Exception) -> int:
    """Tell the user what went wrong; returns the exit code."""
    from sweeps.errors import user_errors
    from sweeps.sentences import root_cause, sentence_of

    cause = root_cause(error)
    if isinstance(cause, user_errors()):
        for line in str(cause).splitlines():
            say(f"Error: {redact(line)}")
        return WRONG
    where = _log(error)
    say(f"Error: something unexpected happened, {_finished(redact(sentence_of(error)))} The traceback is in {where}.")
    return FAILED


def _finished(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _log(error: Exception) -> Path:
    """Write the traceback into the home, or where there is none, into a temporary file."""
    from sweeps.home import find_home

    text = redact("".join(traceback.format_exception(error)))
    try:
        home = find_home()
        home.prepare()
        folder = home.folder / "logs"
        folder.mkdir(exist_ok=True)
        path = folder / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        path.write_text(text, encoding="utf-8")
    except Exception:  # the disk may be what is full
        with tempfile.NamedTemporaryFile("w", prefix="sweeps-error-", suffix=".log", delete=False) as file:
            file.write(text)
            return Path(file.name)
    return path
