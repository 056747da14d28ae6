"""The exceptions of `sweeps`: they survive a process border, and the command line knows whose they are."""

import pickle

import pytest

from adapter_registry.errors import RegistryError
from search_spaces import Mistake, SearchSpaceError
from sweeps import errors
from trainer.errors import TrainerError

ONE_MESSAGE = [
    errors.HomeError,
    errors.LedgerError,
    errors.TrackingError,
    errors.WorkerError,
    errors.NotFoundError,
    errors.RequestError,
    errors.BusyError,
]


@pytest.mark.parametrize("kind", ONE_MESSAGE)
def test_an_error_survives_pickling(kind):
    copy = pickle.loads(pickle.dumps(kind("The rule, what it got.")))
    assert (type(copy), str(copy)) == (kind, "The rule, what it got.")
    assert isinstance(copy, errors.SweepsError)


def test_a_spec_error_keeps_its_mistakes_through_pickling():
    error = errors.SpecError([Mistake("name", "is missing."), Mistake("", "A spec must map keys to values.")])
    copy = pickle.loads(pickle.dumps(error))
    assert copy.mistakes == error.mistakes
    assert str(copy) == "name: is missing.\nA spec must map keys to values."


def test_every_exception_is_drawn_in_the_docstring():
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert all(name in errors.__doc__ for name in defined)


def test_errors_of_all_packages_are_the_users_to_mend():
    assert set(errors.user_errors()) == {errors.SweepsError, SearchSpaceError, TrainerError, RegistryError}
