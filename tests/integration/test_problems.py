"""Every refusal of the domain has a problem, with a page that says what to do."""

from collections.abc import Iterator

from config.http.answers import problems
from ordering_write.domain import errors

# A fault of the service, not an answer to the client.
FAULTS = {errors.NoHandlerFoundError}
# Errors that share the problem of their base class: the answer names what is wrong.
FAMILIES = (errors.NotFoundError, errors.FieldError)


def subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    for error in base.__subclasses__():
        yield error
        yield from subclasses(error)


def test_every_refusal_has_a_problem_of_its_own_or_of_its_family() -> None:
    problems.load()
    deviations = []
    for error in set(subclasses(errors.DomainError)) - FAULTS:
        registered = next(base for base in error.__mro__ if base in problems._entries)
        problem = problems._entries[registered].problem
        is_complete = (
            problems.by_slug(problem.slug) is problem
            and problem.title
            and problem.advice
            and 400 <= problem.status < 500
        )
        is_own = registered is error or issubclass(error, FAMILIES)
        if not (is_complete and is_own):
            deviations.append((error, "add a row to api/problems.py"))

    assert deviations == []
