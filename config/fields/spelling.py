"""Characters that people take for one another when they type."""

import unicodedata

# The typewriter's apostrophe, the grave and the acute accent, single quotation marks, primes, and
# letters of several scripts that look like one.
APOSTROPHES = (
    "'`\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u055a\u05f3"
    "\u2018\u2019\u201b\u2032\u2035\ua78c\uff07"
)
# Hyphens, dashes and minus signs; the wave dashes of Japanese too.
DASHES = (
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\u301c\u3030\ufe58\ufe63\uff0d"
)
_TO_HYPHENS = str.maketrans(dict.fromkeys(DASHES, "-"))


def plain(text: str) -> str:
    """Return ``text`` with ASCII forms of wide characters, hyphens for all dashes, and without
    invisible characters and outer white space."""
    if text.isascii():
        return text.strip()
    letters = unicodedata.normalize("NFKC", text.translate(_TO_HYPHENS))
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Cf").strip()
