"""The header If-Match: a command is only carried out on what the client has seen."""

import re
from dataclasses import dataclass

from django.utils.http import parse_etags
from rest_framework.request import Request

from config.http.errors import ParameterError
from config.http.input.parsers import form_of

# The field of the browsable pages' forms that stands for the header.
FIELD = "_if_match"
# A version that nothing ever has.
NO_VERSION = -1

# An ETag is a version, and after a point which view of it was shown.
_TAG = re.compile(r'"(\d{1,9})(?:\.[^"]*)?"')


@dataclass(frozen=True)
class IfMatch:
    """What the client expects: ``version``, None for whatever is there (``*``), or NO_VERSION."""

    version: int | None


def if_match(request: Request) -> IfMatch | None:
    """What If-Match, or the form's field for it, says; None without one.

    A weak tag matches nothing (RFC 9110), and neither does one that isn't ours. Raises
    ParameterError for what is no list of entity tags.
    """
    written = request.headers.get("If-Match") or form_of(request).get(FIELD)
    if not written:
        return None
    tags = parse_etags(written)
    if not tags:
        raise ParameterError(
            "If-Match", 'If-Match holds the ETag of what was read, such as "3.full", or *.'
        )
    if tags == ["*"]:
        return IfMatch(None)
    versions = [int(match[1]) for tag in tags if (match := _TAG.fullmatch(tag))]
    # Versions only grow: of those that somebody has seen, only the last can still be the present.
    return IfMatch(max(versions, default=NO_VERSION))
