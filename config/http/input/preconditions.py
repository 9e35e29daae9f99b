"""The header If-Match: a command is carried out only on the version that the client has read."""

import re
from dataclasses import dataclass

from django.utils.http import parse_etags
from rest_framework.request import Request

from config.http.errors import ParameterError
from config.http.input.parsers import form_of

# The form field of the browsable pages that stands for the header.
FIELD = "_if_match"
# A version that no resource ever has.
NO_VERSION = -1

# Our ETags are a version, a point and a digest of the view; see ``etags.strong``.
_TAG = re.compile(r'"(\d{1,9})(?:\.[^"]*)?"')


@dataclass(frozen=True)
class IfMatch:
    """The version that the client expects.

    None stands for any version (``*``), and NO_VERSION for a header in which no tag is ours.
    """

    version: int | None


def if_match(request: Request) -> IfMatch | None:
    """Return the condition of If-Match, or of the form field for it; None without a condition.

    Weak tags (RFC 9110) and foreign tags match no version. Raises ParameterError for a text that
    isn't a list of entity tags.
    """
    text = request.headers.get("If-Match") or form_of(request).get(FIELD)
    if not text:
        return None
    tags = parse_etags(text)
    if not tags:
        raise ParameterError(
            "If-Match", 'If-Match holds the ETag of what was read, such as "3.full", or *.'
        )
    if tags == ["*"]:
        return IfMatch(None)
    versions = [int(match[1]) for tag in tags if (match := _TAG.fullmatch(tag))]
    # Versions only grow: of several tags, only the highest can still be current.
    return IfMatch(max(versions, default=NO_VERSION))
