"""Truths about any space: what is drawn lies inside, what is written is read back, what is counted is there."""

import pickle

import optuna
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import Choice, Constant, Distribution, Float, Int, SearchSpace, SearchSpaceError, load_space
from search_spaces.yaml_text import read_yaml, write_yaml

optuna.logging.set_verbosity(optuna.logging.ERROR)

WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=8)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
LISTS = st.lists(WORDS | NUMBERS | st.none() | st.just("1e-4"), min_size=1, max_size=4)


def build(kind: type[Distribution], *args, **options) -> Distribution | None:
    """Build a distribution, or nothing where the drawn numbers make none (equal values, a step that leaves a rest)."""
    try:
        return kind(*args, **options)
    except SearchSpaceError:
        return None


@st.composite
def ranges(draw) -> Distribution | None:
    """Ints and floats of all scales, on steps and on log scales."""
    kind = draw(st.sampled_from(["int", "int log", "int step", "float", "float log", "float step"]))
    if kind.startswith("int"):
        low = draw(st.integers(1, 1000) if "log" in kind else st.integers(-(2**40), 2**40))
        steps, step = draw(st.integers(1, 50)), draw(st.integers(1, 1000)) if "step" in kind else 1
        return build(Int, low, low + steps * step, step=step if "step" in kind else None, log="log" in kind)
    if kind == "float step":
        low, step = draw(st.integers(-1000, 1000)) / 100, draw(st.sampled_from([0.01, 0.1, 0.25, 0.5, 3]))
        return build(Float, low, round(low + draw(st.integers(1, 40)) * step, 2), step=step)
    low = draw(st.floats(1e-12 if "log" in kind else -1e9, 1e9))
    return build(Float, low, draw(st.floats(low, 1e12)), log="log" in kind)


@st.composite
def spaces(draw) -> SearchSpace:
    """Spaces of up to five parameters; later ones may be conditional on earlier ones, in any order of definition."""
    found: dict[str, Distribution] = {}
    for name in draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)):
        distribution = draw(ranges() | LISTS.map(lambda values: build(Choice, values)) | NUMBERS.map(Constant))
        assume(distribution is not None)
        parents = [p for p, d in found.items() if not isinstance(d, Float)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = draw(st.lists(st.sampled_from(found[parent].grid()[:5]), min_size=1, max_size=2))
            distribution = type(distribution)(
                *(getattr(distribution, key) for key in distribution.options if key not in ("step", "log")),
                **{key: getattr(distribution, key) for key in distribution.options if key in ("step", "log")},
                when={parent: values},
            )
        found[name] = distribution
    names = draw(st.permutations(list(found)))
    return SearchSpace({name: found[name] for name in names})


@settings(max_examples=150, deadline=None, derandomize=True)
@given(spaces(), st.integers(0, 1000), st.booleans())
def test_what_is_drawn_lies_inside_and_completes(space, seed, guided):
    sampler = (
        optuna.samplers.TPESampler(n_startup_trials=1, seed=seed) if guided else optuna.samplers.RandomSampler(seed)
    )
    study = optuna.create_study(sampler=sampler)
    for value in range(3):
        trial = study.ask()
        params = space.sample(trial)
        assert space.contains(trial.params)
        assert space.complete(trial.params) == params
        assert all(space.parameters[name].find(params[name]) == (params[name],) for name in params)
        assert set(trial.params) == set(params) & set(space.varied)
        study.tell(trial, value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spaces())
def test_what_is_written_is_read_back_equal(space):
    for copy in (
        load_space(space.to_mapping()),
        load_space(read_yaml(write_yaml(space.to_mapping()), source="x")),
        pickle.loads(pickle.dumps(space)),
    ):
        assert copy == space
        assert hash(copy) == hash(space)
        assert list(copy.parameters) == list(space.parameters)
        assert copy.to_mapping() == space.to_mapping()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spaces())
def test_the_size_is_the_number_of_different_points(space):
    assume(space.size is not None and space.size <= 2000)
    points = list(space.points())
    assert len(points) == len({tuple(point.items()) for point in points}) == space.size
    assert all(set(space.complete(point)) >= set(point) for point in points)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | WORDS
    | st.binary(max_size=3)
    | st.sampled_from(["choice", "int", "float", "constant", "1e-4", 10**400, "a", "when"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "values", "value", "low", "high", "step", "log", "when", "a", "b", "rank"])
            | st.integers(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
PARAMETER = st.fixed_dictionaries(
    {"type": st.sampled_from(["choice", "int", "float", "constant"])},
    optional={
        "values": JUNK | LISTS,
        "value": JUNK,
        "low": JUNK | NUMBERS,
        "high": JUNK | NUMBERS,
        "step": JUNK | NUMBERS,
        "log": JUNK,
        "when": JUNK,
    },
)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["a", "b", "rank"]) | WORDS, JUNK | PARAMETER, max_size=4) | JUNK)
def test_any_mapping_is_a_space_or_a_search_space_error(source):
    try:
        space = load_space(source)
    except SearchSpaceError as error:
        assert all(line.endswith((".", "?")) for line in str(error).splitlines())
    else:
        assert load_space(space.to_mapping()) == space
