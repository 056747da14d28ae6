"""The commands together, and the console script `sweeps`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sweeps.cli import (
    examples,
    extend,
    generate,
    launch,
    logs,
    pause,
    promote,
    resume,
    retry,
    spaces,
    status,
    stop,
    trial,
    ui,
)
from sweeps.cli import list as list_command
from sweeps.cli.doctor import doctor
from sweeps.cli.shared.exit_codes import guarded, tell
from sweeps.errors import HomeError
from sweeps.host.secret_files import read_secret_files
from sweeps.host.user_home import ensure_home

HELP = """Sweeps of LoRA fine-tunes of Gemma 2: Ray Tune schedules, Optuna steers, MLflow keeps."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    something unexpected happened, or a check of `doctor` failed
  2    what was asked for is impossible: one sentence for each mistake
  3    the sweep was stopped and can be resumed
  130  cancelled with Ctrl-C

\b
Where things live (environment variables):
  SWEEPS_HOME           folder of everything; ./sweeps-data
  SWEEPS_LEDGER         URL of the ledger; a SQLite file in the home
  MLFLOW_TRACKING_URI   of MLflow; a SQLite file in the home"""


class _Commands(TyperGroup):
    """The commands; what is wrong with a value on the command line is told as it would be of a spec."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _told(error) or error.message
            raise


def _told(error: typer.BadParameter) -> str:
    """Say the rule and what was given, where Typer has pydantic's sentence instead."""
    from pydantic import ValidationError

    from sweeps.spec.sentences import rule_of

    if not isinstance(error.__cause__, ValidationError):
        return ""
    details = error.__cause__.errors(include_url=False)[0]
    return f"{rule_of(details)}, but got {details['input']}."


app = typer.Typer(
    name="sweeps",
    cls=_Commands,
    help=HELP,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


trials = typer.Typer(
    help="Stop, add, clone or train on a single trial.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"sweeps {version('gemma-sweeps')}")
        except PackageNotFoundError:
            typer.echo("sweeps (from a checkout that is not installed)")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _add(command: Callable[..., Any], example: str, name: str | None = None, *, to: typer.Typer = app) -> None:
    to.command(name, epilog=f"Example:  {example}")(guarded(command))


_add(launch.launch, "sweeps launch quickstart --set search.trials=4")
_add(list_command.list_, "sweeps list --json", "list")
_add(status.status, "sweeps status quickstart --watch")
_add(resume.resume, "sweeps resume quickstart")
_add(logs.logs, "sweeps logs quickstart --follow --address http://HEAD:8265")
_add(stop.stop, "sweeps stop quickstart --wait")
_add(pause.pause, "sweeps pause quickstart")
_add(extend.extend, "sweeps extend quickstart --trials 4")
_add(retry.retry, "sweeps retry quickstart --failed")
app.add_typer(trials, name="trial")
_add(trial.stop, "sweeps trial stop quickstart 3", to=trials)
_add(trial.enqueue, "sweeps trial enqueue quickstart rank=8 learning_rate=2e-3", to=trials)
_add(trial.clone, "sweeps trial clone quickstart 3 --set rank=16", to=trials)
_add(trial.continue_, "sweeps trial continue quickstart 3 --epochs 6", "continue", to=trials)
_add(promote.promote, "sweeps promote quickstart --trial 4")
_add(generate.generate, 'sweeps generate "요즘 잠을 못 자요"')
_add(ui.ui, "sweeps ui --port 5001")
_add(doctor.doctor, "sweeps doctor")
_add(examples.examples, "sweeps examples quickstart > my_sweep.yaml")
_add(spaces.spaces, "sweeps spaces gemma2_2b")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code.

    Args:
        arguments: after the program's name; by default those of this process.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Korean shows `?` instead of a traceback
    try:
        ensure_home()
        read_secret_files()
    except HomeError as error:
        return tell(error)
    try:
        app(None if arguments is None else list(arguments), prog_name="sweeps")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return 0
