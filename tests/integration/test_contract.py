"""Generated requests: every answer conforms to the OpenAPI document."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from tests import kit_contract
from tests.kit_contract import Subject, World, fill, tried
from tests.proof import IS_PROOF, size

# Loading schemathesis takes half a second, in each process that collects the tests.
if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.specs.openapi.schemas import OpenApiSchema

EXAMPLES = size(2, full=500)


@pytest.fixture(scope="module")
def document() -> "OpenApiSchema":
    """The document, read before any test opens its transaction."""
    import schemathesis

    from config.wsgi import application

    loaded = schemathesis.openapi.from_dict(kit_contract.document())
    loaded.app = application
    loaded.location = "/api/schema"
    return loaded


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture(autouse=True)
def _unlimited(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)


@pytest.fixture(autouse=True)
def _in_one_transaction() -> Iterator[None]:
    """Keep the connections open at the end of requests; their transaction is rolled back."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.proof
def test_every_answer_conforms_to_the_document(
    document: "OpenApiSchema",
    world: World,
    admin_user: User,
    make_user: Callable[..., User],
    subtests: pytest.Subtests,
) -> None:
    from schemathesis import GenerationMode

    customer_user = make_user(Role.CUSTOMER, customer_id=world.customer.pk)
    admin, customer = (
        {"Authorization": f"Token {AuthToken.objects.create(user)[1]}"}
        for user in (admin_user, customer_user)
    )
    # Most requests come from somebody who may do everything.
    logins = st.sampled_from([admin, admin, admin, customer, {}])
    for number, operation in enumerate(tried()):
        documented = document[operation.path][operation.method]
        # Making the strategy of wrong requests takes long: every other operation gets none.
        modes = list(GenerationMode)
        if number % 2 and not IS_PROOF:
            modes.remove(GenerationMode.NEGATIVE)
        cases = st.one_of(*(documented.as_strategy(generation_mode=mode) for mode in modes))
        # Most requests are about something that exists.
        subjects = st.sampled_from([*world.subjects(operation), {}])
        with subtests.test(operation.name):
            _try(cases, subjects, logins)


def _try(
    cases: "st.SearchStrategy[Case]",
    subjects: st.SearchStrategy[Subject],
    logins: st.SearchStrategy[dict[str, str]],
) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    conformance = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        # The same examples in every test run.
        derandomize=not IS_PROOF,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, subjects, logins)
    def try_case(case: "Case", subject: Subject, login: dict[str, str]) -> None:
        case.path_parameters = fill(case.path_parameters, subject)
        case.headers.update(fill(dict(case.headers), subject))
        case.body = fill(case.body, subject)
        with transaction.atomic("default"), transaction.atomic("read"):
            answer = case.call(headers=login)
            transaction.set_rollback(True, "default")
            transaction.set_rollback(True, "read")
        case.validate_response(answer, checks=conformance)

    try_case()
