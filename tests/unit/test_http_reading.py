"""The request headers Prefer, If-None-Match and Consistency-Token."""

from uuid import uuid4

import pytest
from django.test import RequestFactory

from config.http.answers import etags
from config.http.browser_middleware import is_from_program
from config.http.errors import ParameterError
from config.http.input import consistency
from config.http.input.preferences import wait_seconds


def request_with(**headers: str):
    by_name = {name.replace("_", "-"): value for name, value in headers.items()}
    return RequestFactory().get("/", headers=by_name)


def test_the_preferred_wait_is_read_from_the_header(subtests: pytest.Subtests) -> None:
    cases = [
        ("wait=2", 2),
        ("Wait=2", 2),
        ("wait = 2", 2),
        ('wait="2"', 2),
        ("wait=0", 0),
        ("wait=10", 10),
        ("wait=11", 10),
        ("wait=" + "9" * 5_000, 10),
        ("respond-async, wait=3", 3),
        ("wait=3; foo=bar, return=minimal", 3),
        ("wait=3, wait=5", 3),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("wait=٣", None),
        ("wait=junk, wait=5", None),
        ("waiting=2", None),
        (",;=,", None),
    ]
    for prefer, seconds in cases:
        with subtests.test(prefer[:60]):
            assert wait_seconds(request_with(Prefer=prefer)) == seconds


def test_without_the_header_no_wait_is_preferred() -> None:
    assert wait_seconds(request_with()) is None


def test_the_client_has_the_tag_that_if_none_match_names(subtests: pytest.Subtests) -> None:
    cases = [
        ('"3.ab"', True),
        ('W/"3.ab"', True),
        ('"x", "3.ab"', True),
        ('"3.ab-gzip"', True),
        ('"3.ab--gzip"', True),
        ('W/"3.ab;br"', True),
        ('"a,b", "3.ab"', True),
        ("*", False),
        ('"3.ab', False),
        ("3.ab", False),
        ('"3.abc"', False),
        ("", False),
        ('"3.ab-xz"', False),
    ]
    for tags, is_current in cases:
        with subtests.test(tags=tags, is_current=is_current):
            request = request_with(If_None_Match=tags)
            assert etags.client_has(request, etags.strong(3, "ab")) is is_current


def test_weak_tags_match_like_strong_ones() -> None:
    tag = etags.weak(7, etags.digest("orders", None))

    assert etags.client_has(request_with(If_None_Match=tag), tag)
    assert not etags.client_has(request_with(If_None_Match=tag), etags.weak(8, "x"))


def test_a_consistency_token_names_its_event() -> None:
    event_id = uuid4()
    token = consistency.token_of(event_id)

    assert consistency.awaited_event(request_with(Consistency_Token=token)) == event_id
    assert consistency.awaited_event(request_with()) is None


def test_a_forged_consistency_token_is_refused() -> None:
    first, second = consistency.token_of(uuid4()), consistency.token_of(uuid4())
    forged = first.partition(".")[0] + "." + second.partition(".")[2]

    with pytest.raises(ParameterError, match="as a command has answered it"):
        consistency.awaited_event(request_with(Consistency_Token=forged))


def test_a_consistency_token_outlives_a_new_secret_key(settings) -> None:
    event_id = uuid4()
    token = consistency.token_of(event_id)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = uuid4().hex

    assert consistency.event_of(token) == event_id


def test_a_request_of_a_program_has_a_token_and_asks_for_no_page(subtests: pytest.Subtests) -> None:
    page = "text/html,application/xhtml+xml,*/*;q=0.8"
    for path, login, accept, expected in [
        ("/api/v1/orders", "Token abc", "application/json", True),
        ("/api/v1/orders", "token abc", "*/*", True),
        ("/api/v1/orders", "Token abc", page, False),
        ("/api/v1/orders", "Basic abc", "application/json", False),
        ("/api/v1/orders", "", "application/json", False),
        ("/admin/", "Token abc", "application/json", False),
    ]:
        with subtests.test(path=path, login=login, accept=accept):
            request = RequestFactory().get(path, headers={"Accept": accept, "Authorization": login})
            assert is_from_program(request) is expected
