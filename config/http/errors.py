"""Errors of the HTTP request itself: its parameters, headers, permission and login."""

import math
from typing import Annotated

from pydantic import Field
from rest_framework.exceptions import APIException, PermissionDenied, Throttled
from typing_extensions import TypedDict

from config.fields.members import DetailedError


class ParameterError(DetailedError, APIException):
    """A query parameter or header has a value that can't be used."""

    status_code = 400

    class Members(TypedDict):
        parameter: Annotated[str, Field(description="Parameter or header that can't be used.")]

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter

    def members(self) -> Members:
        return {"parameter": self.parameter}


class UnknownParameterError(ParameterError):
    """The query has a parameter that this address doesn't have."""

    def __init__(self, parameter: str, accepted: list[str]) -> None:
        choice = f"It knows {', '.join(accepted)}." if accepted else "It knows none."
        super().__init__(parameter, f"This address knows no parameter {parameter!r}. {choice}")


class UrlTooLongError(APIException):
    """The address is longer than the service accepts."""

    status_code = 414
    default_detail = __doc__


class HeadersTooLargeError(APIException):
    """The headers of the request are larger than the service accepts."""

    status_code = 431
    default_detail = __doc__


class IdempotencyKeyMissingError(APIException):
    """This command is accepted with the header Idempotency-Key only."""

    status_code = 400
    default_detail = __doc__


class PreconditionRequiredError(APIException):
    """This command needs the header If-Match, with the ETag of the version that you have read."""

    status_code = 428
    default_detail = __doc__


class PermissionMissingError(DetailedError, PermissionDenied):
    """You don't have the permission that this needs."""

    class Members(TypedDict):
        needed_permission: str

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission {permission}.")
        self.permission = permission

    def members(self) -> Members:
        return {"needed_permission": self.permission}


class _TooManyError(Throttled):
    """Too many tries in the present period."""

    def __init__(self, seconds: int) -> None:
        minutes = math.ceil(seconds / 60)
        unit = "minute" if minutes == 1 else "minutes"
        super().__init__(detail=f"{self.__doc__} Try again in {minutes} {unit}.")
        self.wait = seconds


class TooManyLoginsError(_TooManyError):
    """Too many recent logins with this name, or from this address, have failed."""


class TooManyMailsError(_TooManyError):
    """Too many mails were asked for, to this e-mail address or from this network address."""


class HttpsRequiredError(PermissionDenied):
    """This address answers over HTTPS only."""

    default_detail = __doc__


class CsrfFailedError(PermissionDenied):
    """A change from a browser session came without its CSRF token."""


class RequestTimeoutError(APIException):
    """The request took too long to arrive."""

    status_code = 408
    default_detail = __doc__
