"""Rules between sections of a spec, each checked only where what it looks at is sound by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from search_spaces import Float, Mistake, SearchSpaceError
from search_spaces.grid import MOST_GRID_POINTS
from search_spaces.wording import choices, did_you_mean, show
from sweeps.spec.model import SweepSpec
from sweeps.spec.training import check_value, meant
from trainer.config import PARAMETER_NAMES
from trainer.errors import ConfigError

_Check = Callable[[SweepSpec, Collection[str]], Iterator[Mistake]]


def mistakes_between(spec: SweepSpec, *, given: Collection[str], wrong: Collection[str]) -> list[Mistake]:
    """List what is wrong between sections.

    Args:
        spec: with stand-ins at the keys that are `wrong`.
        given: keys that `training` sets.
        wrong: keys such as `search.space` that a mistake is already known for.
    """
    return [
        mistake
        for needs, check in _CHECKS
        if not any(key in wrong or key.partition(".")[0] in wrong for key in needs)
        for mistake in check(spec, given)
    ]


def _space_names(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    space = spec.search.space
    for name in space.parameters:
        key = f"search.space.{name}"
        if name in given:
            yield Mistake(key, "is also set in `training`; keep one of the two.")
        if name not in PARAMETER_NAMES and name not in space.parents:
            guess = did_you_mean(meant(name), PARAMETER_NAMES)
            also = "any other name must decide a condition (`when`) of these"
            yield Mistake(key, f"Unknown parameter.{guess} Choose from: {choices(PARAMETER_NAMES)}; {also}.")


def _space_values(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    for name, distribution in spec.search.space.parameters.items():
        if name not in PARAMETER_NAMES:
            continue
        for key, value in distribution.corners():
            try:
                check_value(name, value)
            except ConfigError as error:
                whole = isinstance(distribution, Float) and not _refused(name, int(value or 0))
                fix = " Use type: int." if whole else ""
                yield Mistake(".".join(filter(None, ("search.space", name, key))), f"{error}{fix}")


def _chips(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    chips, per_base = spec.compute.chips, spec.compute.chips_per_base
    if chips % per_base:
        yield Mistake("compute.chips", f"must be a multiple of `chips_per_base`, {per_base}, but got {chips}.")


def _refused(name: str, value: int) -> bool:
    try:
        check_value(name, value)
    except ConfigError:
        return True
    return False


def _something_varies(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    if not spec.search.space.varied and spec.search.trials > 1:
        rule = f"must vary a parameter where there are {spec.search.trials} trials, but all are constants"
        yield Mistake("search.space", f"{rule}; they would all be the same.")


def _grid(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    if spec.search.sampler != "grid":
        return
    try:
        spec.search.space.grid()
    except SearchSpaceError as error:
        yield from error.under("search.space").mistakes
        return
    size = spec.search.space.size or 0
    if size > MOST_GRID_POINTS:
        rule = f"a grid has at most {MOST_GRID_POINTS} points, but this space has {size}"
        yield Mistake("search.space", f"{rule}; give fewer values, or choose the sampler tpe or random.")
    if spec.search.trials > size:
        rule = f"must be at most the {size} points of the grid, but got {spec.search.trials}"
        yield Mistake("search.trials", f"{rule}; each point is tried once.")


def _metric(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    metric, known = spec.search.metric, spec.metrics
    if metric not in known:
        rule = f"must be one of {choices(known)}, but got {show(metric)}"
        yield Mistake("search.metric", f"{rule}.{did_you_mean(metric, known)}")


def _enqueue_fits(spec: SweepSpec, given: Collection[str]) -> Iterator[Mistake]:
    if len(spec.search.enqueue) > spec.search.trials:
        rule = f"must list at most as many as there are trials ({spec.search.trials})"
        yield Mistake("search.enqueue", f"{rule}, but lists {len(spec.search.enqueue)}.")


_CHECKS: tuple[tuple[tuple[str, ...], _Check], ...] = (
    (("search.space",), _space_names),
    (("search.space",), _space_values),
    (("search.space", "search.trials"), _something_varies),
    (("search.space", "search.sampler", "search.trials"), _grid),
    (("search.metric", "data.validation"), _metric),
    (("search.enqueue", "search.trials"), _enqueue_fits),
    (("compute.chips", "compute.chips_per_base"), _chips),
)
