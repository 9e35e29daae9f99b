"""Every refusal of the domain is an answer over HTTP, and has a page that says what to do."""

from collections.abc import Iterator

import pytest

from config.http.answers import problems
from ordering_write.domain import errors

# A fault of ours, not an answer.
FAULTS = {errors.NoHandlerFoundError}
# What these are about is in the answer itself.
FAMILIES = (errors.NotFoundError, errors.FieldError)


def kinds(base: type[Exception]) -> Iterator[type[Exception]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


REFUSALS = sorted(set(kinds(errors.DomainError)) - FAULTS, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_problem_of_its_own_or_of_its_family(kind: type[Exception]) -> None:
    registered = next(cls for cls in kind.__mro__ if cls in problems._entries)
    problem = problems._entries[registered].problem

    assert registered is kind or issubclass(kind, FAMILIES), "give it a row in api/problems.py"
    assert problems.by_slug(problem.slug) is problem
    assert problem.title
    assert problem.advice
    assert 400 <= problem.status < 500
