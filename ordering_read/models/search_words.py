"""The words of search: how texts and searches are cut into words that compare as people type them.

A word of a text is a lexeme of the text's document. A search is a tsquery of lexemes. Python makes
both, because PostgreSQL's parser splits numbers and e-mail addresses so that their prefixes find
nothing, and finds no words in scripts that are written without spaces.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from config.fields.spelling import APOSTROPHES, DASHES

# The most letters of a word.
_LETTERS = 64
# Shorter search words must match whole words: as prefixes they would match too many.
_PREFIX_LETTERS = 3
# Texts and searches of at most so many words are names, in which neighbours may be one word.
_NAME_WORDS = 8
# Begins the lexeme of a number's last digits, which no word of a text begins with.
_END = "~"
# The most last digits of a number.
_END_DIGITS = 18
# A search for this many digits or more may be one for a telephone number, written with spaces.
_PHONE_DIGITS = 6

_APOSTROPHES = frozenset(APOSTROPHES)
# Letters that Unicode doesn't decompose, as people without them on the keyboard type them.
_FOLDED = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h"}
_FOLDED |= {"\u0131": "i", "ŋ": "n", "ŧ": "t"}
_TRANSLATION = str.maketrans(
    {
        **dict.fromkeys(APOSTROPHES),
        **dict.fromkeys(DASHES, "-"),
        **_FOLDED,
        "#": " ",
        # Katakana and Hiragana are two ways to write one syllable.
        **{chr(code): chr(code - 0x60) for code in range(0x30A1, 0x30F7)},
    }
)
# Scripts without spaces between words: Thai to Khmer, kana, Chinese characters, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u3096\u309d\u309e"
    "\u30fc-\u312f\u31a0-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_SEPARATOR, _SPACED_LETTERS, _UNSPACED_LETTERS = range(3)

# The words for an order number before the number itself.
_NUMBER_WORDS = re.compile(r"\b(?:(?:orders?|numbers?|no|nr)[\s.:_-]*)+(?=[0-9])")
_NUMBER_OF_YEAR = re.compile(r"((?:19|20)[0-9]{2})-([0-9]+)")
_PHONE = re.compile(r"[0-9\s()+./-]+")


# --- Texts -------------------------------------------------------------------------------------
# Cached, because many orders have the same product names.
@lru_cache(maxsize=1_000)
def document_words(text: str) -> tuple[str, ...]:
    """Return the lexemes by which ``text`` is found, each once."""
    words = _words(_normalised(text))
    lexemes = [lexeme for word in words for lexeme in _lexemes(word)]
    if len(words) <= _NAME_WORDS:
        lexemes += [first + second for first, second in pairwise(words) if _are_one(first, second)]
    if not _APOSTROPHES.isdisjoint(text):
        # The parts of a name such as D'Angelo.
        spaced_text = text.translate(dict.fromkeys(map(ord, APOSTROPHES), " "))
        lexemes += _words(_normalised(spaced_text))
    return tuple(dict.fromkeys(lexeme[:_LETTERS] for lexeme in lexemes))


def number_endings(number: str) -> Iterator[str]:
    """Yield a lexeme for each end of the digits in which ``number`` ends."""
    digits = number[len(number.rstrip("0123456789")) :][-_END_DIGITS:]
    for begin in range(len(digits)):
        yield _END + digits[begin:]


def phone_endings(phone: str) -> Iterator[str]:
    """Yield a lexeme for each end of a telephone number that is long enough to be one."""
    digits = re.sub(r"[^0-9]", "", _normalised(phone))
    return (ending for ending in number_endings(digits) if len(ending) > _PHONE_DIGITS)


def _lexemes(word: str) -> Iterator[str]:
    """Yield the word, its parts, the parts as one word, and the pairs of unspaced letters."""
    if word.isascii() and word.isalnum():
        yield word
        return
    pieces = _pieces(word)
    if any(kind == _UNSPACED_LETTERS for kind, _ in pieces):
        for kind, text in pieces:
            if kind == _UNSPACED_LETTERS:
                yield from _pairs(text)
                # A search for one letter is a prefix, so only the last letter lacks a lexeme.
                yield text[-1]
            elif kind == _SPACED_LETTERS:
                yield text
        return
    yield word
    if parts := _parts(pieces):
        yield from parts
        if "@" not in word:
            yield "".join(parts)


# --- Searches ----------------------------------------------------------------------------------
def search_query(text: str, weights: str) -> str:
    """Return the tsquery for rows that have all words of ``text``, as prefixes.

    ``weights`` are those that the user may search, empty for all. The query is empty without a
    word.
    """
    normalised = _NUMBER_WORDS.sub("", _normalised(text))
    words = _words(normalised)
    if not words:
        return ""
    terms = [_term(word, weights) for word in words]
    choices = [" & ".join(terms)]
    if len(words) <= _NAME_WORDS:
        for place, (first, second) in enumerate(pairwise(words)):
            if _are_one(first, second):
                joined_term = _lexeme(first + second, weights)
                choices.append(" & ".join([*terms[:place], joined_term, *terms[place + 2 :]]))
    if phone := _phone_digits(normalised):
        choices.append(_lexeme(_END + phone, weights, is_prefix=False))
    return " | ".join(f"({choice})" for choice in choices)


def _term(word: str, weights: str) -> str:
    """Return the part of a query for one word."""
    pieces = _pieces(word)
    if any(kind == _UNSPACED_LETTERS for kind, _ in pieces):
        terms = [
            _unspaced_term(text, weights) if kind == _UNSPACED_LETTERS else _term(text, weights)
            for kind, text in pieces
            if kind != _SEPARATOR
        ]
        return f"({' & '.join(terms)})"
    choices = [_lexeme(word, weights)]
    if word.isdigit():
        choices.append(_lexeme(_END + word, weights, is_prefix=False))
    elif match := _NUMBER_OF_YEAR.fullmatch(word):
        year = _lexeme(match[1], weights, is_prefix=False)
        choices.append(f"({year} & {_lexeme(_END + match[2], weights, is_prefix=False)})")
    if (parts := _parts(pieces)) and "@" not in word:
        choices.append(_lexeme("".join(parts), weights))
        if all(part.isalpha() for part in parts):
            choices.append(f"({' & '.join(_lexeme(part, weights) for part in parts)})")
    return f"({' | '.join(choices)})"


def _unspaced_term(text: str, weights: str) -> str:
    if len(text) == 1:
        return f"{quoted(text)}:*{weights}"
    return " & ".join(_lexeme(pair, weights, is_prefix=False) for pair in _pairs(text))


def _lexeme(word: str, weights: str, *, is_prefix: bool = True) -> str:
    word = word[:_LETTERS]
    star = "*" if is_prefix and len(word) >= _PREFIX_LETTERS else ""
    return f"{quoted(word)}:{star}{weights}".removesuffix(":")


def quoted(word: str) -> str:
    """Return ``word`` as a lexeme in the text of a tsvector or a tsquery."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _phone_digits(text: str) -> str:
    """Return the digits of a telephone number without its leading zeros; empty for other texts."""
    digits = re.sub(r"[^0-9]", "", text).lstrip("0") if _PHONE.fullmatch(text) else ""
    return digits if len(digits) >= _PHONE_DIGITS else ""


# --- Words -------------------------------------------------------------------------------------
def _normalised(text: str) -> str:
    """Return ``text`` as search compares it.

    In small letters, without accents, apostrophes and invisible characters, with ASCII digits and
    dashes.
    """
    if text.isascii():
        return text.lower().translate(_TRANSLATION)
    # The acute accent by itself is an apostrophe; NFKD would make a space and a mark of it.
    letters = unicodedata.normalize("NFKD", text.translate(_TRANSLATION))
    letters = "".join(map(_folded, letters))
    return unicodedata.normalize("NFC", letters).casefold().translate(_TRANSLATION)


@lru_cache(maxsize=10_000)
def _folded(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Nd":
        return str(unicodedata.digit(letter))
    combining = unicodedata.combining(letter)
    # The marks of Latin, Greek, Cyrillic, Hebrew and Arabic. Those of Asian scripts are vowels.
    is_accent = combining >= 200 or 10 <= combining <= 36
    return "" if is_accent or category == "Cf" else letter


def _words(normalised: str) -> list[str]:
    return [word for text in normalised.split() if (word := _trimmed(text))]


def _trimmed(word: str) -> str:
    """Return ``word`` without separators at its ends."""
    if word.isalnum():
        return word
    begin, end = 0, len(word)
    while begin < end and _kind(word[begin]) == _SEPARATOR:
        begin += 1
    while begin < end and _kind(word[end - 1]) == _SEPARATOR:
        end -= 1
    return word[begin:end]


def _pieces(word: str) -> list[tuple[int, str]]:
    """Return the runs of separators, of spaced and of unspaced letters, each with its kind."""
    return [(kind, "".join(letters)) for kind, letters in groupby(word, _kind)]


@lru_cache(maxsize=10_000)
def _kind(letter: str) -> int:
    if not letter.isalnum() and not unicodedata.category(letter).startswith("M"):
        return _SEPARATOR
    return _UNSPACED_LETTERS if _UNSPACED.match(letter) else _SPACED_LETTERS


def _parts(pieces: Sequence[tuple[int, str]]) -> list[str]:
    """Return the parts of a word with separators, else nothing."""
    if len(pieces) == 1:
        return []
    return [text for kind, text in pieces if kind != _SEPARATOR]


def _pairs(text: str) -> Iterator[str]:
    return map("".join, pairwise(text))


def _are_one(first: str, second: str) -> bool:
    """Return True if two neighbours may be one name, such as Anne Marie."""
    letters = first + second
    return letters.isalpha() and (letters.isascii() or not any(map(_UNSPACED.match, letters)))
