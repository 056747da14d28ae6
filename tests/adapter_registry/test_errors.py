"""Errors cross process borders: Ray pickles them."""

import inspect
import pickle

import pytest

from adapter_registry import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling(kind: type[Exception]) -> None:
    """Type and message are the same on the other side."""
    back = pickle.loads(pickle.dumps(kind("said once")))
    assert (type(back), str(back)) == (kind, "said once")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_registry_error(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.RegistryError)


def test_the_hierarchy_in_the_docstring_is_complete() -> None:
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in KINDS)
