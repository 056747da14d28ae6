"""What `sweeps launch --dry-run` tells: what would run, on which dialogues, and where it would be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from sweeps.terminal.report import print_facts, print_sentence
from sweeps.terminal.wording import one_line, plural

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.home import Home
    from sweeps.preflight import Preflight
    from sweeps.spec import SweepSpec


def print_plan(console: Console, spec: SweepSpec, checked: Preflight, home: Home) -> None:
    """Print what a launch would do."""
    search, compute = spec.search, spec.compute
    at_most = "" if checked.fits else "up to "
    workers = f"{plural(compute.workers, 'worker')} with {at_most}{plural(checked.slots, 'slot')}"
    line = f" can be launched: {plural(search.trials, 'trial')} of {', '.join(search.space.varied) or 'fixed values'}"
    print_sentence(console, Text.assemble((spec.name, "bold"), f"{line}; {workers}{' each' * (compute.workers > 1)}"))
    print_facts(console, "What", _what(spec, checked))
    for remark in checked.remarks:
        print_sentence(console, Text(one_line(remark)), indent=3)
    print_facts(console, "Where", {"experiment": spec.experiment, **home.describe()})
    console.print()
    print_sentence(console, Text("Nothing was begun: this was a dry run."))


def _what(spec: SweepSpec, checked: Preflight) -> Mapping[str, str]:
    sources = {"train": spec.data.train, **spec.data.validation_sets}
    sets = {
        spec.data.label(name): f"{plural(checked.dialogues[name], 'dialogue')} of {one_line(source.source)}"
        for name, source in sources.items()
    }
    return {"base model": one_line(spec.base.model), **sets}
