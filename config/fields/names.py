"""The rule for names that apps register, ours and those of a shop."""

import sys

# Packages whose names follow no rule: a release of ours is made as a whole.
_OURS = {"config", "ordering_read", "ordering_write", "tests"}


class RegistrationError(Exception):
    """An app registers a name that is taken, or that doesn't tell whose it is."""


def check_name(noun: str, name: str, *, module: str) -> None:
    """Raise RegistrationError unless ``name`` has the name of the shop's package in it.

    ``module`` registers the name. So no other app and no later release of ours takes it: names are
    stored in the log, and published. Case, ``_``, ``-`` and spaces don't matter.
    """
    package = module.partition(".")[0]
    if package not in _OURS and _plain(package) not in _plain(name):
        raise RegistrationError(
            f"{module}: the {noun} {name} must have {package} in its name, so that no other app "
            "and no later release takes it."
        )


def taken(noun: str, name: str, *modules: str) -> RegistrationError:
    """Return the error for a name that two ``modules`` register."""
    return RegistrationError(f"The {noun} {name} is registered twice: {' and '.join(modules)}.")


def is_test(module: str) -> bool:
    """Return True for a module of tests, which may replace what is registered."""
    return module.partition(".")[0] == "tests"


def calling_module() -> str:
    """Return the module that has called the caller, as namedtuple finds the module of a class."""
    return str(sys._getframe(2).f_globals["__name__"])


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
