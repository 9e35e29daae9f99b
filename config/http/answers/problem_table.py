"""Problems that any page can have: the errors of Django, DRF, pydantic and config.http."""

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
    HeadersTooLargeError,
    HttpsRequiredError,
    IdempotencyKeyMissingError,
    ParameterError,
    PermissionMissingError,
    PreconditionRequiredError,
    RequestTimeoutError,
    TooManyLoginsError,
    TooManyMailsError,
    UnknownParameterError,
    UrlTooLongError,
)


def register_all() -> None:
    """Register the problems of this table. The apps, which come later, can use the same slugs."""
    _register_malformed()
    _register_access()
    _register_protocol()
    register(
        ValidationError,
        slug="validation",
        status=422,
        title="Validation failed",
        meaning="The body lacks fields, or has unknown fields or values that can't be used; they "
        "are listed under errors.",
        own_text=False,
    )
    for error in (OperationalError, InterfaceError):
        register(
            error,
            slug="unavailable",
            status=503,
            title="Unavailable",
            meaning="The database can't be reached or is overloaded.",
            own_text=False,
            retry_after=1,
        )


def _register_malformed() -> None:
    register(
        drf.ParseError,
        slug="malformed",
        status=400,
        title="Malformed request",
        meaning="The request can't be read: its body isn't strict JSON in UTF-8, or it breaks the "
        "rules of HTTP.",
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
        meaning="The body is larger than the service accepts.",
        advice="Send less at once.",
        own_text=False,
    )
    register(
        UrlTooLongError,
        slug="uri-too-long",
        status=414,
        title="URI too long",
        advice="Send fewer or shorter parameters; long lists of values fit into several requests.",
    )
    register(
        HeadersTooLargeError,
        slug="headers-too-large",
        status=431,
        title="Headers too large",
        advice="Send fewer or shorter headers. In a browser, delete the cookies of this site.",
    )
    register(
        RequestTimeoutError,
        slug="request-timeout",
        status=408,
        title="Request too slow",
        advice="Send the whole request at once, on a new connection.",
    )
    register(ParameterError, slug="invalid-parameter", status=400, title="Invalid parameter")
    register(UnknownParameterError, slug="unknown-parameter", status=400, title="Unknown parameter")
    register(
        IdempotencyKeyMissingError,
        slug="idempotency-key-missing",
        status=400,
        title="Idempotency key missing",
        advice="Send a new key, such as a UUID, with each new command, and the same key with every "
        "repeat of the command.",
    )


def _register_access() -> None:
    register(
        drf.NotAuthenticated,
        slug="authentication-required",
        status=401,
        title="Authentication required",
        meaning="This address needs a login, or the token isn't valid.",
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
        advice="Reload the page of the form and send the form again. A program logs in with a "
        "token, which needs no CSRF token.",
    )
    register(
        HttpsRequiredError,
        slug="https-required",
        status=403,
        title="HTTPS required",
        advice="Send the request to the https address. A token that was sent in clear text can be "
        "read on its way: revoke it, and make a new one.",
    )
    register(
        drf.NotFound,
        slug="not-found",
        status=404,
        title="Not found",
        meaning="Nothing is at this address, or nothing that you may see.",
    )
    register(Http404, slug="not-found")
    # The text of Resolver404 lists the URL patterns.
    register(Resolver404, slug="not-found", own_text=False)


def _register_protocol() -> None:
    register(
        drf.MethodNotAllowed,
        slug="method-not-allowed",
        status=405,
        title="Method not allowed",
        meaning="This address doesn't support the method.",
        advice="Use a method that the header Allow names.",
    )
    register(
        drf.NotAcceptable,
        slug="not-acceptable",
        status=406,
        title="Not acceptable",
        meaning="The header Accept asks for formats that this address doesn't offer.",
        advice="Accept application/json or text/html.",
    )
    register(
        drf.UnsupportedMediaType,
        slug="unsupported-media-type",
        status=415,
        title="Unsupported media type",
        meaning="The body has a content type or charset that this address doesn't read.",
        advice="Send the body as application/json in UTF-8.",
    )
    register(
        PreconditionRequiredError,
        slug="precondition-required",
        status=428,
        title="Precondition required",
        advice="Read the resource and send its ETag as If-Match; If-Match: * accepts any version.",
    )
    register(
        drf.Throttled,
        slug="rate-limited",
        status=429,
        title="Too many requests",
        meaning="You have sent more requests than you may in this period.",
        advice="Wait for the seconds that Retry-After names.",
    )
    register(
        TooManyLoginsError,
        slug="too-many-logins",
        status=429,
        title="Too many failed logins",
        advice="Wait as long as the detail says: until then, even the right password is refused. "
        "If you have forgotten your password, ask an administrator for a new one.",
    )
    register(
        TooManyMailsError,
        slug="too-many-mails",
        status=429,
        title="Too many mails",
        meaning="Too many mails were asked for, to this e-mail address or from this network.",
        advice="Wait as long as the detail says. The newest mail has the link that works.",
    )
