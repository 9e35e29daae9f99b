"""The header If-Match: a command is carried out only on the version that the client has read."""

import re
from dataclasses import dataclass

from rest_framework.request import Request

from config.http.errors import ParameterError
from config.http.input.entity_tags import MalformedTagsError, opaque, parse_tags
from config.http.input.parsers import form_of

# The form field of the browsable pages that stands for the header.
FIELD = "_if_match"
# A version that no resource ever has.
NO_VERSION = -1

# Our ETags are a version, a point and a digest of the view; see ``etags.strong``.
_TAG = re.compile(r'"([0-9]{1,9})(?:\.[^"]*)?"')
_HINT = 'Send the ETag of what was read, with its quotes, such as "3.full", or *.'


@dataclass(frozen=True)
class IfMatch:
    """The version that the client expects.

    None stands for any version (``*``), and NO_VERSION for a header in which no tag is ours.
    """

    version: int | None


def if_match(request: Request) -> IfMatch | None:
    """Return the condition of If-Match, or of the form field for it; None without a condition.

    A weak tag counts as its strong twin; foreign tags match no version. Raises ParameterError for a
    text that isn't a list of entity tags.
    """
    text = request.headers.get("If-Match")
    if text is None:
        text = form_of(request).get(FIELD)
        if not text:
            return None
    try:
        tags = parse_tags(text)
    except MalformedTagsError as error:
        raise ParameterError(
            "If-Match", f"If-Match: {error.part!r} is not an entity tag. {_HINT}"
        ) from error
    if not tags:
        raise ParameterError("If-Match", f"If-Match names no entity tag. {_HINT}")
    if tags == ["*"]:
        return IfMatch(None)
    # RFC 9110 compares If-Match strongly. We accept weak tags of versions, because a compressing
    # proxy makes them of our strong ones, and the version in the tag names the state as exactly.
    versions = [int(match[1]) for tag in tags if (match := _TAG.fullmatch(opaque(tag)))]
    # Versions only grow: of several tags, only the highest can still be current.
    return IfMatch(max(versions, default=NO_VERSION))
