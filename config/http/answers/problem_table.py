"""The problems that every page can have, by the errors of Django, DRF and pydantic."""

from django.core import exceptions as django
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.urls import Resolver404
from pydantic import ValidationError
from rest_framework import exceptions as drf

from config.http.answers.problems import register
from config.http.errors import (
    CsrfFailedError,
    IdempotencyKeyMissingError,
    ParameterError,
    PermissionMissingError,
    PreconditionRequiredError,
    TooManyLoginsError,
    UnknownParameterError,
)


def register_all() -> None:
    """Register them; an app's own errors may use the same slugs afterwards."""
    _register_malformed()
    _register_access()
    _register_protocol()
    register(
        ValidationError,
        slug="validation",
        status=422,
        title="Validation failed",
        meaning="The body has fields that are missing, unknown or of a value that can't be used; "
        "they are listed under errors.",
        own_text=False,
    )
    for error in (OperationalError, InterfaceError):
        register(
            error,
            slug="unavailable",
            status=503,
            title="Unavailable",
            meaning="The database can't be reached, or has too much to do.",
            own_text=False,
            retry_after=1,
        )


def _register_malformed() -> None:
    register(
        drf.ParseError,
        slug="malformed",
        status=400,
        title="Malformed request",
        meaning="The request can't be read: its body is not strict JSON in UTF-8, or it breaks "
        "the rules of HTTP.",
    )
    for error in (
        django.BadRequest,
        django.SuspiciousOperation,
        MultiPartParserError,
        UnreadablePostError,
    ):
        register(error, slug="malformed", own_text=False)
    register(
        django.RequestDataTooBig,
        slug="too-large",
        status=413,
        title="Too large",
        meaning="The body is larger than what is accepted.",
        advice="Send less at once.",
        own_text=False,
    )
    register(ParameterError, slug="invalid-parameter", status=400, title="Invalid parameter")
    register(UnknownParameterError, slug="unknown-parameter", status=400, title="Unknown parameter")
    register(
        IdempotencyKeyMissingError,
        slug="idempotency-key-missing",
        status=400,
        title="Idempotency key missing",
        advice="Send a new key, such as a UUID, with each new command, and the same one with every "
        "repeat of it.",
    )


def _register_access() -> None:
    register(
        drf.NotAuthenticated,
        slug="authentication-required",
        status=401,
        title="Authentication required",
        meaning="This is for users that are known, or the token is not valid.",
        advice="Log in, or send the header Authorization: Token followed by a valid token.",
    )
    register(drf.AuthenticationFailed, slug="authentication-required")
    register(
        PermissionMissingError, slug="permission-denied", status=403, title="Permission denied"
    )
    register(drf.PermissionDenied, slug="permission-denied")
    register(django.PermissionDenied, slug="permission-denied")
    register(
        CsrfFailedError,
        slug="csrf-failed",
        status=403,
        title="CSRF check failed",
        advice="Reload the page that the form is on and send it again. A program logs in with a "
        "token, which needs no CSRF token.",
    )
    register(
        drf.NotFound,
        slug="not-found",
        status=404,
        title="Not found",
        meaning="There is nothing at this address, or nothing that you may see.",
    )
    register(Http404, slug="not-found")
    # Its text lists the patterns that were tried.
    register(Resolver404, slug="not-found", own_text=False)


def _register_protocol() -> None:
    register(
        drf.MethodNotAllowed,
        slug="method-not-allowed",
        status=405,
        title="Method not allowed",
        meaning="This address can't do what the method asks for.",
        advice="Use one of the methods that the header Allow names.",
    )
    register(
        drf.NotAcceptable,
        slug="not-acceptable",
        status=406,
        title="Not acceptable",
        meaning="The header Accept asks for a format that isn't offered here.",
        advice="Accept application/json or text/html.",
    )
    register(
        drf.UnsupportedMediaType,
        slug="unsupported-media-type",
        status=415,
        title="Unsupported media type",
        meaning="The body has a content type or charset that isn't read here.",
        advice="Send the body as application/json in UTF-8.",
    )
    register(
        PreconditionRequiredError,
        slug="precondition-required",
        status=428,
        title="Precondition required",
        advice="Read the resource and send its ETag as If-Match; If-Match: * changes whatever is "
        "there.",
    )
    register(
        drf.Throttled,
        slug="rate-limited",
        status=429,
        title="Too many requests",
        meaning="More requests came than this user may send in this time.",
        advice="Wait for the seconds that Retry-After names.",
    )
    register(
        TooManyLoginsError,
        slug="too-many-logins",
        status=429,
        title="Too many failed logins",
        advice="Wait until then: a login isn't tried before, even with the right password. If you "
        "have forgotten yours, ask an administrator for a new one.",
    )
