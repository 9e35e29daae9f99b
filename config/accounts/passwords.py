"""The rule that a password is more than a name."""

import re
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

from config.accounts.roles import Role

# Attributes of a user whose words others know.
_ATTRIBUTES = ("username", "first_name", "last_name", "email")
# Shorter words occur in many passwords by chance.
_SHORTEST_WORD = 3


class KnownWordsValidator:
    """Refuses a password of words that others know, such as ``auditor-auditor``.

    These are the names and the e-mail address of the user, the roles, and the setting
    PASSWORD_WORDS. Without them, the password must still have ``min_rest`` characters, and mustn't
    be a common password. At least ``min_distinct`` characters must differ.
    """

    def __init__(self, min_rest: int = 8, min_distinct: int = 5) -> None:
        self._min_rest = min_rest
        self._min_distinct = min_distinct

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises Django's ValidationError for a password that others can guess."""
        if len(set(password.casefold())) < self._min_distinct:
            raise ValidationError(
                f"The password needs at least {self._min_distinct} different characters.",
                code="password_too_uniform",
            )
        rest = password.casefold()
        # The longest words come first: a word may contain another.
        for word in sorted(_known_words(user), key=len, reverse=True):
            rest = rest.replace(word, "")
        if rest == password.casefold():
            return
        letters = re.sub(r"[\W_]", "", rest)
        if len(letters) < self._min_rest or _is_common(letters):
            raise ValidationError(self.get_help_text(), code="password_of_known_words")

    def get_help_text(self) -> str:
        return (
            "Your password needs at least "
            f"{self._min_rest} letters or digits apart from your names and the words of the shop."
        )


def _known_words(user: AbstractBaseUser | None) -> set[str]:
    texts: Iterable[str] = (
        *settings.PASSWORD_WORDS,
        *Role,
        *(getattr(user, attribute, "") for attribute in _ATTRIBUTES),
    )
    words = {word for text in texts for word in _words(text.casefold())}
    return {word for word in words if len(word) >= _SHORTEST_WORD}


def _words(text: str) -> Iterable[str]:
    """Return the words of ``text``, and the whole text with and without what separates them."""
    parts = re.split(r"[\W_]+", text)
    return (text, "".join(parts), *parts)


def _is_common(password: str) -> bool:
    try:
        CommonPasswordValidator().validate(password)
    except ValidationError:
        return True
    return False
