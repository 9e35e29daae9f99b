"""Entity tags in the headers If-Match and If-None-Match."""

import re

# A tag may hold every visible character but the quote: commas too, at which the list is split.
_TAG = re.compile(r'\s*((?:W/)?"[^"\x00-\x20\x7f]*")\s*(?:,|\Z)')
_EMPTY_PLACE = re.compile(r"\s*,")
# A compressing proxy marks its copy with these at the end of a tag: Apache ``-gzip``, Jetty
# ``--gzip``, others ``;br``. Our own tags end in a digest.
_CODING = re.compile(r'[-;]+(?:gzip|br|zstd|deflate)"\Z')


class MalformedTagsError(ValueError):
    """The text isn't a list of entity tags."""

    def __init__(self, part: str) -> None:
        super().__init__(self.__doc__)
        self.part = part


def parse_tags(text: str) -> list[str]:
    """Return the tags of ``text``, without the marks of compressing proxies, or ``["*"]``.

    A weak tag keeps its ``W/``. Raises MalformedTagsError with the first part that is no tag.
    """
    text = text.strip()
    if text == "*":
        return ["*"]
    tags: list[str] = []
    position = 0
    while position < len(text):
        if empty_place := _EMPTY_PLACE.match(text, position):
            position = empty_place.end()
        elif tag := _TAG.match(text, position):
            tags.append(_CODING.sub('"', tag[1]))
            position = tag.end()
        else:
            raise MalformedTagsError(text[position:].strip()[:40])
    return tags


def opaque(tag: str) -> str:
    """Return ``tag`` without its mark as a weak tag."""
    return tag.removeprefix("W/")
